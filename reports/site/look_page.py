"""The page of `headswap look`: all heads of some models on one text, each large at a click."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from reports.charts.pattern_charts import pattern_chart
from reports.data.patterns import ModelPatterns
from reports.data.report import Head
from reports.data.wording import shortened, visible
from reports.site.links import Links
from reports.site.rendering import Page, document, figure_of, fill, script_json

# Weights are stored as whole numbers of this unit, as exact as the page shows them.
_UNIT = 1e-4
_NOT_STORED = 65_535
_TITLE_LENGTH = 70


def look_page(models: Sequence[ModelPatterns], named: Sequence[Head] = ()) -> str:
    """The page as one HTML file, which needs nothing else.

    named: the heads that are large at first; none for the first head of the first model.
    """
    opened = tuple(named) or models[0].heads[:1]
    templates = [
        (f"look_pattern_{number}", figure_of(_template(patterns)).spec)
        for number, patterns in enumerate(models)
    ]
    page = Page(
        "look",
        title_of(models),
        fill("look.html", models=models),
        scripts=("pictures.js", "look.js"),
        has_charts=True,
        data=(
            ("look_models", script_json([_as_json(patterns) for patterns in models])),
            ("look_named", script_json([f"{head.model}:{head.index}" for head in opened])),
            *templates,
        ),
    )
    return document([page], ["look"], Links((), is_single=False))


def title_of(models: Sequence[ModelPatterns]) -> str:
    """What the page or figure is of: the models, and the text as far as a title has room."""
    text = " ".join(models[0].text.split())
    if len(text) > _TITLE_LENGTH:
        text = text[: _TITLE_LENGTH - 1].rstrip() + "…"
    return f"{' and '.join(patterns.model for patterns in models)} on “{text}”"


def _template(patterns: ModelPatterns) -> Any:
    """The chart of one head, in which the page puts the weights and name of another."""
    head = patterns.heads[0]
    return pattern_chart(patterns.pattern_of(head), name="look_pattern", title=str(head))


def _as_json(patterns: ModelPatterns) -> dict[str, Any]:
    """A model as `look.js` reads it; weights `[layer, head, query, key]`, little-endian."""
    missing = np.isnan(patterns.weights)
    units = np.where(missing, _NOT_STORED, np.rint(np.nan_to_num(patterns.weights) / _UNIT))
    packed = zlib.compress(units.astype("<u2").tobytes(), 6)
    return {
        "name": patterns.model,
        "shape": patterns.weights.shape[:2],
        "tokens": [
            [visible(token.text), shortened(token.text), token.is_structural]
            for token in patterns.tokens
        ],
        "unit": _UNIT,
        "missing": _NOT_STORED,
        "weights": base64.b64encode(packed).decode(),
    }
