"""What a session computes for a query: what the query names, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest.kernel.errors import InputError
from sql.session import open_session
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    return write_synthetic_dataset(tmp_path / "dataset", models)


@pytest.mark.parametrize(
    ("query", "built"),
    [
        ("select count(*) as matches from models -- claims", {"models"}),
        ("select 'profiles' as heads, 1 as pairs", set()),
        ("with heads as (select 1 as n) select n from heads", set()),
        (
            "select a.layer from heads a join models b using (model)",
            {"heads", "models", "numbers", "layers"},
        ),
        ("explain select * from bins", {"bins", "numbers", "parameters"}),
        ("describe bins", {"bins", "numbers", "parameters"}),
        ("summarize pairs", {"pairs"}),
        ('select * from "Pairs"', {"pairs"}),
    ],
    ids=["words", "text", "with", "using", "explain", "describe", "summarize", "quoted"],
)
def test_only_what_a_query_names_is_made(query: str, built: set[str], dataset: Path) -> None:
    with open_session(dataset) as session, session.ask(query) as relation:
        relation.fetchall()
        assert session._built - {"models"} == built - {"models"}


def test_a_join_by_inequality_only_reads(dataset: Path, run: Run) -> None:
    query = "select count(*) as n from attention a, attention b where a.weight > b.weight"
    outcome = run("sql", dataset, query, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)[0]["n"] > 0


@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1) to '{t}/x.csv'",
        "with gone as (delete from pairs returning *) select * from gone",
        "with more as (insert into pairs select * from pairs returning *) select * from more",
    ],
    ids=["copy", "delete", "insert"],
)
def test_what_writes_is_refused(query: str, dataset: Path, tmp_path: Path) -> None:
    with (
        open_session(dataset) as session,
        pytest.raises(InputError, match="does not only read"),
        session.ask(query.replace("{t}", str(tmp_path))) as relation,
    ):
        relation.fetchall()
    assert not (tmp_path / "x.csv").exists()


def test_a_sum_of_many_terms_is_computed(dataset: Path, run: Run) -> None:
    """Its tree is deeper than Python's stack."""
    query = f"select {' + '.join(['1'] * 900)} as n from heads limit 1"
    assert json.loads(run("sql", dataset, query, "--json").out) == [{"n": 900}]


def test_frames_are_polars(dataset: Path) -> None:
    with open_session(dataset) as session:
        frame = session.frame("select label from heads where model = $model", {"model": "a"})
    assert frame["label"].to_list()[:4] == ["L0H0", "L0H1", "L0H2", "L1H0"]
