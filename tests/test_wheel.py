"""The built wheel where only its base dependencies are: what runs without torch, and its types."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.support.dependencies import ROOT, brought_by, dependencies
from tests.support.services.hub import PATIENCE, TOKEN, Hub, serve_hub
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

TASKS = [(f"Task number {n}", ["boil water", "pour it"]) for n in range(4)]
# What a user may write; whatever ends in `# wrong` no type checker may let through.
SCRIPT = """
from pathlib import Path
from typing import assert_type

import altair as alt
import duckdb
import numpy as np
from numpy.typing import NDArray

import headswap

folder = headswap.ingest({"one": "demo:standard"}, ["Make tea", {"text": "Dry it"}], "mine")
assert_type(folder, Path)
headswap.ingest({"one": "demo:standard"}, None, folder, dtype="float16", structural="[.]")
headswap.ingest(["demo:standard"], None, folder)  # wrong
weights = np.ones((1, 1, 2, 2)) / 2
assert_type(headswap.from_arrays(weights, ["a", "b"], Path("arrays")), Path)
headswap.from_arrays(weights, 2, Path("arrays"))  # wrong

with headswap.open(folder, bins=10, pairs=[("one", "other")], engine="spark") as data:
    assert_type(data, headswap.Dataset)
    assert_type(data.sql("select 1"), duckdb.DuckDBPyRelation)
    assert_type(data.models, duckdb.DuckDBPyRelation)
    assert_type(data.figure("profiles", "one:L0H1", width=300), alt.Chart | alt.LayerChart)
    data.figure("profile")  # wrong
    data.figure("pattern", theme="black")  # wrong
    assert_type(data.views["verdicts"].columns, tuple[headswap.Column, ...])
    head = data.head("one:L0H1")
    assert_type(head.pattern(), NDArray[np.float64])
    head.counterpart.cosine  # wrong
    if head.counterpart is not None:
        assert_type(head.counterpart, headswap.Counterpart)
headswap.open(folder, bin=10)  # wrong
headswap.open(folder, engine="sparc")  # wrong

try:
    look = headswap.look("demo:adhd", "Make tea", ["L3H5", "L1H1"])
    assert_type(look.pattern("L3H5"), NDArray[np.float32])
    assert_type(look.save("look.html", theme="dark"), Path)
    with look.open() as kept:
        assert_type(kept.head("L3H5").tokens(), list[str])
except headswap.InputError as error:
    assert_type(error.hint, str | None)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`headswap`, installed from a wheel; what it depends on is lent by the environment here."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # or the build would leave its own files beside the project's
    for name in ("headswap", "ingest", "sql", "reports"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--quiet"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run(list(map(str, build)), check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    for name in sorted(brought_by(dependencies("base"))):
        lend(name, site)
    subprocess.run([*pip, "--python", python, "install", *offline, wheel], check=True)
    return python.with_name("headswap")


def lend(name: str, site: Path) -> None:
    """Links to all that a distribution has put side by side."""
    files = distribution(name).files
    assert files, name
    for top in sorted({path.parts[0] for path in files} - {"..", "__pycache__"}):
        target = Path(str(distribution(name).locate_file(top)))
        if target.exists() and not (site / top).exists():
            (site / top).symlink_to(target)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        yield hub


def test_without_extras_a_dataset_is_pushed_pulled_asked_verified_and_reported(
    program: Path, hub: Hub, tmp_path: Path
) -> None:
    settings = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": TOKEN,
    }
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*words: object) -> str:
        done = subprocess.run(
            [*map(str, words)],
            cwd=tmp_path,
            env=plain | PATIENCE | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    write_synthetic_dataset(tmp_path / "dataset", models, TASKS)
    run(program, "push", "dataset", "org/name")
    assert run(program, "pull", "org/name") == "name\n"
    query = "select count(*) as n from profiles"
    for place in ("name", "hf://datasets/org/name"):
        assert json.loads(run(program, "sql", place, query, "--json")) == [{"n": 240}]
    assert json.loads(run(program, "verify", "name", "--json"))["sound"]
    page = json.loads(run(program, "report", "name", "--out", "report", "--json"))
    assert "<h1" in (tmp_path / page["page"]).read_text(encoding="utf-8")
    # The wheel brings the engine, so that an install needs no npm.
    assert (tmp_path / "report" / "ask.html").stat().st_size > 10_000_000
    absent = "import importlib.util as u; print([u.find_spec(n) for n in ('torch', 'pytest')])"
    assert run(program.with_name("python"), "-c", absent) == "[None, None]\n"


def test_a_users_script_is_checked_against_the_types_of_the_wheel(
    program: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    python = ["--python-executable", program.with_name("python"), "--cache-dir", tmp_path / "cache"]
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *python, script.name]
    done = subprocess.run(
        list(map(str, words)), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error: " in line}
    lines = enumerate(SCRIPT.splitlines(), start=1)
    assert found == {number for number, line in lines if line.endswith("# wrong")}, done.stdout
