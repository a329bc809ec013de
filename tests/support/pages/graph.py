"""The graph of the relations as an SVG drawing that follows the page's colours, every box a link."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from sql.graph.relation import Relation

WIDTH, HEIGHT = 182, 24  # of a box, in pixels
COLUMN, ROW = 222, 34  # from one box to the next
SWEEPS = 12


def drawing(known: Mapping[str, Relation]) -> str:
    """The drawing, to stand in a page of Markdown as it is.

    Relations stand in columns by the longest way from what is stored (a relation is to the right of
    all that it reads); within a column near what they are linked with (the barycentre heuristic of
    Sugiyama, Tagawa and Toda 1981, IEEE Trans. SMC 11).
    """
    edges = reduced({name: set(relation.reads) for name, relation in known.items()})
    columns = placed(edges)
    places = {
        name: (8 + COLUMN * x, 8 + ROW * y)
        for x, column in enumerate(columns)
        for y, name in enumerate(column)
    }
    height = 16 + ROW * max(len(column) for column in columns)
    width = 16 + COLUMN * (len(columns) - 1) + WIDTH
    lines = [
        f'<div class="relations"><svg viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="Which relation reads which">',
    ]
    for name, sources in edges.items():
        for source in sorted(sources):
            (x1, y1), (x2, y2) = places[source], places[name]
            start, end = x1 + WIDTH, x2
            middle = (start + end) / 2
            first, last = y1 + HEIGHT / 2, y2 + HEIGHT / 2
            lines.append(
                f'<path d="M{start},{first:g}C{middle:g},{first:g} {middle:g},{last:g} {end},{last:g}"/>'
            )
    for name, (x, y) in places.items():
        relation = known[name]
        lines.append(
            f'<a href="{relation.subject}.html#{name}"><g class="{relation.kind}">'
            f"<title>{escape(relation.purpose)}</title>"
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4"/>'
            f'<text x="{x + WIDTH / 2:g}" y="{y + 16}">{name}</text></g></a>'
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


def placed(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The names by column, in their order from top to bottom."""
    depth: dict[str, int] = {}
    for name, sources in edges.items():
        depth[name] = max((depth[source] + 1 for source in sources), default=0)
    readers: dict[str, set[str]] = {name: set() for name in edges}
    for name, sources in edges.items():
        for source in sources:
            readers[source].add(name)
    # What nothing is read by its left side stands right before its first reader.
    for name in edges:
        if not edges[name] and readers[name]:
            depth[name] = min(depth[reader] for reader in readers[name]) - 1
    columns = [
        [name for name in edges if depth[name] == x] for x in range(max(depth.values()) + 1)
    ]
    for sweep in range(SWEEPS):
        rows = {name: y for column in columns for y, name in enumerate(column)}
        neighbours = edges if sweep % 2 == 0 else readers
        for column in columns if sweep % 2 == 0 else reversed(columns):

            def centre(name: str) -> float:
                near = [rows[other] for other in neighbours[name]]  # noqa: B023
                return sum(near) / len(near) if near else rows[name]  # noqa: B023

            column.sort(key=centre)
            rows.update({name: y for y, name in enumerate(column)})
    return columns
