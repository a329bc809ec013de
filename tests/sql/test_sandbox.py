"""Other people's queries: by default none writes, in a sandbox none leaves the dataset."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.bad.escapes import (
    EXHAUSTS,
    FILLS,
    READS_OUTSIDE,
    SECRET,
    WRITES,
    secrets_outside,
)
from tests.support.fresh import fresh_processes
from tests.support.interrupted import content
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with fresh_processes({"HEADSWAP_SECRET": SECRET}) as run_command:
        yield run_command


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("a"), SyntheticModel("b")]
    return write_synthetic_dataset(tmp_path_factory.mktemp("sandbox") / "dataset", models)


@pytest.fixture
def dataset(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "dataset")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return secrets_outside(tmp_path)


def _tried(run: Run, words: list[object], outside: Path, dataset: Path) -> tuple[int, str]:
    """Runs a query; whatever it says, nothing may have changed and no secret been told."""
    before = content(dataset), content(outside)
    outcome = run("sql", *words)
    rows, others = before
    after = content(dataset)
    # What a view that the query names gives may have been kept for the next; nothing else is new.
    assert {path: after.get(path) for path in rows} == rows
    assert not [path for path in after.keys() - rows.keys() if not path.startswith("views/")]
    assert content(outside) == others
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) <= 3, outcome.err
    assert SECRET not in outcome.out + outcome.err
    return outcome.code, outcome.out


@pytest.mark.parametrize("query", READS_OUTSIDE)
def test_nothing_outside_is_read_in_a_sandbox(
    query: str, run: Run, dataset: Path, outside: Path
) -> None:
    (dataset / "link.txt").symlink_to(outside / "secret.txt")
    filled = query.format(o=outside, d=dataset)
    code, out = _tried(run, [dataset, filled, "--sandbox", "--json"], outside, dataset)
    assert code == 2, out


@pytest.mark.parametrize("mode", ["default", "sandbox"])
@pytest.mark.parametrize("query", WRITES)
def test_no_query_writes(query: str, mode: str, run: Run, dataset: Path, outside: Path) -> None:
    filled = query.format(o=outside, d=dataset)
    words = [dataset, filled, *(["--sandbox"] if mode == "sandbox" else [])]
    code, out = _tried(run, words, outside, dataset)
    assert code == 2, out


@pytest.mark.parametrize("query", EXHAUSTS)
def test_a_query_without_end_is_stopped(query: str, run: Run, dataset: Path, outside: Path) -> None:
    words = [dataset, query, "--sandbox", "--timeout=0.5", "--memory-limit=500MB"]
    code, out = _tried(run, words, outside, dataset)
    assert code in (1, 2), out


@pytest.mark.parametrize("query", FILLS)
def test_a_query_that_would_fill_the_memory_is_refused(
    query: str, run: Run, dataset: Path, outside: Path
) -> None:
    words = [dataset, query, "--sandbox", "--timeout=20", "--memory-limit=200MB"]
    code, out = _tried(run, words, outside, dataset)
    assert code in (1, 2), out


def test_there_are_enough_attempts() -> None:
    assert len(READS_OUTSIDE) + len(WRITES) + len(EXHAUSTS) + len(FILLS) >= 40


@pytest.mark.parametrize("output", ["table", "csv", "json", "parquet"])
def test_honest_queries_work_in_a_sandbox(
    output: str, run: Run, dataset: Path, tmp_path: Path
) -> None:
    query = "select model, count(*) as n from attention group by model order by model"
    words = ["sql", dataset, query, f"--format={output}"]
    free, boxed = (
        run(*words, "-o", tmp_path / "free"),
        run(*words, "-o", tmp_path / "boxed", "--sandbox"),
    )
    assert (free.code, boxed.code) == (0, 0), boxed.err
    if output == "parquet":
        tables = [pq.read_table(tmp_path / name).to_pylist() for name in ("free", "boxed")]
        assert tables[0] == tables[1]
    else:
        assert (tmp_path / "free").read_bytes() == (tmp_path / "boxed").read_bytes()


def test_every_view_works_in_a_sandbox_and_nothing_is_kept(run: Run, dataset: Path) -> None:
    before = content(dataset)
    few = ("--sandbox", "--draws=999", "--json")
    # Rounded, as sums in another order differ in their last bits.
    query = "select layer_a, head_a, model_b, round(excess, 9) as e, p_family from match_statistics"
    rows = json.loads(run("sql", dataset, f"{query} order by all", *few).out)
    assert len(rows) == 12
    assert content(dataset) == before
    for options in (few[1:], few):  # computed and kept, then read
        assert json.loads(run("sql", dataset, f"{query} order by all", *options).out) == rows


def test_by_default_a_query_may_read_other_files(run: Run, dataset: Path, outside: Path) -> None:
    query = f"select * from read_csv('{outside}/secret.csv', header = false)"
    outcome = run("sql", dataset, query, "--format=csv")
    assert outcome.code == 0
    assert list(csv.reader(io.StringIO(outcome.out)))[1] == [SECRET]


@pytest.mark.parametrize(
    "query",
    [
        "explain select * from prompts",
        "explain analyze select * from prompts",
        "explain (format json) select * from profiles",
        "-- why\nexplain select 1",
        "describe profiles",
        "show tables",
        "summarize prompts",
        "from prompts",
        "values (1)",
        "select * from (pivot tokens on role in ('marker', 'step') using count(*))",
        "select 'copy x to y; delete from z' as text",
    ],
)
def test_what_reads_is_not_refused(query: str, run: Run, dataset: Path) -> None:
    outcome = run("sql", dataset, query)
    assert outcome.code == 0, outcome.err


def test_results_have_a_bound(run: Run, dataset: Path) -> None:
    words = ("sql", dataset, "select * from range(11)", "--json")
    assert len(json.loads(run(*words, "--max-rows=11").out)) == 11
    outcome = run(*words, "--max-rows=10")
    assert outcome.code == 2
    assert "more than 10 rows" in outcome.err
    assert not outcome.out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--timeout=0", "--timeout 0 is not possible"),
        ("--timeout=nan", "--timeout nan is not possible"),
        ("--timeout=inf", "--timeout inf is not possible"),
        ("--max-rows=-1", "--max-rows -1 is not possible"),
        ("--memory-limit=much", "'much' is not an amount of memory"),
        ("--memory-limit=-1GB", "'-1GB' is not an amount of memory"),
        ("--memory-limit=1KB", "'1KB' is not an amount of memory"),
    ],
)
def test_bounds_must_make_sense(option: str, message: str, run: Run, dataset: Path) -> None:
    outcome = run("sql", dataset, "select 1", option)
    assert outcome.code == 2
    assert message in outcome.err


def test_control_characters_do_not_reach_the_terminal(run: Run, dataset: Path) -> None:
    outcome = run("sql", dataset, "select chr(27) || '[31mred' as text, chr(7) as bell")
    assert outcome.code == 0
    assert not {"\x1b", "\x07"} & set(outcome.out)
    assert "\\x1b[31mred" in outcome.out


def test_a_link_in_a_dataset_leads_nowhere(run: Run, dataset: Path, outside: Path) -> None:
    (dataset / "prompts.parquet").unlink()
    (dataset / "prompts.parquet").symlink_to(outside / "secret.csv")
    assert _tried(run, [dataset, "from prompts"], outside, dataset)[0] == 2
