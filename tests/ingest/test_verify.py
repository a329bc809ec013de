"""`headswap verify`: every promise broken once, flipped bytes, and repairs."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.dataset.commit import commit
from ingest.dataset.manifest import FileEntry, Manifest, read_manifest
from ingest.dataset.verification import verify
from ingest.dataset.writer import file_entry
from ingest.prompts.prompt_set import PAIRED_TASKS
from sql.console.verify_command import problems_of, run_checks
from sql.graph.export import write_views
from sql.session import open_session
from tests.support import flips
from tests.support.interrupted import content
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

PART = "attention/a/part-00000.parquet"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    dataset = write_synthetic_dataset(tmp_path_factory.mktemp("verify") / "dataset", models)
    write_views(dataset)
    return dataset


@pytest.fixture
def dataset(sound: Path, tmp_path: Path) -> Path:
    copy = shutil.copytree(sound, tmp_path / "dataset")
    write_views(copy)  # which name the folder that they lie in
    return copy


def _problems(dataset: Path, quick: bool = False) -> dict[str, list[str]]:
    return {
        check.name: [f"{problem.path}: {problem.what}" for problem in check.problems]
        for check in verify(dataset, quick)
        if check.problems
    }


def test_a_sound_dataset_passes_every_check(dataset: Path, run: Run) -> None:
    outcome = run("verify", dataset)
    assert outcome.code == 0, outcome.out
    checked = json.loads(run("verify", dataset, "--json").out)
    assert checked["sound"]
    counts = {check["name"]: check["n_checked"] for check in checked["checks"]}
    # 2 models x 2 layers x 3 heads, and for each model that all prompts are there, once.
    assert counts["sums"] == 12
    assert counts["rows"] == 12 + 4
    assert counts["checksums"] == counts["files"] == counts["schemas"] == 5
    quick = json.loads(run("verify", dataset, "--json", "--quick").out)
    counts = {check["name"]: check["n_checked"] for check in quick["checks"]}
    assert counts["sums"] == counts["rows"] == counts["checksums"] == 0
    assert counts["files"] == 5


def test_what_was_measured_is_what_sql_finds(dataset: Path, run: Run) -> None:
    outcome = run("verify", dataset)
    with open_session(dataset) as session:
        rows = session.rows("select * from row_checks order by model")
    for row in rows:
        assert (
            f"{row['model']}: {row['n_rows']:,} rows, the weights of a query sum to 1 within "
            f"{row['largest_error']:.1e} (at most 1e-04)"
        ) in outcome.out.splitlines()
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("options", "unread"),
    [((), None), (("--quick",), "checksums, rows, sums"), (("cut",), "rows, sums, views.sql")],
    ids=["all", "quick", "tables not sound"],
)
def test_what_was_not_looked_at_is_said(
    options: tuple[str, ...], unread: str | None, dataset: Path, run: Run
) -> None:
    if options == ("cut",):
        _rewrite(dataset, "tokens.parquet", _set("position", 3, 2))
        options = ()
    found = json.loads(run("verify", dataset, *options, "--json").out)
    lines = [] if unread is None else [f"{unread}: left out by --quick, or rest on what is wrong"]
    lines += [
        "whether the models still give these rows: only --repair runs them, for damaged files",
        "whether claims about heads hold: `headswap claims` does that",
    ]
    assert found["not_looked_at"] == lines
    shown = run("verify", dataset, *options).out.splitlines()
    assert [line for line in shown if line.startswith("not looked at: ")] == [
        f"not looked at: {line}" for line in lines
    ]


def _rewrite(
    dataset: Path,
    path: str,
    change: Callable[[pa.Table], pa.Table],
    row_group_size: int | None = None,
) -> None:
    """Changes a file of rows and makes the manifest agree, as a faulty writer would."""
    file = pq.ParquetFile(dataset / path)
    size = row_group_size or file.metadata.row_group(0).num_rows
    table = change(file.read())
    pq.write_table(table, dataset / path, row_group_size=size)
    manifest = read_manifest(dataset)

    def replaced(old: FileEntry) -> FileEntry:
        return file_entry(dataset, path, len(table), old.owner) if old.path == path else old

    tables = {name: tuple(map(replaced, entries)) for name, entries in manifest.tables.items()}
    commit(dataset, replace(manifest, tables=tables))


def _set(column: str, row: int, value: Any) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        values[row] = value
        index = table.schema.get_field_index(column)
        field = table.schema.field(column)
        return table.set_column(index, field, pa.array(values, field.type))

    return change


def _without_row(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 5), table.slice(6)])


def _swapped_rows(table: pa.Table) -> pa.Table:
    order = np.arange(len(table))
    order[[4, 5]] = order[[5, 4]]
    return table.take(pa.array(order))


BROKEN_ROWS: dict[str, tuple[str, Callable[[pa.Table], pa.Table], str, str]] = {
    "weight": (
        PART,
        _set("weight", 3, 0.9),
        "sums",
        "L0H0 has a query whose weights sum",
    ),
    "below 0": (PART, _set("weight", 3, -0.1), "sums", "L0H0 has weights below 0"),
    "not a number": (PART, _set("weight", 3, float("nan")), "sums", "no finite numbers"),
    "infinite": (PART, _set("weight", 3, float("inf")), "sums", "no finite numbers"),
    "key": (PART, _set("key", 3, 1), "rows", "L0H0 lacks rows, or has others"),
    "query": (PART, _set("query", 3, 9), "rows", "L0H0 lacks rows, or has others"),
    "head": (PART, _set("head", 3, 2), "rows", "L0H0 lacks rows, or has others"),
    "layer": (PART, _set("layer", 3, 1), "rows", "L0H0 lacks rows, or has others"),
    "prompt": (PART, _set("prompt_id", 3, 77), "rows", "rows of the unknown prompt 77"),
    "row gone": (PART, _without_row, "rows", "one row group a head, all of one size"),
    "order": (PART, _swapped_rows, "rows", "L0H0 lacks rows, or has others"),
    "position": ("tokens.parquet", _set("position", 3, 2), "tables", "do not count 0, 1, 2"),
    "token's prompt": ("tokens.parquet", _set("prompt_id", 0, 99), "tables", "just the stored"),
    "prompt twice": ("prompts.parquet", _set("prompt_id", 1, 0), "tables", "a prompt_id twice"),
    "model's name": ("models.parquet", _set("model", 0, "z"), "tables", "lacks the model 'a'"),
    "model's dtype": ("models.parquet", _set("dtype", 0, "float64"), "tables", "says dtype"),
    "column": (PART, lambda table: table.drop_columns("key"), "schemas", "other columns"),
}


@pytest.mark.parametrize("case", BROKEN_ROWS)
def test_every_broken_promise_is_found(case: str, dataset: Path) -> None:
    """Also where the manifest, checksums included, agrees with the broken file."""
    path, change, check, message = BROKEN_ROWS[case]
    _rewrite(dataset, path, change)
    found = _problems(dataset)
    assert check in found, found
    assert any(message in problem for problem in found[check]), found
    assert "checksums" not in found


def _with(**changes: object) -> Callable[[Manifest], Manifest]:
    return lambda manifest: replace(manifest, **changes)  # type: ignore[arg-type]


def test_prompts_missing_and_double_are_found(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    first, second = manifest.tables["attention"]
    double = manifest.tables | {"attention": (first, first, second)}
    commit(dataset, replace(manifest, tables=double))
    assert any("a prompt in two files" in text for text in _problems(dataset)["rows"])
    commit(dataset, replace(manifest, tables=manifest.tables | {"attention": (second,)}))
    found = _problems(dataset)
    assert any("has nothing of prompt 0" in text for text in found["rows"])
    assert found["orphans"] == [f"{PART}: is not named by the manifest"]


def test_more_rows_than_the_prompts_have_are_not_read(dataset: Path) -> None:
    """A trap for memory: few bytes that stand for many rows."""
    n = 6 * 5000
    rows = {name: np.zeros(n, int) for name in pq.read_schema(dataset / PART).names}
    trap = pa.table(rows).cast(pq.read_schema(dataset / PART))
    _rewrite(dataset, PART, lambda _: trap, row_group_size=5000)
    (problem,) = _problems(dataset)["rows"]
    assert "more rows than its prompts have queries and keys" in problem


def test_the_flip_of_a_bit_is_found_in_every_file(dataset: Path) -> None:
    generator = random.Random(0)
    for path in content(dataset):
        original = (dataset / path).read_bytes()
        flips.flip(dataset / path, generator)
        assert problems_of(run_checks(dataset)), path
        (dataset / path).write_bytes(original)
    assert not problems_of(run_checks(dataset))


def test_what_is_wrong_is_listed_and_the_exit_code_says_so(dataset: Path, run: Run) -> None:
    (dataset / PART).unlink()
    (dataset / "tokens-9.parquet").write_bytes(b"left behind")
    outcome = run("verify", dataset)
    assert outcome.code == 1
    assert f"{PART}: is missing" in outcome.out
    assert "tokens-9.parquet: is not named by the manifest" in outcome.out
    assert "is not sound: 2 problems" in outcome.err
    assert run("verify", dataset.parent / "nothing").code == 2
    assert "Traceback" not in outcome.err


def test_flipped_bits_are_repaired(ingested_reference: Path, tmp_path: Path) -> None:
    """A shorter version of `python -m tests.support.flips 200`."""
    dataset = shutil.copytree(ingested_reference, tmp_path / "dataset")
    assert flips.flip_and_repair(dataset, PAIRED_TASKS, 6, seed=1) == (6, 6)


def test_a_repair_removes_orphans_and_needs_no_model_for_it(dataset: Path, run: Run) -> None:
    before = content(dataset)
    (dataset / "attention" / "a" / "part-00007.parquet").write_bytes(b"left behind")
    (dataset / "models.parquet.partial").write_bytes(b"left behind")
    (dataset / "views.sql").write_text("select 1")
    assert run("verify", dataset, "--repair").code == 0
    assert {path: sha for path, sha in content(dataset).items() if path != ".lock"} == before


def test_a_repair_without_the_model_changes_nothing(dataset: Path, run: Run) -> None:
    path = dataset / PART
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    before = content(dataset)
    outcome = run("verify", dataset, "--repair")
    assert outcome.code == 2, outcome.err
    assert "model 'a'" in outcome.err
    assert {name: sha for name, sha in content(dataset).items() if name != ".lock"} == before


def test_damaged_prompts_want_their_file(reference_dataset: Path, tmp_path: Path, run: Run) -> None:
    dataset = shutil.copytree(reference_dataset, tmp_path / "dataset")
    (dataset / "prompts.parquet").unlink()
    other = tmp_path / "other.jsonl"
    other.write_text(
        '{"pair_id": 1, "variant": "standard", "task": "Make tea", "steps": ["Boil water"]}\n'
    )
    outcome = run("verify", dataset, "--repair", "--prompts", other)
    assert outcome.code == 2
    assert (
        "holds no prompt" in outcome.err
        or "holds other prompts" in outcome.err
        or ("has no prompt of the variant" in outcome.err)
    )
    assert run("verify", dataset, "--repair").code == 0
    assert content(dataset).keys() - {".lock"} == content(reference_dataset).keys() - {".lock"}
