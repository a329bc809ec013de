"""The rows of the page Ask: its file and its SELECTs give what the session gives."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.kernel.errors import InputError
from reports.ask import rows as rows_module
from reports.ask.page import held_sentences
from reports.ask.rows import SCHEMA, PageRows, RowChoice, check_condition, read_rows
from sql.graph.catalog import relations
from sql.session import Session

ALL = RowChoice(limit=10**9)


def opened(rows: PageRows, folder: Path) -> duckdb.DuckDBPyConnection:
    """What the page's engine does with the rows, by a DuckDB of here."""
    path = folder / "rows.duckdb"
    path.write_bytes(gzip.decompress(base64.b64decode(rows.content)))
    connection = duckdb.connect(":memory:")
    connection.execute(f"attach '{path}' as {SCHEMA} (read_only)")
    for relation in rows.relations:
        if not relation.absent:
            connection.execute(f'create view "{relation.name}" as {relation.definition}')
    return connection


# Heads of these models have counterparts that are copies; atanh makes of the last bit of a cosine
# of 1 what is seen in the fourth place of a mean.
TOLERANCE = {"model_similarities": 1e-3}


def alike(first: Any, second: Any, tolerance: float = 1e-9) -> bool:
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=tolerance, abs_tol=tolerance)
    return bool(first == second)


@pytest.fixture(scope="module")
def all_rows(reference_session: Session) -> PageRows:
    return read_rows(reference_session, ALL, taken=0)


@pytest.fixture(scope="module")
def page(
    all_rows: PageRows, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    with opened(all_rows, tmp_path_factory.mktemp("page")) as connection:
        yield connection


PRESENT = [name for name, relation in relations().items() if name != "head_products"]


@pytest.mark.parametrize("name", PRESENT)
def test_relation_is_the_sessions(
    name: str, reference_session: Session, page: duckdb.DuckDBPyConnection
) -> None:
    columns = [f'"{column.name}"' for column in relations()[name].columns]
    select = f'select {", ".join(columns)} from "{name}" order by all'
    ours, theirs = page.sql(select), reference_session.query(select)
    assert ours.types == theirs.types
    found, expected = ours.fetchall(), theirs.fetchall()
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        for value, sessions in zip(row, wanted, strict=True):
            assert alike(value, sessions, TOLERANCE.get(name, 1e-9)), (row, wanted)


def test_what_is_absent_says_why(small_session: Session) -> None:
    rows = read_rows(small_session, ALL, taken=0)
    absent = {relation.name: relation.absent for relation in rows.relations if relation.absent}
    assert "functions of Python" in str(absent["head_products"])
    assert "headswap generate makes them" in str(absent["spearman_changes"])
    assert "headswap readout makes them" in str(absent["attention_norms"])
    assert not {"similarities", "verdicts", "attention"} & absent.keys()


def test_limit_takes_whole_prompts(small_session: Session, tmp_path: Path) -> None:
    per_prompt = small_session.query(
        "select prompt_id, count(*) from attention group by all order by 1"
    ).fetchall()
    limit = per_prompt[0][1] + per_prompt[1][1] + 1
    rows = read_rows(small_session, RowChoice(limit), taken=0)
    assert rows.prompt_ids == (0, 1)
    assert rows.n_rows == limit - 1
    with opened(rows, tmp_path) as connection:
        for name in ("attention", "attention_rows"):
            counted = f"select prompt_id, count(*) from {name} group by all order by 1"
            assert connection.sql(counted).fetchall() == per_prompt[:2]
        # What rests on all rows still does.
        select = "select * from head_scores order by all"
        assert connection.sql(select).fetchall() == small_session.query(select).fetchall()
    sentences = " ".join(held_sentences(rows))
    assert f"{rows.n_rows:,} of {rows.n_all:,} attention rows" in sentences
    assert "prompts 0, 1 (2 of 3)" in sentences


def test_condition_chooses_rows(small_session: Session, tmp_path: Path) -> None:
    choice = RowChoice(10**9, "model = 'b' and layer = 1 -- of these")
    rows = read_rows(small_session, choice, taken=0)
    with opened(rows, tmp_path) as connection:
        found = connection.sql("select distinct model, layer from attention").fetchall()
    assert found == [("b", 1)]
    assert "where model = 'b'" in held_sentences(rows)[0]


@pytest.mark.parametrize("where", ["", "nothing = 1", "cast(model as int) = 1"])
def test_condition_that_is_none_is_refused(where: str, small_session: Session) -> None:
    with pytest.raises(InputError, match="--rows-where"):
        check_condition(small_session, RowChoice(where=where))


def test_by_default_the_page_stays_below_its_limit(
    small_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = len(read_rows(small_session, ALL, taken=0).content)
    nothing = len(read_rows(small_session, RowChoice(0), taken=0).content)
    taken = 1_000_000
    itself = rows_module._PAGE_ITSELF
    half = taken + itself + (everything + nothing) // 2
    monkeypatch.setattr(rows_module, "PAGE_LIMIT", half)
    rows = read_rows(small_session, RowChoice(), taken)
    assert 0 < rows.n_rows < rows.n_all
    assert len(rows.content) + taken + itself < half
    monkeypatch.setattr(rows_module, "PAGE_LIMIT", taken)
    assert read_rows(small_session, RowChoice(), taken).prompt_ids == ()


def test_rows_of_queries_are_left_out_beyond_the_limit(
    small_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_MOST_QUERY_ROWS", 10)
    rows = read_rows(small_session, RowChoice(), taken=0)
    absent = {relation.name: relation.absent for relation in rows.relations if relation.absent}
    assert "rows; headswap report --with-rows" in str(absent["structural_mass"])
    assert "profiles" not in absent
