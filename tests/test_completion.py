"""Completion in shells, asked as a shell asks: by environment variables, and by the tab key."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest

import headswap
from tests.support.running import Run
from tests.support.services.terminal import TAB, terminal
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("standard"), SyntheticModel("adhd", seed=1)]
    return write_synthetic_dataset(tmp_path_factory.mktemp("completion") / "dataset", models)


@pytest.fixture
def complete(run: Run, monkeypatch: pytest.MonkeyPatch) -> object:
    """What is offered for the last of some words, by fish's way of asking."""

    def ask(*words: object) -> list[str]:
        monkeypatch.setenv("_HEADSWAP_COMPLETE", "fish_complete")
        *before, last = map(str, words)
        line = shlex.join(["headswap", *before, *filter(None, [last])])
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", last)
        outcome = run()
        assert outcome.err == ""
        # Each with what it is before it, and a line of help behind it.
        lines = filter(None, outcome.out.splitlines())
        return [line.partition(",")[2].partition("\t")[0] for line in lines]

    return ask


def test_commands_are_completed(complete) -> None:
    assert complete("") == list(headswap.COMMANDS)
    assert complete("ve") == ["verify"]
    assert complete("--ver") == ["--version"]


def test_options_are_completed(complete, dataset: Path) -> None:
    assert complete("sql", dataset, "--s") == ["--sandbox", "--similarity", "--seed"]
    assert complete("figure", dataset, "profiles", "--theme", "") == ["light", "dark", "print"]
    assert complete("ingest", "--dtype", "fl") == ["float32", "float16"]


def test_models_are_completed_from_the_dataset_on_the_line(complete, dataset: Path) -> None:
    assert complete("figure", dataset, "swaps", "--other", "") == ["standard", "adhd"]
    assert complete("figure", dataset, "swaps", "--other", "a") == ["adhd"]
    assert complete("sql", dataset, "--pair", "") == ["standard:adhd", "adhd:standard"]


def test_heads_are_completed_from_the_dataset_on_the_line(complete, dataset: Path) -> None:
    heads = [f"L{layer}H{head}" for layer in range(2) for head in range(3)]
    named = [f"{model}:{head}" for model in ("standard", "adhd") for head in heads]
    assert complete("sql", dataset, "--reference", "") == [*heads, *named]
    assert complete("report", dataset, "--reference", "L1") == ["L1H0", "L1H1", "L1H2"]
    assert complete("figure", dataset, "profiles", "--head", "adhd:L0") == named[6:9]


def test_views_are_completed(complete) -> None:
    assert complete("views", "block_p") == ["block_profiles"]


@pytest.mark.parametrize("damage", ["none", "no manifest", "no table"])
def test_without_a_sound_dataset_nothing_is_offered(
    damage: str, complete, dataset: Path, tmp_path: Path
) -> None:
    place = tmp_path / "dataset"
    if damage != "none":
        shutil.copytree(dataset, place)
        (place / {"no manifest": "manifest.json", "no table": "models.parquet"}[damage]).unlink()
    assert complete("sql", place, "--reference", "") == []
    assert complete("sql", "--reference", "") == []


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_bash_completes_by_the_tab_key(dataset: Path, tmp_path: Path) -> None:
    """Also what bash takes apart: words with a colon or an equals sign."""
    script = tmp_path / "headswap"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m headswap "$@"\n')
    script.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PS1": "ready> ", "PYTHONPATH": str(ROOT)}
    with terminal(["bash", "--norc", "-i"], path, folder=str(dataset.parent)) as bash:
        bash.read_until("ready> ")
        bash.type('eval "$(_HEADSWAP_COMPLETE=bash_source headswap)"; echo is-$((1+1))\n')
        bash.read_until("is-2")
        bash.read_until("ready> ")
        for typed, completed in {
            "headswap ver": "headswap verify ",
            "headswap figure dataset swaps --other adh": "--other adhd ",
            "headswap sql dataset --reference adhd:L1H": "--reference adhd:L1H",
            "headswap sql dataset --reference adhd:L1H2": "--reference adhd:L1H2 ",
            "headswap sql dataset --reference=adhd:L1H2": "--reference=adhd:L1H2 ",
            "headswap sql dataset --pair stand": "--pair standard:adhd ",
        }.items():
            # The line, as it was completed, is made the text that echo prints.
            bash.type(f"{typed}{TAB}|'\x01echo : '\n")
            bash.read_until("\n")
            assert f"{completed}|" in bash.read_until("ready> ")
