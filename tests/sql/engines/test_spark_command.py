"""`headswap sql`, `report`, `claims` on a Spark cluster print and write what DuckDB's do."""

from __future__ import annotations

import base64
import filecmp
import gzip
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import headswap
from tests.support.engines import differences
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

ROWS = re.compile(r'id="ask-rows">([^<]*)<')
QUERY = "select model, layer, count(*) from heads group by all order by model, layer"


def on_spark(master: str, tmp_path: Path) -> list[str]:
    return ["--engine=spark", f"--master={master}", f"--warehouse={tmp_path}"]


@pytest.mark.parametrize("form", [["--rows=3"], ["--format=csv"], ["--json"]], ids=" ".join)
def test_a_result_is_printed_as_duckdbs(
    form, demo_dataset: Path, spark_master: str, run: Run, tmp_path: Path
) -> None:
    words = ["sql", demo_dataset, QUERY, *form]
    expected = run(*words)
    outcome = run(*words, *on_spark(spark_master, tmp_path))
    assert (outcome.code, outcome.out) == (0, expected.out)
    assert _untimed(outcome.err) == _untimed(expected.err)
    assert list(tmp_path.iterdir()) == []


def _untimed(text: str) -> str:
    return re.sub(r"[\d.,]+ s\b", "T s", text)


def test_what_duckdb_has_kept_is_asked_of_spark(
    spark_master: str, run: Run, tmp_path: Path
) -> None:
    dataset = write_synthetic_dataset(tmp_path / "dataset", [SyntheticModel("a")])
    # Made of what is kept, while nothing that the kept rows are made of is there.
    query = (
        "select layer, head, bin, round(mass, 9) as mass from profiles order by layer, head, bin"
    )
    words = ["sql", dataset, query, "--format=csv"]
    expected = run(*words)
    assert list((dataset / "views").iterdir())
    outcome = run(*words, *on_spark(spark_master, tmp_path / "warehouse"))
    assert (outcome.code, outcome.out) == (0, expected.out), outcome.err


@pytest.mark.slow
def test_a_claim_holds_as_on_duckdb(spark_master: str, run: Run, tmp_path: Path) -> None:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    words = ["claims", dataset, "--claim=a:L1H1 ~ b:L0H2 above same index"]
    expected = run(*words)
    outcome = run(*words, *on_spark(spark_master, tmp_path))
    assert (outcome.code, outcome.out) == (expected.code, expected.out)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["select 1 / (layer - layer) as x from heads"], 2, "division by zero"),
        (["select * from heads", "--max-rows=5"], 2, "the result has more than 5 rows"),
        (
            [
                "select count(*) as n from attention as a inner join attention as b using (key) "
                "inner join attention as c using (key)",
                "--timeout=2",
            ],
            1,
            "the query was stopped after 2 s",
        ),
    ],
    ids=["division by 0", "rows", "seconds"],
)
def test_what_goes_wrong_is_one_line_and_the_next_query_runs(
    words, code, message, demo_dataset: Path, spark_master: str, run: Run, tmp_path: Path
) -> None:
    engine = on_spark(spark_master, tmp_path)
    outcome = run("sql", demo_dataset, *words, *engine)
    assert outcome.code == code
    first, *rest = outcome.err.splitlines()
    assert message in first
    assert [line.partition(":")[0] for line in rest] == ["Hint"]
    assert list(tmp_path.iterdir()) == []
    assert run("sql", demo_dataset, "select 1 as n from models limit 1", *engine).code == 0


def test_a_dataset_is_opened_on_spark_from_python(
    demo_dataset: Path, spark_master: str, tmp_path: Path
) -> None:
    with headswap.open(demo_dataset) as data:
        expected = data.sql(QUERY).fetchall()
    with headswap.open(
        demo_dataset, engine="spark", master=spark_master, warehouse=tmp_path
    ) as data:
        assert data.sql(QUERY).fetchall() == expected
        assert list(tmp_path.iterdir()) != []
    assert list(tmp_path.iterdir()) == []


def test_another_master_is_refused_where_spark_runs(
    demo_dataset: Path, spark_master: str, run: Run, tmp_path: Path
) -> None:
    outcome = run("sql", demo_dataset, QUERY, *on_spark("spark://127.0.0.1:9", tmp_path))
    assert outcome.code == 2
    assert f"already runs Spark on {spark_master}" in outcome.err


@pytest.mark.slow
def test_the_pages_are_duckdbs(
    demo_dataset: Path, spark_master: str, run: Run, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("duckdb", "spark")]
    engines = [[], on_spark(spark_master, tmp_path / "warehouse")]
    for folder, engine in zip(folders, engines, strict=True):
        assert run("report", demo_dataset, "--out", folder, *engine).code == 0
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == sorted(path.name for path in folders[1].iterdir())
    _, unlike, errors = filecmp.cmpfiles(folders[0], folders[1], names, shallow=False)
    # It alone holds numbers as they are, not rounded, and engines add up in other orders.
    assert (set(unlike) - {"ask.html"}, errors) == (set(), [])
    pages = [(folder / "ask.html").read_text(encoding="utf-8") for folder in folders]
    assert ROWS.sub("", pages[0]) == ROWS.sub("", pages[1])
    tables = [tables_of(page, tmp_path / "rows.duckdb") for page in pages]
    assert tables[0].keys() == tables[1].keys() >= {"migration_map", "match_tests"}
    unlike_tables = {name: differences(table, tables[1][name]) for name, table in tables[0].items()}
    assert {name: lines for name, lines in unlike_tables.items() if lines} == {}


def tables_of(page: str, file: Path) -> dict[str, pa.Table]:
    """The tables that a page Ask holds; file: where they are unpacked."""
    (packed,) = ROWS.findall(page)
    file.write_bytes(gzip.decompress(base64.b64decode(packed)))
    with duckdb.connect(str(file), read_only=True) as held:
        names = [name for (name,) in held.execute("show tables").fetchall()]
        return {name: held.table(name).to_arrow_table() for name in names}
