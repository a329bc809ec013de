"""The command line as a whole: help, options anywhere, what a start loads, missing packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import headswap
from sql.graph.export import write_views
from tests.support.running import REFERENCE, Outcome, Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

ROOT = Path(__file__).parents[1]
COMMANDS = tuple(headswap.COMMANDS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("standard"), SyntheticModel("adhd", seed=1)]
    dataset = write_synthetic_dataset(tmp_path_factory.mktemp("command-line") / "dataset", models)
    write_views(dataset)
    return dataset


def in_fresh_process(code: str, *words: object) -> Outcome:
    """Runs Python code in a process that has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


# --- help and options -----------------------------------------------------------------------


def test_alone_it_prints_its_help(run: Run) -> None:
    outcome = run()
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == run("--help").out == run("-h").out
    for name, (_, summary) in headswap.COMMANDS.items():
        assert f"\n  {name} " in outcome.out
        assert summary in " ".join(outcome.out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_80_columns_wide_in_every_terminal(
    command: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert outcome.out == run(command, "-h").out
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "--debug" in outcome.out


def test_version_is_printed(run: Run) -> None:
    assert run("--version").out == f"headswap {headswap.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "{d}", "select 1 as n"],
        ["{d}", "--json", "select 1 as n"],
        ["{d}", "select 1 as n", "--json"],
        ["{d}", "--bins", "7", "select 1 as n", "--format=json"],
        ["{d}", "--json", "--", "select 1 as n"],
        ["{d}", "--json", "-- a comment\nselect 1 as n"],
        ["{d}", "--json", "--a comment\nselect 1 as n"],
    ],
)
def test_options_stand_anywhere(words: list[str], dataset: Path, run: Run) -> None:
    outcome = run("sql", *(word.replace("{d}", str(dataset)) for word in words))
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == [{"n": 1}]


@pytest.mark.parametrize("words", [["--debug", "sql"], ["sql", "--debug"]])
@pytest.mark.parametrize("sandbox", [[], ["--sandbox"]])
def test_debug_stands_before_or_after_the_command(
    words: list[str], sandbox: list[str], dataset: Path, run: Run
) -> None:
    outcome = run(*words, dataset, "select nothing", *sandbox)
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert "Traceback" not in run("sql", dataset, "select nothing", *sandbox).err


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["sql"], "missing argument 'DATASET'", "headswap sql"),
        (["views", "--bins=3"], "no such option '--bins'", "headswap views"),
        (["sql", "d", "select 1", "--bins=x"], "'x' is not a valid integer", "headswap sql"),
        (["figure", "d", "blue", "-o", "f.svg"], "'blue' is not one of", "headswap figure"),
        (["views", "heads", "\x1b[31mred"], r"\x1b[31mred", "headswap views"),
    ],
)
def test_a_usage_error_is_a_line_and_a_hint(
    words: list[str], message: str, hint: str, run: Run
) -> None:
    outcome = run(*words)
    assert outcome.code == 2
    first, second = outcome.err.splitlines()
    assert first.startswith("headswap: ")
    assert message in first
    assert second == f"Hint: `{hint} --help` explains the usage"
    assert outcome.out == ""


def test_a_command_that_there_is_not_is_a_line_and_a_hint(run: Run) -> None:
    hint = "`headswap --help` lists them"
    assert run("nothing").err == f"headswap: no such command 'nothing'\nHint: {hint}\n"
    meant = f"Hint: did you mean verify? {hint}\n"
    assert run("verfy").err == f"headswap: no such command 'verfy'\n{meant}"


# --- what a start loads ---------------------------------------------------------------------

_LOADED = """
import json, sys
import headswap

code = headswap.main(sys.argv[1:])
stages = [name for name in sys.modules if name.split(".")[0] in ("ingest", "sql", "reports")]
packages = {name.split(".")[0] for name in sys.modules} - sys.stdlib_module_names
print("\\n" + json.dumps({"code": code, "stages": stages, "packages": sorted(packages)}))
"""
_OURS = {"headswap", "ingest", "sql", "reports"}
# What sits in every process of some installations, and what compiled packages bring.
_HOOKS = {"__main__", "_distutils_hack", "cython_runtime", "sitecustomize", "usercustomize"}


def loaded(*words: object) -> tuple[set[str], set[str]]:
    """The modules of the stages, and the packages of others, that a command has loaded."""
    outcome = in_fresh_process(_LOADED, *words)
    found = json.loads(outcome.out.splitlines()[-1])
    assert found["code"] == 0, outcome.err
    packages = {
        name for name in found["packages"] if not name.startswith(("__editable__", "_cython_"))
    }
    return set(found["stages"]), packages - _OURS - _HOOKS


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"]], ids=str)
def test_no_command_is_loaded_for_the_help(words: list[str]) -> None:
    stages, packages = loaded(*words)
    assert packages == {"click"}
    assert {name for name in stages if not "ingest.kernel".startswith(name)} <= {
        "ingest.kernel.command_line",
        "ingest.kernel.errors",
        "ingest.kernel.meant",
        "ingest.kernel.text",
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_loads_nothing_heavy(command: str) -> None:
    assert loaded(command, "--help")[1] == {"click"}


# The packages that a command may load to do its work, of those that are installed.
_DATASET = {"click", "msgspec", "typing_extensions"}
_QUERYING = {*_DATASET, "duckdb", "_duckdb"}


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["sql", "{d}", "select 1"], _QUERYING),
        (["sql", "{d}", "select 1", "--json"], _QUERYING),
        (["sql", "{d}", "select count(*) from profiles"], {*_QUERYING, "pyarrow", "numpy"}),
        (["views"], {"click"}),
        (["views", "profiles"], {"click", "duckdb", "_duckdb"}),  # which parses what it reads
        (["init", "{t}/study.toml"], {"click"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_no_start_has_grown(
    words: list[str], allowed: set[str], dataset: Path, tmp_path: Path
) -> None:
    filled = [word.replace("{d}", str(dataset)).replace("{t}", str(tmp_path)) for word in words]
    assert loaded(*filled)[1] <= allowed


@pytest.mark.parametrize(
    "words",
    [
        ["merge", "{d}", "{o}", "--out={t}/merged"],
        ["extract", "{d}", "--models=adhd", "--out={t}/part"],
        ["import", "{t}/mine.npz", "--out={t}/imported"],
    ],
    ids=lambda words: words[0],
)
def test_datasets_are_made_of_others_without_what_runs_models(
    words: list[str], dataset: Path, tmp_path: Path
) -> None:
    other = write_synthetic_dataset(tmp_path / "other", [SyntheticModel("other", seed=2)])
    np.savez(tmp_path / "mine.npz", attention=np.eye(2)[None, None], tokens=np.array(["a", "b"]))
    places = {"{d}": dataset, "{o}": other, "{t}": tmp_path}
    for place, path in places.items():
        words = [word.replace(place, str(path)) for word in words]
    assert loaded(*words)[1].isdisjoint(_MODEL_PACKAGES.split(","))


# --- what is not installed ------------------------------------------------------------------

_WITHOUT = """
import sys

sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # None: cannot be imported
import headswap

sys.exit(headswap.main(sys.argv[2:]))
"""
_MODEL_PACKAGES = "torch,transformers,transformer_lens,tokenizers,safetensors"


@pytest.mark.parametrize(
    "words",
    [
        ["ingest", f"--model=a={REFERENCE / 'standard'}", "--out={t}"],
        ["ingest", "--model=a=demo:standard-1", "--out={t}"],
        ["demo", "--out={t}"],
    ],
    ids=["bundle", "demo model", "demo"],
)
@pytest.mark.parametrize("absent", [_MODEL_PACKAGES, "transformer_lens"], ids=["all", "one"])
def test_what_running_models_needs_is_named(words: list[str], absent: str, tmp_path: Path) -> None:
    out = tmp_path / "new"
    outcome = in_fresh_process(_WITHOUT, absent, *(word.replace("{t}", str(out)) for word in words))
    assert outcome.code == 2
    *_, message, hint = outcome.err.splitlines()
    names = absent.replace(",", ", ")
    assert message == f"headswap: running models needs packages that are not installed: {names}"
    assert hint == "Hint: pip install 'headswap[models]'"
    assert "Traceback" not in outcome.err
    assert not out.exists() or not list(out.iterdir())


def test_a_dataset_is_queried_without_what_runs_models(dataset: Path) -> None:
    words = ["sql", dataset, "select count(*) as n from models", "--json"]
    assert json.loads(in_fresh_process(_WITHOUT, _MODEL_PACKAGES, *words).out) == [{"n": 2}]
