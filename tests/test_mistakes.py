"""Mistakes that a newcomer makes: each message as a whole, and nothing written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.bad.mistakes import FILES, MISTAKES
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mistakes")
    models = [SyntheticModel("standard"), SyntheticModel("adhd", seed=1)]
    write_synthetic_dataset(folder / "demo" / "dataset", models)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_by_what_was_meant(
    name: str, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    mistake = MISTAKES[name]
    outcome = run(*mistake.words)
    assert re.sub(r"\d+\.\d\d s$", "T s", outcome.err, flags=re.M) == mistake.message
    assert outcome.code == mistake.code
    assert {path.name for path in folder.iterdir()} == {"demo", *FILES}


def test_there_are_forty_mistakes_and_no_two_alike() -> None:
    assert len({mistake.words for mistake in MISTAKES.values()}) == len(MISTAKES) >= 40
