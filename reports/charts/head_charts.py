"""Many heads on one prompt, each as a small pattern; a few of them with their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ingest.kernel.errors import InputError
from reports.charts.theme import LIGHT, Theme, inline_text, placed, themed, weight_colour
from reports.data.patterns import ModelPatterns
from reports.data.report import Head, Token
from reports.data.wording import shortened, visible

# Vega draws each weight as a rectangle: more take minutes, and none of them would be seen.
MOST_CELLS = 150_000
# So many heads stand two in a row, with the texts of their tokens; more of them four in a row.
_MOST_LABELLED, _COLUMNS_LABELLED, _COLUMNS = 4, 2, 4
# All lengths here are pixels. The most room of tokens beside a pattern, that of a layer's and a
# head's name.
_TOKEN_ROOM, _LAYER_ROOM, _NAME_ROOM = 84, 26, 18
_PADDING = 8
_LARGEST_PANEL, _SMALLEST_STEP, _LARGEST_FONT, _LETTER = 480.0, 7.0, 11.0, 6.4


@dataclass(frozen=True)
class _Layout:
    """Where patterns of `n_tokens` lie, in rows of `columns`.

    left_room, top_room, bottom_room: of what stands beside, above and below them all; row_room: of
    what stands above each row.
    """

    n_tokens: int
    n_panels: int
    columns: int
    width: float
    left_room: float
    top_room: float
    row_room: float
    bottom_room: float

    @property
    def gap(self) -> float:
        return 14.0 if self.columns <= _COLUMNS else 4.0

    @property
    def panel(self) -> float:
        """The width and height of a pattern."""
        room = self.width - self.left_room - (self.columns - 1) * self.gap
        return min(room / self.columns, _LARGEST_PANEL)

    @property
    def step(self) -> float:
        """The width of a token."""
        return self.panel / self.n_tokens

    def left(self, number: int) -> float:
        return self.left_room + number % self.columns * (self.panel + self.gap)

    def top(self, number: int) -> float:
        row = number // self.columns
        return self.top_room + self.row_room + row * (self.panel + self.gap + self.row_room)

    @property
    def height(self) -> float:
        return self.top(self.n_panels - 1) + self.panel + self.bottom_room


def heads_chart(
    patterns: ModelPatterns,
    heads: Sequence[Head] = (),
    *,
    name: str,
    title: str,
    theme: Theme = LIGHT,
    width: int = 692,
) -> alt.LayerChart:
    """Some heads of a model on one prompt, or all of them, a row a layer.

    heads: none for all. width: of the figure in pixels.

    Raises: InputError where there are more weights than can be drawn.
    """
    shown = tuple(heads) or patterns.heads
    rows = [patterns.rows_of(head) for head in shown]
    n_cells = sum(len(row) for of_head in rows for row in of_head)
    if n_cells > MOST_CELLS:
        raise InputError(
            f"{len(shown)} heads on {len(patterns.tokens)} tokens are {n_cells:,} weights, too "
            "many for a figure",
            hint="name heads, as in L3H1, or look at all of them in a page (-o FILE.html)",
        )
    values = [
        {
            "panel": panel,
            "query": query,
            "key": list(range(len(weights))),
            "weight": [round(weight, 4) for weight in weights],
        }
        for panel, of_head in enumerate(rows)
        for query, weights in enumerate(of_head)
    ]
    layout = _layout(patterns, len(heads), width)
    x = alt.X("left:Q", axis=None).scale(domain=[0, layout.width], nice=False)
    y = alt.Y("top:Q", axis=None).scale(domain=[0, layout.height], nice=False, reverse=True)
    cells = (
        alt.Chart(inline_text(values))
        .transform_flatten(["key", "weight"])
        .transform_calculate(
            left="panel_left[datum.panel] + datum.key * step",
            right="panel_left[datum.panel] + (datum.key + 1) * step",
            top="panel_top[datum.panel] + datum.query * step",
            bottom="panel_top[datum.panel] + (datum.query + 1) * step",
            head="panel_names[datum.panel]",
            query_token="tokens[datum.query] + '  (position ' + datum.query + ')'",
            key_token="tokens[datum.key] + '  (position ' + datum.key + ')'",
        )
        .mark_rect(aria=False)
        .encode(
            x=x,
            x2="right:Q",
            y=y,
            y2="bottom:Q",
            color=weight_colour(theme, "attention weight (rows: queries, columns: keys)"),
            tooltip=[
                alt.Tooltip("head:N", title="head"),
                alt.Tooltip("query_token:N", title="query"),
                alt.Tooltip("key_token:N", title="key"),
                alt.Tooltip("weight:Q", title="weight", format=".4f"),
            ],
        )
        .add_params(
            alt.param(name="tokens", value=[visible(token.text) for token in patterns.tokens]),
            alt.param(name="step", value=layout.step),
            alt.param(name="panel_left", value=[layout.left(n) for n in range(len(shown))]),
            alt.param(name="panel_top", value=[layout.top(n) for n in range(len(shown))]),
            alt.param(name="panel_names", value=[str(head) for head in shown]),
        )
    )
    labels = [
        alt.Chart(inline_text(rows))
        .mark_text(color=theme.ink, aria=False, **marks)
        .encode(x=x, y=y, text=alt.Text("text:N"))
        for rows, marks in _labels(patterns, shown if heads else (), layout)
    ]
    chart = placed(
        alt.LayerChart(layer=[cells, *labels]),
        width=width,
        height=round(layout.height),
        title=title,
    )
    description = f"Heat maps of {len(shown)} heads on {len(patterns.tokens)} tokens. {title}."
    return themed(chart, theme, name=name, description=description)


def _layout(patterns: ModelPatterns, n_named: int, width: int) -> _Layout:
    n_layers, n_heads, n_tokens = patterns.weights.shape[:3]
    is_labelled = 0 < n_named <= _MOST_LABELLED
    columns = min(n_named, _COLUMNS_LABELLED if is_labelled else _COLUMNS) or n_heads
    longest = max(len(shortened(token.text)) for token in patterns.tokens)
    beside = min(10 + longest * _LETTER, _TOKEN_ROOM) if is_labelled else 0
    return _Layout(
        n_tokens=n_tokens,
        n_panels=n_named or n_layers * n_heads,
        columns=columns,
        width=width - _PADDING,
        left_room=beside if n_named else _LAYER_ROOM,
        top_room=0 if n_named else _NAME_ROOM,
        row_room=_NAME_ROOM if n_named else 0,
        bottom_room=beside,
    )


_Labels = tuple[list[dict[str, Any]], dict[str, Any]]


def _labels(patterns: ModelPatterns, named: Sequence[Head], layout: _Layout) -> Iterator[_Labels]:
    """Texts with their places, and how they are written."""
    if not named:
        yield from _grid_labels(patterns, layout)
        return
    names = [
        {"left": layout.left(number), "top": layout.top(number) - 4, "text": head.index}
        for number, head in enumerate(named)
    ]
    yield names, {"align": "left", "baseline": "bottom", "fontSize": 12, "fontWeight": 600}
    if layout.bottom_room and layout.step >= _SMALLEST_STEP:
        yield from _token_labels(patterns.tokens, len(named), layout)


def _grid_labels(patterns: ModelPatterns, layout: _Layout) -> Iterator[_Labels]:
    """The numbers of layers and heads, beside and above all patterns."""
    n_layers, n_heads = patterns.weights.shape[:2]
    middle = layout.panel / 2
    yield (
        [
            {"left": 0, "top": layout.top(layer * n_heads) + middle, "text": f"L{layer}"}
            for layer in range(n_layers)
        ],
        {"align": "left", "baseline": "middle", "fontSize": 11},
    )
    yield (
        [
            {"left": layout.left(head) + middle, "top": layout.top(head) - 4, "text": f"H{head}"}
            for head in range(n_heads)
        ],
        {"align": "center", "baseline": "bottom", "fontSize": 11 if layout.panel > 24 else 7},
    )


def _token_labels(tokens: Sequence[Token], n_panels: int, layout: _Layout) -> Iterator[_Labels]:
    """Queries left of each row of patterns, keys below the lowest of each column."""
    font = {"fontSize": min(layout.step - 1, _LARGEST_FONT), "limit": _TOKEN_ROOM - 6}
    texts = [shortened(token.text) for token in tokens]
    middles = [(number + 0.5) * layout.step for number in range(len(tokens))]
    firsts = range(0, n_panels, layout.columns)
    yield (
        [
            {"left": layout.left_room - 6, "top": layout.top(number) + middle, "text": text}
            for number in firsts
            for middle, text in zip(middles, texts, strict=True)
        ],
        {"align": "right", "baseline": "middle", **font},
    )
    lowest = range(max(n_panels - layout.columns, 0), n_panels)
    yield (
        [
            {
                "left": layout.left(number) + middle,
                "top": layout.top(number) + layout.panel + 6,
                "text": text,
            }
            for number in lowest
            for middle, text in zip(middles, texts, strict=True)
        ],
        {"align": "right", "baseline": "middle", "angle": 270, **font},
    )
