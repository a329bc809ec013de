"""`views.sql` in a DuckDB of its own, without headswap; and the list of views."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from ingest.dataset.commit import commit
from ingest.dataset.manifest import FileEntry, read_manifest
from ingest.dataset.writer import file_entry
from sql.graph.catalog import relations
from sql.graph.export import needs_python, write_views
from sql.session import open_session
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    return write_synthetic_dataset(tmp_path / "data's set", models)


def test_plain_duckdb_gets_the_same_views(
    reference_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Path(shutil.copytree(reference_dataset, tmp_path / "data's set"))
    write_views(dataset)
    with open_session(dataset) as session:
        expected = {
            name: session.rows(f"select * from {name} order by all")
            for name in relations()
            if not needs_python(name)
        }
    assert len(expected) >= 20
    monkeypatch.chdir(dataset)
    with duckdb.connect(":memory:") as connection:
        connection.execute(Path("views.sql").read_text(encoding="utf-8"))
        for name, rows in expected.items():
            relation = connection.sql(f"select * from {name} order by all")
            found = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
            assert len(found) == len(rows), name
            for ours, theirs in zip(rows, found, strict=True):
                for column, value in ours.items():
                    if isinstance(value, float):
                        assert theirs[column] == pytest.approx(value, abs=1e-12), name
                    else:
                        assert theirs[column] == value, name


def test_views_are_listed_and_explained(run: Run) -> None:
    outcome = run("views")
    listed = [line.split()[0] for line in outcome.out.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(relations())
    outcome = run("views", "profiles")
    for column in relations()["profiles"].columns:
        assert column.meaning in outcome.out
    assert json.loads(run("views", "profiles", "--json").out)[0]["grain"] == [
        *relations()["profiles"].grain
    ]
    outcome = run("views", "nonsense")
    assert outcome.code == 2
    assert "no relation 'nonsense'" in outcome.err


def test_files_without_statistics_give_the_same_views(dataset: Path) -> None:
    write_views(dataset)
    expected = _statements(dataset)
    manifest = read_manifest(dataset)
    tables: dict[str, tuple[FileEntry, ...]] = {}
    for name, (entry, *others) in manifest.tables.items():
        table = pq.read_table(dataset / entry.path)
        pq.write_table(table, dataset / entry.path, write_statistics=False)
        tables[name] = (file_entry(dataset, entry.path, entry.rows, entry.owner), *others)
    commit(dataset, replace(manifest, tables=tables))
    (dataset / "views.sql").unlink()
    write_views(dataset)
    assert _statements(dataset) == expected


def _statements(dataset: Path) -> str:
    """The file without its first line, which is a hash of the manifest and the declarations."""
    return (dataset / "views.sql").read_text(encoding="utf-8").partition("\n")[2]


def test_views_of_an_unchanged_dataset_are_not_written_again(dataset: Path) -> None:
    write_views(dataset)
    file = dataset / "views.sql"
    with file.open("a", encoding="utf-8") as text:
        text.write("-- kept as it is\n")
    write_views(dataset)
    assert file.read_text(encoding="utf-8").endswith("-- kept as it is\n")
    commit(dataset, replace(read_manifest(dataset), written_with={"x": "1"}))
    write_views(dataset)
    assert not file.read_text(encoding="utf-8").endswith("-- kept as it is\n")
