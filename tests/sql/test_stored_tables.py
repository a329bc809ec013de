"""A stored table that is declared in one place is found everywhere; one that is absent is told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from ingest.dataset.relations import STORED_TABLES, StoredColumn, StoredTable
from ingest.dataset.verification import verify
from ingest.dataset.writer import file_entry, write_table
from sql.graph.export import write_views
from tests.support.pages.relations import relation_pages
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

TOY = StoredTable(
    name="toy_effects",
    purpose="a toy: an effect of each head on each prompt",
    grain=("model", "layer", "head", "prompt_id"),
    columns=(
        StoredColumn("model", "string", "name of the model", refers_to="models.model"),
        StoredColumn("layer", "int16", "0-based"),
        StoredColumn("head", "int16", "0-based"),
        StoredColumn("prompt_id", "int32", "joins prompts", refers_to="prompts.prompt_id"),
        StoredColumn("effect", "float32", "in nats"),
    ),
    split="model",
    made_by="toy",
    is_optional=True,
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    write_views(dataset)
    return dataset


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> StoredTable:
    monkeypatch.setitem(STORED_TABLES, TOY.name, TOY)
    return TOY


@pytest.fixture
def with_toy(dataset: Path, toy: StoredTable) -> Path:
    """The dataset with rows of the toy table for both models."""
    entries = []
    for model in ("a", "b"):
        rows = [
            {"model": model, "layer": layer, "head": head, "prompt_id": prompt, "effect": 0.5}
            for layer in range(2)
            for head in range(3)
            for prompt in range(3)
        ]
        entries.append(write_table(dataset, toy.path(0, model), toy.name, rows, model))
    commit(dataset, read_manifest(dataset).with_files({toy.name: entries}))
    write_views(dataset)
    return dataset


def _problems(dataset: Path) -> list[str]:
    return [f"{p.path}: {p.what}" for check in verify(dataset) for p in check.problems]


def test_a_declared_table_is_found_everywhere(
    with_toy: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _problems(with_toy) == []
    assert run("verify", with_toy).code == 0
    manifest = json.loads((with_toy / "manifest.json").read_text())
    assert [entry["owner"] for entry in manifest["tables"]["toy_effects"]] == ["a", "b"]
    card = (with_toy / "README.md").read_text()
    assert "- config_name: toy_effects\n  data_files: 'toy_effects/*/*.parquet'" in card
    assert "| `toy_effects` | 36 | a toy: an effect" in card
    assert "toy_effects" in run("views").out
    assert "in nats" in run("views", "toy_effects").out
    query = "select count(*) as n, sum(effect) as total from toy_effects where model = 'a'"
    assert json.loads(run("sql", with_toy, query, "--json").out) == [{"n": 18, "total": 9.0}]
    assert "## toy_effects" in relation_pages()["relations/stored.md"]
    monkeypatch.chdir(with_toy)
    with duckdb.connect(":memory:") as connection:
        connection.execute(Path("views.sql").read_text(encoding="utf-8"))
        assert connection.sql("select count(*) from toy_effects").fetchall() == [(36,)]


def _rewrite(dataset: Path, column: str, value: Any) -> str:
    """Gives the first row of a toy file another value, and makes the manifest agree."""
    path = TOY.path(0, "a")
    table = pq.read_table(dataset / path)
    values = [value, *table[column].to_pylist()[1:]]
    index, field = table.schema.get_field_index(column), table.schema.field(column)
    pq.write_table(table.set_column(index, field, pa.array(values, field.type)), dataset / path)
    manifest = read_manifest(dataset)
    mine, other = manifest.tables[TOY.name]
    entries = (file_entry(dataset, path, mine.rows, mine.owner), other)
    commit(dataset, replace(manifest, tables=manifest.tables | {TOY.name: entries}))
    return path


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("model", "b", "has rows of another model than 'a'"),
        ("head", 3, "has a head that 'a' lacks"),
        ("layer", -1, "has a layer that 'a' lacks"),
        ("prompt_id", 99, "has a prompt_id that prompts lacks"),
        ("prompt_id", 1, "has two rows of one (model, layer, head, prompt_id)"),
        ("effect", float("nan"), "has a number in effect that is not finite"),
    ],
    ids=["model", "head", "layer", "prompt", "twice", "nan"],
)
def test_a_broken_row_is_found(with_toy: Path, column: str, value: Any, what: str) -> None:
    path = _rewrite(with_toy, column, value)
    write_views(with_toy)
    assert _problems(with_toy) == [f"{path}: {what}"]


def test_a_damaged_file_is_reported_with_the_command_that_makes_it(
    with_toy: Path, run: Run
) -> None:
    path = with_toy / TOY.path(0, "a")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    damaged = path.read_bytes()
    outcome = run("verify", with_toy, "--repair")
    assert outcome.code == 0
    assert "`headswap toy" in outcome.err
    # Nothing is thrown away: the file lies aside, and the dataset no longer names it.
    assert damaged in [file.read_bytes() for file in with_toy.glob("set-aside/**/*.aside")]
    assert not path.exists()


def test_a_dataset_without_it_verifies_in_full_and_says_so(
    dataset: Path, toy: StoredTable, run: Run
) -> None:
    write_views(dataset)
    outcome = run("verify", dataset, "--json")
    assert outcome.code == 0, outcome.out
    found = json.loads(outcome.out)
    counts = {check["name"]: check["n_checked"] for check in found["checks"]}
    assert counts["rows"] == 12 + 4
    assert counts["sums"] == 12
    assert counts["tables"] > 0
    optional = [name for name, table in STORED_TABLES.items() if table.is_optional]
    assert found["absent"] == optional
    assert optional[-1] == "toy_effects"
    assert "absent: toy_effects (`headswap toy` makes it)" in run("verify", dataset).out
    outcome = run("sql", dataset, "select * from toy_effects")
    assert outcome.code == 2
    assert "has no rows of the table toy_effects" in outcome.err
    assert "`headswap toy` makes them" in outcome.err
    views = (dataset / "views.sql").read_text(encoding="utf-8")
    (absent,) = re.findall(r"Not here, as this dataset lacks their tables: (.+)\.", views)
    assert "toy_effects" in absent.split(", ")
    rows = json.loads(run("sql", dataset, "select count(*) as n from heads", "--json").out)
    assert rows == [{"n": 12}]
