"""A disk that is full at any point of an ingest, a report or a query costs a rerun at most."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import headswap
from ingest import pipeline
from tests import full_disk
from tests.interrupted import content, ingest_words, is_complete, start

N_POINTS = 20
_BLOCK = 4096


def _in_namespace(tmp_path: Path, work: Callable[[Path], object]) -> list[object]:
    """What `work`, called with a folder for mounts, returns in a process with its own mounts."""
    answer, log = tmp_path / "answer.json", tmp_path / "log.txt"
    disk = tmp_path / "disk"
    disk.mkdir()

    def prepare() -> None:
        try:
            full_disk.enter_namespace()
        except OSError as error:
            answer.write_text(json.dumps({"refused": str(error)}))
            return
        try:
            answer.write_text(json.dumps({"found": work(disk)}))
        except BaseException:
            answer.write_text(json.dumps({"failed": traceback.format_exc()}))

    start(["--version"], log, prepare).wait()
    told = json.loads(answer.read_text())
    if "refused" in told:
        pytest.skip(f"no mount namespaces here: {told['refused']}")
    assert "failed" not in told, told["failed"]
    found: list[object] = told["found"]
    return found


@pytest.fixture(scope="module")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "dataset"
    words = ingest_words(out, ["standard"])
    log = out.parent / "log.txt"
    assert start(words, log).wait() == 0, log.read_text()
    return out


def test_an_ingest_without_room_leaves_what_was_there(one_model: Path, tmp_path: Path) -> None:
    given = ingest_words(one_model, ["adhd"])  # its last word is the folder

    def work(disk: Path) -> list[object]:
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

    found = _in_namespace(tmp_path, work)
    assert found == [[1, True, True, 0, True]] * N_POINTS
    messages = (tmp_path / "log.txt").read_text()
    assert messages.count("No space left on device") == N_POINTS
    assert "Traceback" not in messages


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

    def work(disk: Path) -> list[object]:
        full_disk.mount(disk, 16 * _BLOCK)
        code = headswap.main([word.format(dataset=dataset, disk=disk) for word in words])
        return [code, [path.name for path in disk.rglob("*") if path.is_file()]]

    assert _in_namespace(tmp_path, work) == [1, []]
    messages = (tmp_path / "log.txt").read_text()
    assert "Traceback" not in messages
    assert "headswap:" in messages
