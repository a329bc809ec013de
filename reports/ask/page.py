"""The page Ask: what it is made of, and the sentences on what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import altair as alt
from markupsafe import Markup

from reports.ask.engine import Engine
from reports.ask.rows import SCHEMA, PageRelation, PageRows
from reports.charts.theme import LIGHT, inline, themed
from reports.site.rendering import Page, fill, script_json
from sql.console.examples import examples
from sql.graph.relation import SUBJECTS

TITLE = "Ask your own question of the rows"
# The engine's code is compiled from bytes, and runs beside the page in a worker whose text the page
# itself makes. Whatever these may do, they may not fetch: the worker has the page's policy.
_POLICY = (("script-src", "'wasm-unsafe-eval'"), ("worker-src", "blob:"))


def ask_page(engine: Engine, rows: PageRows) -> Page:
    """The page that answers questions by the engine that it holds, about the rows that it holds."""
    return Page(
        "ask",
        TITLE,
        fill(
            "ask.html",
            examples=examples(),
            subjects=_by_subject(rows.relations),
            held=held_sentences(rows),
            licences=engine.licences,
        ),
        scripts=("ask_values.js", "ask_engine.js", "ask_editor.js", "ask_chart.js", "ask.js"),
        has_charts=True,
        data=(("ask_chart_template", _chart()), ("ask_relations", _json(rows))),
        styles=("ask.css",),
        libraries=(engine.main,),
        packed=(
            ("ask-worker", engine.worker),
            ("ask-wasm", engine.wasm),
            ("ask-rows", rows.content),
        ),
        policy=_POLICY,
    )


def held_sentences(rows: PageRows) -> list[str]:
    """What the page holds of the dataset, and what it does not."""
    n, total = f"{rows.n_rows:,}", f"{rows.n_all:,}"
    if rows.n_rows == rows.n_all:
        sentences = [f"This page holds all {total} attention rows of the dataset."]
    else:
        which = "" if rows.where is None else f" where {rows.where}"
        noun = {0: "no prompt", 1: "prompt "}.get(len(rows.prompt_ids), "prompts ")
        prompts = f"{noun}{_ranges(rows.prompt_ids)}"
        of_all = f"{len(rows.prompt_ids):,} of {rows.n_all_prompts:,}"
        sentences = [
            f"This page holds {n} of {total} attention rows: those of {prompts} ({of_all}){which}.",
            "Only attention, attention_rows and attention_norms are cut; every other relation is "
            "over all rows. headswap sql asks the whole dataset, headswap report --with-rows "
            "takes more rows along.",
        ]
    return sentences


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in words, as few as suffice.

    >>> _ranges([0, 1, 2, 5]), _ranges([3])
    ('0 to 2, 5', '3')
    """
    parts: list[str] = []
    for _, members in groupby(enumerate(numbers), lambda entry: entry[1] - entry[0]):
        run = [number for _, number in members]
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)
    shown = parts if len(parts) <= 12 else [*parts[:11], "…", parts[-1]]
    return ", ".join(shown)


def _by_subject(relations: Sequence[PageRelation]) -> dict[str, list[PageRelation]]:
    """Relations under their headings, in reading order."""
    return {
        heading: found
        for subject, heading in SUBJECTS.items()
        if (found := [relation for relation in relations if relation.subject == subject])
    }


def _json(rows: PageRows) -> Markup:
    return script_json(
        {
            "schema": SCHEMA,
            "relations": [
                {
                    "name": relation.name,
                    "columns": [column.name for column in relation.columns],
                    "definition": relation.definition,
                    "table": relation.is_table,
                    "reads": relation.reads,
                    "absent": relation.absent,
                }
                for relation in rows.relations
            ],
        }
    )


def _chart() -> Markup:
    """The looks of every chart of a result; its marks and rows come from the page."""
    empty: alt.Chart = alt.Chart(inline([])).mark_bar()
    chart = themed(empty, LIGHT, name="ask_chart", description="Chart of the result")
    return script_json(chart.to_dict(validate=False))
