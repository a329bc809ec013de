"""The page Ask: what it is made of, and the sentences on what it holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import altair as alt
from markupsafe import Markup

from reports.ask.engine import HOW_TO_GET, Engine, read_engine
from reports.ask.rows import (
    SCHEMA,
    PageRelation,
    PageRows,
    RowChoice,
    check_condition,
    read_rows,
    served_relations,
)
from reports.charts.theme import LIGHT, inline, themed
from reports.site.rendering import Page, fill, script_json
from sql.access.limits import Limits
from sql.console.examples import examples
from sql.graph.relation import SUBJECTS
from sql.session import Session

# What they share, after the values of a result and who answers.
_SCRIPTS = ("ask_editor.js", "ask_chart.js", "ask.js")
TITLE = "Ask your own question of the rows"
# The engine's code is compiled from bytes, and runs beside the page in a worker whose text the page
# itself makes. Whatever these may do, they may not fetch: the worker has the page's policy.
_POLICY = (("script-src", "'wasm-unsafe-eval'"), ("worker-src", "blob:"))


class Questions(Protocol):
    """Who answers the questions of the page Ask."""

    def check(self, session: Session) -> None:
        """Raises: InputError where what was asked for does not fit the dataset."""

    def page(self, session: Session) -> Page | None:
        """The page; None where this install cannot make it, which was said."""


@dataclass(frozen=True)
class EmbeddedQuestions:
    """The page itself answers, by the engine that it holds, about the rows that it holds."""

    choice: RowChoice

    def check(self, session: Session) -> None:
        """Raises: InputError where the condition on rows is refused."""
        check_condition(session, self.choice)

    def page(self, session: Session) -> Page | None:
        """The page with its engine and rows; None where this install lacks the engine."""
        engine = read_engine()
        if engine is None:
            print(HOW_TO_GET, file=sys.stderr)
            return None
        return embedded_page(engine, read_rows(session, self.choice, engine.size))


@dataclass(frozen=True)
class ServedQuestions:
    """The program that serves the page answers, about all rows of the dataset, within limits."""

    limits: Limits

    def check(self, session: Session) -> None:
        """Nothing was asked for that might not fit."""

    def page(self, session: Session) -> Page | None:
        """The page, which works only where it is served from."""
        relations = served_relations(session)
        return Page(
            "ask",
            TITLE,
            _body(_served_sentences(session, self.limits), relations),
            scripts=("ask_values.js", "ask_served.js", *_SCRIPTS),
            has_charts=True,
            data=_data(relations),
            styles=("ask.css",),
            policy=(("connect-src", "'self'"),),
        )


def embedded_page(engine: Engine, rows: PageRows) -> Page:
    """The page that answers by the engine that it holds, about the rows that it holds."""
    held = [
        *held_sentences(rows),
        "Nothing leaves this page: DuckDB runs in it, and starts with the first question.",
    ]
    return Page(
        "ask",
        TITLE,
        _body(held, rows.relations, engine.licences),
        scripts=("ask_values.js", "ask_engine.js", *_SCRIPTS),
        has_charts=True,
        data=_data(rows.relations),
        styles=("ask.css",),
        libraries=(engine.main,),
        packed=(
            ("ask-worker", engine.worker),
            ("ask-wasm", engine.wasm),
            ("ask-rows", rows.content),
        ),
        policy=_POLICY,
    )


def _body(held: Sequence[str], relations: Sequence[PageRelation], licences: str = "") -> Markup:
    return fill(
        "ask.html",
        examples=examples(),
        subjects=_by_subject(relations),
        held=held,
        licences=licences,
    )


def _data(relations: Sequence[PageRelation]) -> tuple[tuple[str, Markup], ...]:
    return (("ask_chart_template", _chart()), ("ask_relations", _json(relations)))


def _served_sentences(session: Session, limits: Limits) -> list[str]:
    """What is asked, and how much a question may take."""
    n_rows = session.dataset.manifest.rows_of("attention")
    assert limits.memory is not None  # every sandbox has bounds
    return [
        f"Questions are about all {n_rows:,} attention rows of the dataset, and are answered by "
        "DuckDB on the machine that serves this page.",
        f"A question may take {limits.seconds:g} s and {limits.memory / 1e9:g} GB, and gets the "
        f"first {limits.rows:,} rows of its result.",
    ]


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


def _json(relations: Sequence[PageRelation]) -> Markup:
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
                for relation in relations
            ],
        }
    )


def _chart() -> Markup:
    """The looks of every chart of a result; its marks and rows come from the page."""
    empty: alt.Chart = alt.Chart(inline([])).mark_bar()
    chart = themed(empty, LIGHT, name="ask_chart", description="Chart of the result")
    return script_json(chart.to_dict(validate=False))
