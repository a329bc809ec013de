"""`headswap verify --repair` of tables that other commands made: set aside, and made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ingest.dataset.manifest import read_manifest
from tests.support.interrupted import content
from tests.support.running import Run

READ_OUT = ("token_classes", "layer_readouts", "head_writes")
# What is damaged, what goes with it, and the command that makes it again.
CASES = {
    "ablation_effects": (("ablation_effects",), ["ablate", "{d}"]),
    "pair_effects": (
        ("pair_effects",),
        ["ablate", "{d}", "--pairs=L0H0+L2H1", "--pairs=L1H0+L1H3"],
    ),
    "attribution_effects": (
        ("attribution_effects",),
        ["ablate", "{d}", "--method=attribution", "--kind=zero", "--kind=mean", "--kind=resample"],
    ),
    "generations": (
        ("generations",),
        [
            *("generate", "{d}", "--prompts={t}", "--ablate=L0H0", "--class=regulation=rest;sip"),
            *("--seeds=2", "--max-new-tokens=48", "--temperature=2"),
        ],
    ),
    "token_classes": (READ_OUT, ["readout", "{d}", "--class=regulation=close;the"]),
    "head_writes": (READ_OUT, ["readout", "{d}", "--class=regulation=close;the"]),
}


def n_rows(dataset: Path) -> dict[str, int]:
    manifest = read_manifest(dataset)
    return {name: manifest.rows_of(name) for name in manifest.tables}


@pytest.mark.parametrize("table", CASES)
def test_a_damaged_file_is_set_aside_and_its_rows_are_made_again(
    table: str, reference_dataset: Path, tmp_path: Path, run: Run
) -> None:
    dataset = Path(shutil.copytree(reference_dataset, tmp_path / "dataset"))
    before, whole = read_manifest(dataset), n_rows(dataset)
    entry = before.files_of(table)[0]
    damaged = bytearray((dataset / entry.path).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (dataset / entry.path).write_bytes(damaged)
    with_it, words = CASES[table]
    outcome = run("verify", dataset, "--repair")
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("1 of ")]
    assert f"files of {table} of {entry.owner!r} were damaged" in line
    made_by = "readout" if table in READ_OUT else words[0]
    assert f"`headswap {made_by}" in line

    after = read_manifest(dataset)
    left = {other.path for other in before.files()} - {other.path for other in after.files()}
    expected = [
        other
        for name in with_it
        for other in before.files_of(name)
        if other.owner == entry.owner or len(with_it) > 1
    ]
    assert left == {other.path for other in expected}
    for path in left:
        aside = dataset / "set-aside" / f"{path}.aside"
        assert not (dataset / path).exists()
        assert aside.is_file()
    assert (dataset / "set-aside" / f"{entry.path}.aside").read_bytes() == damaged
    for other in after.files():
        assert other.is_intact(dataset)
    assert run("verify", dataset, "--repair").code == 0, "nothing more to be done"

    tasks = reference_dataset.parent / "tasks.jsonl"
    filled = [word.format(d=dataset, t=tasks) for word in words]
    assert run(*filled).code == 0
    assert n_rows(dataset) == whole
    assert run("verify", dataset).code == 0


def test_what_was_set_aside_before_stays(reference_dataset: Path, tmp_path: Path, run: Run) -> None:
    dataset = Path(shutil.copytree(reference_dataset, tmp_path / "dataset"))
    path = "attribution_effects/adhd/part-00000.parquet"
    for number in range(2):
        (dataset / path).write_bytes(b"damaged" * (number + 1))
        assert run("verify", dataset, "--repair").code == 0
        words = CASES["attribution_effects"][1]
        assert run(*(word.format(d=dataset) for word in words)).code == 0
    aside = content(dataset / "set-aside" / "attribution_effects" / "adhd")
    assert len(aside) == 2
