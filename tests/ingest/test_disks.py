"""Disks that are full, read-only, forbidden or gone cost a rerun at most."""

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
from ingest.dataset.writer import AttentionFile
from tests.support import disks
from tests.support.interrupted import Process, content, ingest_words, is_complete

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
        disks.enter_namespace()
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
    pipeline._BYTES_A_ROW["float32"] = 0.0  # or it would stop before the first file
    disks.mount(disk, 1 << 28)
    words = [f"--out={disk / 'dataset'}" if word == "--out" else word for word in given[:-1]]
    shutil.copytree(one_model, disk / "dataset")
    before = disks.used(disk)
    original = content(disk / "dataset")
    assert headswap.main(words) == 0
    needed = disks.used(disk) - before
    disks.unmount(disk)
    found: list[object] = []
    for point in range(N_POINTS):
        disks.mount(disk, 1 << 28)
        shutil.copytree(one_model, disk / "dataset")
        # Up to one block less than what it takes.
        room = needed * point // N_POINTS // _BLOCK * _BLOCK
        disks.resize(disk, disks.used(disk) + room)
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
        disks.resize(disk, 1 << 28)
        again = headswap.main(words)
        found.append([code, is_kept, is_sound, again, is_complete(disk / "dataset")])
        disks.unmount(disk)
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
    disks.mount(disk, 16 * _BLOCK)
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


# Every command that writes into a dataset, or beside what it is given.
WRITING = {
    "ingest a model more": ["ingest", "--out", "{disk}/dataset"],
    "ingest anew": ["ingest", "--out", "{disk}/new"],
    "report": ["report", "{disk}/dataset", "--out", "{disk}/page"],
    "sql -o": ["sql", "{disk}/dataset", "select 1", "-o", "{disk}/rows.csv"],
    "init": ["init", "{disk}/study.toml"],
    "repair": ["verify", "{disk}/dataset", "--repair"],
}


def _refused_everywhere(
    one_model: Path, models: list[str], forbid: Callable[[Path], object], disk: Path
) -> list[object]:
    """Of each command: its name, exit code and whether the disk holds what it held."""
    disks.mount(disk, 1 << 28)
    shutil.copytree(one_model, disk / "dataset")
    orphan = disk / "dataset" / "tokens-9.parquet"  # for the repair to remove
    shutil.copy(orphan.with_name("tokens.parquet"), orphan)
    before = content(disk)
    forbid(disk)
    found: list[object] = []
    for name, words in WRITING.items():
        filled = [word.format(disk=disk) for word in words]
        if name.startswith("ingest"):
            filled[1:1] = models
        found.append([name, headswap.main(filled), content(disk) == before])
    return found


def _forbid(disk: Path) -> None:
    disks.obey_permissions()
    for folder in (disk, *filter(Path.is_dir, disk.rglob("*"))):
        folder.chmod(0o555)
    for file in filter(Path.is_file, disk.rglob("*")):
        file.chmod(0o444)


@pytest.mark.parametrize(
    ("forbid", "reason"),
    [(disks.make_read_only, "Read-only file system"), (_forbid, "Permission denied")],
    ids=["read-only", "forbidden"],
)
def test_what_may_not_be_written_is_told(
    forbid: Callable[[Path], object], reason: str, one_model: Path, tmp_path: Path
) -> None:
    models = ingest_words(one_model, ["adhd"])[1:-2]
    found = _in_namespace(tmp_path, partial(_refused_everywhere, one_model, models, forbid))
    assert found == [[name, 1, True] for name in WRITING]
    messages = (tmp_path / "log.txt").read_text()
    errors = [line for line in messages.splitlines() if line.startswith("headswap: ")]
    assert [reason in line for line in errors] == [True] * len(WRITING), messages
    assert "Traceback" not in messages


def _answer_from_read_only(dataset: Path, disk: Path) -> list[object]:
    disks.mount(disk, 1 << 28)
    shutil.copytree(dataset, disk / "dataset")
    disks.make_read_only(disk)
    query = "select count(*) from profiles"
    return [
        headswap.main(["sql", str(disk / "dataset"), query]),
        headswap.main(["verify", str(disk / "dataset")]),
    ]


def test_a_read_only_dataset_answers(one_model: Path, tmp_path: Path) -> None:
    assert _in_namespace(tmp_path, partial(_answer_from_read_only, one_model)) == [0, 0]
    assert (tmp_path / "log.txt").read_text().count("what is computed is not kept") == 1


def _lose(out: Path, n_files: int) -> None:
    """Makes the process remove its own output when it has written so many files and a layer."""
    written = 0
    write_layer = AttentionFile.write_layer

    def write_and_lose(self: AttentionFile, layer: int, weights: Any) -> None:
        nonlocal written
        write_layer(self, layer, weights)
        written += layer == 0
        if written == n_files + 1 and layer == 0:
            shutil.rmtree(out)

    AttentionFile.write_layer = write_and_lose  # type: ignore[method-assign]


@pytest.mark.parametrize("n_files", [0, 3])
def test_a_folder_that_vanishes_is_told(n_files: int, tmp_path: Path) -> None:
    out, log = tmp_path / "dataset", tmp_path / "log.txt"
    assert Process(ingest_words(out), log, partial(_lose, out, n_files)).wait() == 1
    lines = log.read_text().splitlines()
    assert "No such file or directory" in lines[-2], lines
    assert lines[-1].startswith("Hint:")
    assert "Traceback" not in log.read_text()
    assert not (out / "manifest.json").exists()
    assert Process(ingest_words(out), log).wait() == 0
    assert is_complete(out)
