"""Views kept in the dataset: the same rows as computed, and gone when what they rest on changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.dataset.card import seal
from ingest.dataset.manifest import read_manifest
from sql import session
from sql.graph import kept
from sql.graph.catalog import KEPT
from sql.parameters import Parameters
from sql.session import open_session
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

FEW = Parameters(n_resamples=20, n_splits=3, n_draws=20)


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
    assert {Path(name).name.rpartition("-")[0] for name in before} == KEPT
    monkeypatch.setattr(session.Session, "_compute", None)  # computing would fail now
    assert {view: _rows(dataset, view) for view in sorted(KEPT)} == computed
    assert _files(dataset) == before


def test_another_question_is_computed(dataset: Path) -> None:
    assert len(_rows(dataset, "null_matches")) == 20 * 2 * 6
    more = Parameters(n_resamples=20, n_splits=3, n_draws=30)
    assert len(_rows(dataset, "null_matches", more)) == 30 * 2 * 6


def test_another_manifest_is_another_dataset(dataset: Path) -> None:
    _rows(dataset, "profiles")
    (before,) = _files(dataset)
    manifest = read_manifest(dataset)
    seal(dataset, manifest.__class__(**vars(manifest) | {"written_with": {"x": "1"}}))
    _rows(dataset, "profiles")
    (after,) = _files(dataset)  # what was kept for the earlier manifest is gone
    assert before.split("/")[0] != after.split("/")[0]


def test_a_flipped_bit_is_computed_again(dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
    expected = _rows(dataset, "profiles")
    (path,) = (dataset / "views").rglob("*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert _rows(dataset, "profiles") == expected
    assert "is damaged: profiles is computed again" in capfd.readouterr().err
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
    monkeypatch.setattr(kept, "_MAX_QUESTIONS", 2)
    for bins in (2, 3, 4):
        _rows(dataset, "profiles", Parameters(bins=bins))
    assert len(list((dataset / "views").iterdir())) == 2
