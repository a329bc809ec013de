"""The graph of the relations as an SVG drawing in the page's colours, every box a link."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from sql.graph.relation import Relation

WIDTH, HEIGHT = 204, 24  # of a box, in pixels
GAP, ROW, LANE = 56, 34, 12  # between columns; from box to box; from passing edge to passing edge
SWEEPS = 24

# What stands in a column: a relation, or an edge (source, reader) on its way through.
Passing = tuple[str, str]
Cell = str | Passing


def drawing(known: Mapping[str, Relation]) -> str:
    """The drawing, to stand in a page of Markdown as it is.

    Relations stand in columns by the longest way from what is stored (a relation is to the right of
    all that it reads); within a column near what they are linked with (the barycentre heuristic of
    Sugiyama, Tagawa and Toda 1981, IEEE Trans. SMC 11). Longer edges have lanes of their own.
    """
    edges = reduced({name: set(relation.reads) for name, relation in known.items()})
    columns = placed(edges)
    tops: list[dict[Cell, float]] = []
    height = 0.0
    for column in columns:
        y, places = 8.0, dict[Cell, float]()
        for cell in column:
            places[cell] = y + (HEIGHT / 2 if isinstance(cell, str) else LANE / 2)
            y += ROW if isinstance(cell, str) else LANE
        tops.append(places)
        height = max(height, y)
    width = 16 + len(columns) * (WIDTH + GAP) - GAP
    column_of = {cell: x for x, column in enumerate(columns) for cell in column if cell in edges}
    lines = [
        f'<div class="relations"><svg viewBox="0 0 {width} {height:g}" width="{width}" '
        f'height="{height:g}" role="img" aria-label="Which relation reads which">',
    ]
    for name, sources in edges.items():
        for source in sorted(sources):
            first, last = column_of[source], column_of[name]
            x, y = 8 + first * (WIDTH + GAP) + WIDTH, tops[first][source]
            path = f"M{x},{y:g}"
            for step in range(first + 1, last + 1):
                below = tops[step][name if step == last else (source, name)]
                path += f"c{GAP / 2:g},0 {GAP / 2:g},{below - y:g} {GAP},{below - y:g}"
                path += "" if step == last else f"h{WIDTH}"
                y = below
            lines.append(f'<path d="{path}"/>')
    for name, x in column_of.items():
        assert isinstance(name, str)
        relation, left, middle = known[name], 8 + x * (WIDTH + GAP), tops[x][name]
        lines.append(
            f'<a href="{relation.subject}.html#{name}"><g class="{relation.kind}">'
            f"<title>{escape(relation.purpose)}</title>"
            f'<rect x="{left}" y="{middle - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" '
            f'rx="4"/><text x="{left + WIDTH / 2:g}" y="{middle + 4:g}">{name}</text></g></a>'
        )
    return "\n".join([*lines, "</svg></div>"])


def reduced(reads: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The edges without those that a longer way implies.

    >>> reduced({"a": set(), "b": {"a"}, "c": {"a", "b"}})
    {'a': set(), 'b': {'a'}, 'c': {'b'}}
    """
    ancestors: dict[str, set[str]] = {}
    for name, sources in reads.items():  # each after those that it reads
        ancestors[name] = sources.union(*(ancestors[source] for source in sources))
    return {
        name: {s for s in sources if not any(s in ancestors[other] for other in sources)}
        for name, sources in reads.items()
    }


def placed(edges: Mapping[str, set[str]]) -> list[list[Cell]]:
    """The relations and the passing edges of each column, from top to bottom.

    >>> placed({"a": set(), "b": {"a"}, "c": {"a", "b"}})
    [['a'], ['b', ('a', 'c')], ['c']]
    """
    depth: dict[str, int] = {}
    for name, sources in edges.items():
        depth[name] = max((depth[source] + 1 for source in sources), default=0)
    # What reads nothing stands right before its first reader.
    for name, sources in edges.items():
        readers = [depth[other] for other, read in edges.items() if name in read]
        if not sources and readers:
            depth[name] = min(readers) - 1
    columns: list[list[Cell]] = [
        [name for name in edges if depth[name] == x] for x in range(max(depth.values()) + 1)
    ]
    left: dict[Cell, list[Cell]] = {name: [] for name in edges}
    right: dict[Cell, list[Cell]] = {name: [] for name in edges}
    for name, sources in edges.items():
        for source in sorted(sources):
            passing = (source, name)
            n_between = depth[name] - depth[source] - 1
            for x in range(depth[source] + 1, depth[name]):
                columns[x].append(passing)
            left[name].append(passing if n_between else source)
            right[source].append(passing if n_between else name)
            left.setdefault(passing, [source])
            right.setdefault(passing, [name])
    for sweep in range(SWEEPS):
        forwards = sweep % 2 == 0
        order = range(1, len(columns)) if forwards else range(len(columns) - 2, -1, -1)
        for x in order:
            beside = columns[x - 1 if forwards else x + 1]
            rows = {cell: row / len(beside) for row, cell in enumerate(beside)}
            own = {cell: row / len(columns[x]) for row, cell in enumerate(columns[x])}
            centres = {
                cell: centre([cell, *(left if forwards else right)[cell]], rows, own[cell])
                for cell in columns[x]
            }
            columns[x].sort(key=centres.__getitem__)
    return columns


def centre(cells: list[Cell], rows: Mapping[Cell, float], otherwise: float) -> float:
    """The mean row of those cells that stand in a column, the own way through included."""
    near = [rows[cell] for cell in cells if cell in rows]
    return sum(near) / len(near) if near else otherwise
