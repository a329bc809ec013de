"""Views kept in the dataset: the same rows as computed, and gone when what they rest on changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from sql import session
from sql.graph import catalog, kept
from sql.graph.ancestry import Ancestry
from sql.graph.catalog import relations
from sql.graph.parameter_tables import Asked
from sql.parameters import Parameters
from sql.session import open_session
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

KEPT = {name for name, relation in relations().items() if relation.storage == "kept"}
FEW = Parameters(n_splits=3, n_draws=999)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    return write_synthetic_dataset(tmp_path / "dataset", models)


def _rows(dataset: Path, view: str, parameters: Parameters = FEW) -> list[dict[str, object]]:
    with open_session(dataset, parameters) as opened:
        return opened.rows(f"select * from {view} order by all")


def _files(dataset: Path) -> dict[str, bytes]:
    folder = dataset / "views"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_kept_rows_are_those_that_were_computed(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = {view: _rows(dataset, view) for view in sorted(KEPT)}
    before = _files(dataset)
    assert {name.partition("-")[0] for name in before} == KEPT
    monkeypatch.setattr(session.Session, "_compute", None)  # computing would fail now
    assert {view: _rows(dataset, view) for view in sorted(KEPT)} == computed
    assert _files(dataset) == before


def test_another_question_is_computed(dataset: Path) -> None:
    assert {row["n_draws"] for row in _rows(dataset, "match_tests")} == {999}
    more = Parameters(n_splits=3, n_draws=1200)
    assert {row["n_draws"] for row in _rows(dataset, "match_tests", more)} == {1200}


def test_another_manifest_of_the_same_rows_changes_nothing(dataset: Path) -> None:
    _rows(dataset, "block_profiles")
    before = _files(dataset)
    manifest = read_manifest(dataset)
    commit(dataset, replace(manifest, written_with={"x": "1"}))
    _rows(dataset, "block_profiles")
    assert _files(dataset) == before


def test_other_rows_are_asked_anew(dataset: Path, tmp_path: Path) -> None:
    before = _rows(dataset, "block_profiles")
    models = [SyntheticModel("a", seed=3), SyntheticModel("b", seed=4)]
    other = write_synthetic_dataset(tmp_path / "other", models)
    (dataset / "views").rename(other / "views")  # what was kept of another dataset
    assert _rows(other, "block_profiles") != before


@pytest.mark.parametrize(
    ("asked", "is_kept"),
    [({"seed": 7}, True), ({"reference_model": "b"}, True), ({"bins": 7}, False)],
    ids=["seed", "reference", "bins"],
)
def test_what_a_parameter_does_not_touch_stays(
    dataset: Path, asked: dict[str, Any], is_kept: bool
) -> None:
    _rows(dataset, "block_profiles")
    before = _files(dataset)
    _rows(dataset, "profiles", replace(FEW, **asked))
    assert (_files(dataset) == before) == is_kept


def test_a_changed_definition_is_computed_anew(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a relation itself, of one that it reads, and of a function that computes one."""
    asked = Asked(open_dataset(dataset), FEW, duckdb.connect(":memory:"))
    hashes = {name: Ancestry(asked, ["duckdb"]).sha256(name) for name in relations()}

    def changed() -> set[str]:
        return {
            name for name in relations() if Ancestry(asked, ["duckdb"]).sha256(name) != hashes[name]
        }

    assert changed() == set()
    bins = relations()["bins"]
    edited = dict(catalog.declared())
    edited["bins"] = replace(bins, definition=f"{bins.definition} -- edited")
    with monkeypatch.context() as patched:
        patched.setattr("sql.graph.ancestry.declared", lambda: edited)
        downstream = {name for name in relations() if "bins" in catalog.with_ancestors(name)}
        assert {"bins", "profiles", "reference_head"} <= downstream
        assert changed() == downstream
    with monkeypatch.context() as patched:
        patched.setattr("sql.graph.ancestry._code", lambda kind: f"{kind} edited")
        assert {"migration_map", "heads", "profiles", "pair_summary"} <= changed()


def test_what_somebody_else_kept_is_not_read(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A dataset from a stranger with rows of profiles that no one computed."""
    expected = _rows(dataset, "block_profiles")
    (path,) = (dataset / "views").glob("*.parquet")
    table = pq.read_table(path)
    index = table.schema.get_field_index("mass")
    forged = table.set_column(index, "mass", pa.array([0.5] * len(table)))
    path.unlink()
    with monkeypatch.context() as patched:
        patched.setenv("XDG_STATE_HOME", str(tmp_path / "stranger"))
        with open_session(dataset, FEW) as opened:
            opened._kept.write(relations()["block_profiles"], forged)
        assert _rows(dataset, "block_profiles") != expected  # whoever forged them reads them
    assert _rows(dataset, "block_profiles") == expected


def test_a_flipped_bit_is_computed_again(dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
    expected = _rows(dataset, "block_profiles")
    (path,) = (dataset / "views").rglob("*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert _rows(dataset, "block_profiles") == expected
    assert "is damaged: block_profiles is computed again" in capfd.readouterr().err
    (path,) = (dataset / "views").rglob("*.parquet")
    assert kept.is_intact(path)


def test_where_nothing_can_be_kept_the_answer_comes_all_the_same(
    dataset: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (dataset / "views").write_text("a file in the way")
    with open_session(dataset, FEW) as opened:
        assert opened.rows("select count(*) as n from profiles")[0]["n"] > 0
        assert opened.rows("select count(*) as n from similarities")[0]["n"] > 0
    assert capfd.readouterr().err.count("what is computed is not kept") == 1


def test_few_questions_are_kept(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST_OF_A_RELATION", 2)
    for bins in (2, 3, 4):
        _rows(dataset, "profiles", Parameters(bins=bins))
    assert len(list((dataset / "views").iterdir())) == 2
