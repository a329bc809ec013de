"""A disk that is full at any point of an ingest, a report or a query costs a rerun at most."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import headswap
from ingest import pipeline
from tests import full_disk
from tests.interrupted import Process, content, ingest_words, is_complete

N_POINTS = 20
_BLOCK = 4096


def _in_namespace(tmp_path: Path, work: Callable[[Path], object]) -> list[Any]:
    """What `work`, called with a folder for mounts, returns in a process with its own mounts."""
    answer, log, disk = (tmp_path / name for name in ("answer.json", "log.txt", "disk"))
    disk.mkdir()
    Process(["--version"], log, partial(_work_in_namespace, answer, disk, work)).wait()
    told = json.loads(answer.read_text())
    if "refused" in told:
        pytest.skip(f"no mount namespaces here: {told['refused']}")
    assert "failed" not in told, told["failed"]
    found: list[Any] = told["found"]
    return found


def _work_in_namespace(answer: Path, disk: Path, work: Callable[[Path], object]) -> None:
    try:
        full_disk.enter_namespace()
    except OSError as error:
        answer.write_text(json.dumps({"refused": str(error)}))
        return
    try:
        answer.write_text(json.dumps({"found": work(disk)}))
    except BaseException:
        answer.write_text(json.dumps({"failed": traceback.format_exc()}))


@pytest.fixture(scope="module")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "dataset"
    words = ingest_words(out, ["standard"])
    log = out.parent / "log.txt"
    assert Process(words, log).wait() == 0, log.read_text()
    return out


def _ingest_at_every_point(one_model: Path, given: list[str], disk: Path) -> list[object]:
    """For each amount of room: exit code, earlier rows kept, sound; the same with room again."""
    pipeline._BYTES_A_ROW = 0.0  # or it would stop before the first file
    full_disk.mount(disk, 1 << 28)
    words = [f"--out={disk / 'dataset'}" if word == "--out" else word for word in given[:-1]]
    shutil.copytree(one_model, disk / "dataset")
    before = full_disk.used(disk)
    original = content(disk / "dataset")
    assert headswap.main(words) == 0
    needed = full_disk.used(disk) - before
    full_disk.unmount(disk)
    found: list[object] = []
    for point in range(N_POINTS):
        full_disk.mount(disk, 1 << 28)
        shutil.copytree(one_model, disk / "dataset")
        # Up to one block less than what it takes.
        room = needed * point // N_POINTS // _BLOCK * _BLOCK
        full_disk.resize(disk, full_disk.used(disk) + room)
        code = headswap.main(words)
        left = content(disk / "dataset")
        # Rows are never changed; the rest only once the manifest names the new rows, too.
        is_done = left["manifest.json"] != original["manifest.json"]
        is_kept = all(
            left.get(path) == sha
            for path, sha in original.items()
            if not is_done or path.endswith(".parquet")
        )
        is_sound = is_complete(disk / "dataset")
        full_disk.resize(disk, 1 << 28)
        again = headswap.main(words)
        found.append([code, is_kept, is_sound, again, is_complete(disk / "dataset")])
        full_disk.unmount(disk)
    return found


def test_an_ingest_without_room_leaves_what_was_there(one_model: Path, tmp_path: Path) -> None:
    given = ingest_words(one_model, ["adhd"])  # its last word is the folder
    found = _in_namespace(tmp_path, partial(_ingest_at_every_point, one_model, given))
    assert found == [[1, True, True, 0, True]] * N_POINTS
    messages = (tmp_path / "log.txt").read_text()
    assert messages.count("No space left on device") == N_POINTS
    assert "Traceback" not in messages


def _answer_on_little(dataset: Path, words: list[str], disk: Path) -> list[object]:
    """The exit code of a command that writes to a small disk, and the files left there."""
    full_disk.mount(disk, 16 * _BLOCK)
    code = headswap.main([word.format(dataset=dataset, disk=disk) for word in words])
    return [code, [path.name for path in disk.rglob("*") if path.is_file()]]


@pytest.mark.parametrize(
    "words",
    [
        ["report", "{dataset}", "--out", "{disk}/page"],
        ["sql", "{dataset}", "select * from attention", "--format=csv", "-o", "{disk}/rows.csv"],
        ["sql", "{dataset}", "select * from attention", "--format=json", "-o", "{disk}/rows.json"],
        [
            "sql",
            "{dataset}",
            "select * from attention",
            "--format=parquet",
            "-o",
            "{disk}/rows.parquet",
        ],
    ],
    ids=["report", "csv", "json", "parquet"],
)
def test_results_without_room_are_not_half_there(
    words: list[str], one_model: Path, tmp_path: Path
) -> None:
    dataset = shutil.copytree(one_model, tmp_path / "dataset")

    assert _in_namespace(tmp_path, partial(_answer_on_little, dataset, words)) == [1, []]
    messages = (tmp_path / "log.txt").read_text()
    assert "Traceback" not in messages
    assert "headswap:" in messages
