"""Hundreds of inputs that cannot be used, over all commands: a short message, nothing changed.

Each is exit code 1 or 2, at most three lines on stderr, no traceback, and every file that was there
before is there afterwards, unchanged. `test_bad_input.py` has what the messages of some say.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from headswap import COMMANDS
from tests.support.bad.inputs import CASES, DATASETS, STUDIES, STUDY, TEXTS
from tests.support.interrupted import content
from tests.support.running import REFERENCE, Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sound dataset, and a folder with all that is not."""
    folder = tmp_path_factory.mktemp("bad")
    sound = write_synthetic_dataset(
        folder / "sound", [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    )
    unsound = folder / "unsound"
    unsound.mkdir()
    for name, damage in DATASETS.items():
        damage(shutil.copytree(sound, unsound / name))
        if (backup := unsound / name / "manifest.backup.json").exists():
            backup.unlink()
    for name, raw in TEXTS.items():
        (unsound / name).write_bytes(raw)
    for number, text in enumerate(STUDIES):
        filled = text.replace("{r}", str(REFERENCE / "standard")).replace("{t}", str(unsound))
        (unsound / f"study-{number}.toml").write_text(filled)
    (unsound / "sound.toml").write_text(STUDY.replace("{r}", str(REFERENCE / "standard")))
    return {"d": sound, "t": unsound, "r": REFERENCE / "standard"}


@pytest.mark.parametrize(
    "words", CASES, ids=[f"{n}-{' '.join(c)[:60]!a}" for n, c in enumerate(CASES)]
)
def test_a_bad_input_is_told_in_short_and_changes_nothing(
    words: list[str], run: Run, place: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = place["d"].parent
    monkeypatch.chdir(root)
    before = content(root)
    filled = [
        word.replace("{d}", str(place["d"])).replace("{t}", str(place["t"])) for word in words
    ]
    outcome = run(*(word.replace("{r}", str(place["r"])) for word in filled))
    assert outcome.code in (1, 2), outcome.out
    assert "Traceback" not in outcome.err
    # `headswap run` shows the command that it is about to run.
    lines = [line for line in outcome.err.splitlines() if not line.startswith("$ ")]
    assert 1 <= len(lines) <= 3, outcome.err
    assert all(len(line) < 1000 for line in lines)
    after = content(root)
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after.keys() - before.keys() if "/views/" not in path]


def test_there_are_hundreds() -> None:
    assert len(CASES) >= 300
    assert len(set(map(tuple, CASES))) == len(CASES)
    assert {words[0] for words in CASES if words} >= set(COMMANDS)
