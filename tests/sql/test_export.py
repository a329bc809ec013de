"""`views.sql` in a DuckDB of its own, without headswap; and the list of views."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from ingest.dataset.commit import commit
from ingest.dataset.manifest import FileEntry, read_manifest
from ingest.dataset.writer import file_entry
from sql.graph.catalog import missing_table, relations
from sql.graph.export import needs_python, write_portable_views, write_views
from sql.session import open_session
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    return write_synthetic_dataset(tmp_path / "data's set", models)


def assert_same(dataset: Path, names: list[str], connection: duckdb.DuckDBPyConnection) -> None:
    """That a client has the same rows of some relations as a session has."""
    with open_session(dataset) as session:
        for name in names:
            query = f"select * from {name} order by all"
            ours, theirs = session.frame(query), connection.sql(query).pl()
            assert_frame_equal(theirs, ours, rel_tol=1e-12, abs_tol=1e-12)


def test_plain_duckdb_gets_the_same_views_in_another_folder_twice(
    ingested_reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Path(shutil.copytree(ingested_reference, tmp_path / "data's set"))
    write_views(dataset)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = (dataset / "views.sql").read_text(encoding="utf-8")
    absent = read_manifest(dataset).absent_tables()
    in_sql = [
        name for name in relations() if not (needs_python(name) or missing_table(name, absent))
    ]
    assert len(in_sql) >= 20
    with duckdb.connect(":memory:") as connection:
        for _ in range(2):
            connection.execute(text)
        assert_same(dataset, in_sql, connection)


def test_an_export_holds_all_relations(
    reference_dataset: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Path(shutil.copytree(reference_dataset, tmp_path / "data's set"))
    outcome = run("export", dataset, "--json")
    assert outcome.code == 0, outcome.err
    computed = [name for name, relation in relations().items() if relation.kind == "computed"]
    assert json.loads(outcome.out) == {"views": str(dataset / "views.sql"), "kept": computed}
    text = (dataset / "views.sql").read_text(encoding="utf-8")
    write_views(dataset)  # as the next ingest does, which finds nothing to change
    assert (dataset / "views.sql").read_text(encoding="utf-8") == text
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with duckdb.connect(str(tmp_path / "file.duckdb")) as connection:
        for _ in range(2):
            connection.execute(text)
        assert_same(dataset, list(relations()), connection)


def test_kept_rows_that_an_export_names_and_that_are_gone_are_found(
    dataset: Path, run: Run
) -> None:
    assert run("export", dataset).out == f"{dataset / 'views.sql'}\n"
    assert run("verify", dataset).code == 0
    shutil.rmtree(dataset / "views")
    outcome = run("verify", dataset)
    assert outcome.code == 1
    assert "views.sql: this headswap writes another text for it" in outcome.out + outcome.err


def test_views_are_those_of_the_dataset_that_they_were_written_for(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_views(dataset)
    text = (dataset / "views.sql").read_text(encoding="utf-8")
    count = "select count(*) from attention"
    monkeypatch.chdir(tmp_path)
    with duckdb.connect(":memory:") as connection:
        connection.execute(text)
        n_rows = connection.sql(count).fetchall()
        # Another dataset in the same client: its own rows, not those of the first.
        other = write_synthetic_dataset(tmp_path / "other", [SyntheticModel("c", seed=3)])
        write_views(other)
        connection.execute((other / "views.sql").read_text(encoding="utf-8"))
        assert connection.sql("select model from models").fetchall() == [("c",)]
        moved = dataset.rename(tmp_path / "moved")
        with pytest.raises(duckdb.Error):
            connection.execute(text)
        connection.execute(f"set variable headswap_folder = '{other}'")
        with pytest.raises(duckdb.Error, match="another state of it than this file is of"):
            connection.execute(text)
        connection.execute(f"set variable headswap_folder = '{moved}'")
        connection.execute(text)
        assert connection.sql(count).fetchall() == n_rows
    monkeypatch.chdir(moved)
    with duckdb.connect(":memory:") as connection:
        connection.execute(text)
        assert connection.sql(count).fetchall() == n_rows


def test_views_that_travel_name_no_folder(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_portable_views(dataset)
    text = (dataset / "views.sql").read_text(encoding="utf-8")
    assert dataset.parent.name not in text
    monkeypatch.chdir(dataset)
    with duckdb.connect(":memory:") as connection:
        connection.execute(text)
        assert connection.sql("select count(*) from models").fetchall() == [(2,)]


def test_a_damaged_place_is_found(dataset: Path, run: Run) -> None:
    write_views(dataset)
    file = dataset / "views.sql"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("select '/", "select '/x", 1), encoding="utf-8")
    assert run("verify", dataset).code != 0
    file.write_text(text, encoding="utf-8")
    assert run("verify", dataset.rename(dataset.with_name("moved"))).code == 0


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
    """The file without the hashes of the manifest and the declarations."""
    lines = (dataset / "views.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines[1:] if "contains(content, " not in line)


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
