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

from tests.support.fresh import fresh_processes
from tests.support.interrupted import content
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

SECRET = "the-secret-of-this-machine"


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
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("secret.csv", "secret.json", "secret.txt"):
        (folder / name).write_text(f'"{SECRET}"\n')
    return folder


# {o}: a folder outside the dataset with a secret; {d}: the dataset.
READS_OUTSIDE = [
    "from read_csv('{o}/secret.csv', header = false)",
    "from read_csv_auto('{o}/secret.csv')",
    "from read_text('{o}/secret.txt')",
    "from read_blob('{o}/secret.txt')",
    "from read_json('{o}/secret.json')",
    "from read_ndjson_objects('{o}/secret.json')",
    "from sniff_csv('{o}/secret.csv')",
    "from '{o}/secret.csv'",
    'from "{o}/secret.csv"',
    "from '{d}/../outside/secret.csv'",
    "from read_text('{d}/link.txt')",
    "from read_text('{d}/views/../../outside/secret.txt')",
    "from read_text('file://{o}/secret.txt')",
    "from query_table('{o}/secret.csv')",
    "from query('from read_text(''{o}/secret.txt'')')",
    "from glob('{o}/*')",
    "from glob('/etc/*')",
    "from read_text('/etc/passwd')",
    "from read_text('/proc/self/environ')",
    "from parquet_metadata('{o}/secret.csv')",
    "from parquet_schema('{o}/secret.csv')",
    "from read_parquet('http://127.0.0.1:9/secret.parquet')",
    "from read_csv('https://example.com/secret.csv')",
    "from read_parquet('s3://bucket/secret.parquet')",
    "from read_duckdb('{o}/secret.db')",
    "from sqlite_scan('{o}/secret.db', 'secrets')",
    "from postgres_scan('host=127.0.0.1', 'public', 'secrets')",
    "select getenv('HEADSWAP_SECRET')",
    "select content from read_text('{o}/secret.txt') where 1 = (select count(*) from prompts)",
    "with secret as (from read_text('{o}/secret.txt')) select content from secret",
    "from secret",  # a variable of this test
    "from duckdb_secrets()",
    "from which_secret('s3://x', 's3')",
]
WRITES = [
    "copy (select 1) to '{o}/new.csv'",
    "copy prompts to '{d}/prompts.parquet'",
    "with x as (copy (select 1) to '{o}/new.csv') select 1",
    "with x as (copy (select 1) to '{d}/prompts.parquet') from x",
    "explain analyze copy (select 1) to '{o}/new.csv'",
    "explain analyze with x as (copy (select 1) to '{o}/new.csv') select 1",
    "/* explain */ explain /* a */ analyze copy (select 1) to '{o}/new.csv'",
    "export database '{o}/export'",
    "attach '{o}/new.db'",
    "attach '{d}/new.db' as other",
    "create table '{o}/x' as select 1",
    "create table x as select 1",
    "create secret (type s3)",
    "create macro profiles() as 1",
    "drop view profiles",
    "with x as (insert into parameters select * from parameters returning *) from x",
    "with x as (delete from parameters returning *) select 1",
    "with x as (update parameters set bins = 3 returning *) select bins from x",
    "insert into parameters select * from parameters",
    "update parameters set bins = 3",
    "delete from parameters",
    "truncate parameters",
    "alter table parameters drop column bins",
    "install httpfs",
    "load httpfs",
    "load '{o}/secret.so'",
    "set memory_limit = '1TB'",
    "set enable_external_access = true",
    "reset memory_limit",
    "pragma enable_profiling",
    "pragma threads = 64",
    "call enable_logging()",
    "select * from enable_logging(storage = 'file', storage_path = '{o}/log')",
    "select * from enable_profiling(save_location = '{o}/profile.json')",
    "call pragma_version()",
    "import database '{o}'",
    "use memory",
    "begin",
    "checkpoint",
    "vacuum",
    "prepare x as select 1",
    "select 1; copy (select 1) to '{o}/new.csv'",
    "select 1; drop view profiles",
    "detach memory",
]
EXHAUSTS = [
    "select count(*) from range(100000000) a, range(100000000) b",
    "with recursive r as (select 1::hugeint as n union all select n + 1 from r) from r",
    "select count(*) from attention a, attention b, attention c, attention d, attention e",
    "select sum(sqrt(a.range * b.range)) from range(10000000000) a, range(1000) b",
]
FILLS = [
    "select repeat('x', 4000000000)",
    "select list(range) from range(2000000000)",
    "select string_agg(md5(range::varchar)) from range(1000000000)",
    "select * from range(3000000000) order by hash(range)",
    "select " + "(" * 20000 + "1" + ")" * 20000,
    "select " + "1 + " * 100000 + "1",
    "select * from attention, range(1000000)",
]


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
