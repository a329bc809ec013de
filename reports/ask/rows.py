"""The rows that travel with a page: a DuckDB file, and what the page's engine makes of it.

Relations that rest on the stored rows alone, or on functions of Python, travel as tables. The
others are SELECTs over these, which the page's engine evaluates itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingest.kernel.errors import InputError
from ingest.kernel.progress import Progress
from reports.ask.engine import packed
from sql.graph.catalog import relations, with_ancestors
from sql.graph.relation import Column, Relation
from sql.graph.stored import PLACED_ATTENTION
from sql.session import Session

# What DuckDB 1.4, the page's engine, reads.
STORAGE_VERSION = "v1.2.0"
# Characters of a page that all its parts are to stay below, unless more rows are asked for.
PAGE_LIMIT = 25_000_000
# Of it, what the page is without engine and rows: markup, style, Vega.
_PAGE_ITSELF = 2_000_000
# How many characters an attention row takes, rather more than less.
_CHARACTERS_A_ROW = 5.0
# Relations of one row a query and head are left out beyond this, unless more rows are asked for.
_MOST_QUERY_ROWS = 250_000
# The attention rows in the page's file, and the schema that the file is attached as.
_WEIGHTS, SCHEMA = "attention_weights", "page_rows"
_ATTENTION = {"attention", PLACED_ATTENTION}


@dataclass(frozen=True)
class RowChoice:
    """Which attention rows travel with a page.

    limit: at most so many; None for as many as keep the page below `PAGE_LIMIT`. where: a condition
    in SQL that they meet, such as `layer < 3`.
    """

    limit: int | None = None
    where: str | None = None


@dataclass(frozen=True)
class PageRelation:
    """A relation as a page has it. definition: its SELECT there; absent: why the page lacks it.

    is_table: evaluated once, and not by each query. reads: relations that it is made of.
    """

    name: str
    subject: str
    purpose: str
    columns: tuple[Column, ...]
    definition: str = ""
    is_table: bool = False
    reads: tuple[str, ...] = ()
    absent: str | None = None


@dataclass(frozen=True)
class PageRows:
    """What a page is asked about. content: the packed DuckDB file in base 64.

    n_rows, n_prompts: attention rows and prompts that it holds, of n_all and n_all_prompts.
    """

    content: str
    relations: tuple[PageRelation, ...]
    n_rows: int
    n_all: int
    prompt_ids: tuple[int, ...]
    n_all_prompts: int
    where: str | None


def read_rows(session: Session, choice: RowChoice, taken: int) -> PageRows:
    """Makes the rows for a page of a session's dataset, with the session's parameters.

    taken: characters of the page that its engine takes.

    Raises: InputError where the condition is refused.
    """
    found: dict[str, PageRelation] = {}
    for name in relations():
        found[name] = _placed(session, name, choice, found)
    tables = [name for name, made in found.items() if made.definition == _of_table(name)]
    per_prompt, n_all, n_all_prompts = _prompt_counts(session, choice)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.duckdb"
        limit = choice.limit
        if limit is None:
            left = PAGE_LIMIT - _PAGE_ITSELF - taken - len(_written(session, tables, None, path))
            limit = max(int(left / _CHARACTERS_A_ROW), 0)
        prompts = _fitting(per_prompt, limit)
        n_rows = sum(per_prompt[prompt] for prompt in prompts)
        weights = _weights_select(prompts, choice)
        with Progress("rows for the page Ask", n_rows, "rows") as progress:
            content = _written(session, tables, weights, path, progress)
    return PageRows(
        content=content,
        relations=tuple(found.values()),
        n_rows=n_rows,
        n_all=n_all,
        prompt_ids=prompts,
        n_all_prompts=n_all_prompts,
        where=choice.where,
    )


def served_relations(session: Session) -> tuple[PageRelation, ...]:
    """The relations as a page has them that asks the dataset itself."""
    return tuple(
        PageRelation(
            name=relation.name,
            subject=relation.subject,
            purpose=relation.purpose,
            columns=relation.columns,
            absent=_not_stored(session, relation),
        )
        for relation in relations().values()
    )


def _placed(
    session: Session, name: str, choice: RowChoice, before: Mapping[str, PageRelation]
) -> PageRelation:
    """A relation as a page has it, or why it does not. before: those that it reads, and others."""
    relation = relations()[name]
    definition, absent = "", _absence(session, relation, choice, before)
    if not absent:
        if name in _ATTENTION:
            definition = _attention_select(relation)
        elif _is_select(relation):
            definition = relation.definition
        else:
            definition = _of_table(name)
    return PageRelation(
        name=name,
        subject=relation.subject,
        purpose=relation.purpose,
        columns=relation.columns,
        definition=definition,
        is_table=_is_select(relation) and relation.storage != "view",
        reads=relation.reads if _is_select(relation) else (),
        absent=absent,
    )


def _absence(
    session: Session, relation: Relation, choice: RowChoice, before: Mapping[str, PageRelation]
) -> str | None:
    if _is_select(relation):
        return next(filter(None, (before[source].absent for source in relation.reads)), None)
    if missing := _not_stored(session, relation):
        return missing
    if _is_array(relation):
        return f"{relation.name} holds arrays for functions of Python; headswap sql has it"
    if relation.name not in _ATTENTION and {"head", "query"} <= set(relation.grain):
        (counted,) = session.rows(f'select count(*) as n from "{relation.name}"')
        most = max(choice.limit or 0, _MOST_QUERY_ROWS)
        if counted["n"] > most:
            return (
                f"{relation.name} has {counted['n']:,} rows; headswap report --with-rows takes "
                "more along"
            )
    return None


def _not_stored(session: Session, relation: Relation) -> str | None:
    """Which stored table a relation is made of that the dataset lacks, and what makes it."""
    stored = session.dataset.manifest.absent_tables()
    for ancestor in with_ancestors(relation.name):
        if ancestor in stored:
            command = relations()[ancestor].made_by
            return f"the dataset has no {ancestor}; headswap {command} makes them"
    return None


def _is_select(relation: Relation) -> bool:
    """Whether the page evaluates it: it reads no attention, or has a row for each weight."""
    reads_weights = bool(_ATTENTION & set(relation.reads))
    return relation.kind == "select" and (not reads_weights or "key" in relation.grain)


def _is_array(relation: Relation) -> bool:
    """Whether it holds arrays of numbers, which only the functions that declare it read."""
    is_computed = relation.kind == "computed"
    return is_computed and any(column.type == "double[]" for column in relation.columns)


def _of_table(name: str) -> str:
    return f'select * from {SCHEMA}."{name}"'


def _attention_select(relation: Relation) -> str:
    """The attention rows of the page's file with the columns and types of the relation."""
    columns = [
        f'weights."{column.name}"::{column.type} as "{column.name}"'
        for column in relation.columns
        if column.name != "prompt_place"
    ]
    if relation.name == "attention":
        return f"select {', '.join(columns)} from {SCHEMA}.{_WEIGHTS} as weights"
    place = "places.first_place + weights.prompt_id * places.n_positions as prompt_place"
    return (
        f"select {', '.join([place, *columns])} from {SCHEMA}.{_WEIGHTS} as weights "
        "inner join places on places.model = weights.model"
    )


def check_condition(session: Session, choice: RowChoice) -> None:
    """Raises: InputError where the condition is none on a row of attention."""
    _asked(session, choice, f"select * from attention where {_where(choice)} limit 1")


def _asked(session: Session, choice: RowChoice, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query with the condition, of which a refusal is."""
    try:
        with session.ask(sql) as found:
            return found.fetchall()
    except InputError as error:
        raise InputError(
            f"--rows-where {choice.where!r}: {error}",
            hint="a condition on a row of attention, for instance \"model = 'a' and layer < 3\"",
        ) from error


def _where(choice: RowChoice) -> str:
    # On lines of its own, as it may end in a comment.
    return "true" if choice.where is None else f"(\n{choice.where}\n)"


def _prompt_counts(session: Session, choice: RowChoice) -> tuple[dict[int, int], int, int]:
    """Rows that meet the condition by prompt; all rows, and prompts, of the dataset."""
    counting = (
        f"select prompt_id, count(*), count(*) filter (where {_where(choice)}) "
        "from attention group by prompt_id order by prompt_id"
    )
    per_prompt = _asked(session, choice, counting)
    chosen = {prompt: n_chosen for prompt, _, n_chosen in per_prompt if n_chosen}
    return chosen, sum(n for _, n, _ in per_prompt), len(per_prompt)


def _fitting(per_prompt: dict[int, int], limit: int) -> tuple[int, ...]:
    """The first prompts of which all rows fit.

    >>> _fitting({0: 10, 1: 20, 2: 5}, 30)
    (0, 1)
    """
    chosen, n_rows = [], 0
    for prompt, n in per_prompt.items():
        n_rows += n
        if n_rows > limit:
            break
        chosen.append(prompt)
    return tuple(chosen)


def _weights_select(prompts: Sequence[int], choice: RowChoice) -> str:
    """Sorted, so that a query for one head reads little more than its rows."""
    chosen = f"prompt_id in ({', '.join(map(str, prompts))})" if prompts else "false"
    return (
        "select model, layer::smallint as layer, head::smallint as head, prompt_id, query, key, "
        f"weight::float as weight from attention where {chosen} and {_where(choice)} "
        "order by model, layer, head, prompt_id, query, key"
    )


def _written(
    session: Session,
    tables: Sequence[str],
    weights: str | None,
    path: Path,
    progress: Progress | None = None,
) -> str:
    """Writes the file and gives it as a page holds it."""
    path.unlink(missing_ok=True)
    with duckdb.connect(":memory:", config={"threads": 1}) as target:
        target.execute(f"attach '{path}' as page (storage_version '{STORAGE_VERSION}')")
        for name in tables:
            grain = ", ".join(f'"{column}"' for column in relations()[name].grain)
            _copy(session.query(f'select * from "{name}" order by {grain}'), target, name)
        if weights is not None:
            _copy(session.query(weights), target, _WEIGHTS, progress)
        target.execute("detach page")
    return packed(path.read_bytes())


def _copy(
    rows: duckdb.DuckDBPyRelation,
    target: duckdb.DuckDBPyConnection,
    name: str,
    progress: Progress | None = None,
) -> None:
    reader = rows.to_arrow_reader()
    batches = reader if progress is None else _counted(reader, progress)
    target.register("given", pa.RecordBatchReader.from_batches(reader.schema, batches))
    target.execute(f'create table page."{name}" as select * from given')
    target.unregister("given")


def _counted(reader: pa.RecordBatchReader, progress: Progress) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield batch
        progress.add(len(batch))
