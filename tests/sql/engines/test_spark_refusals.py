"""What keeps Spark from running, in one line each; none of it starts Spark."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import headswap
from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

_WITHOUT = """
import sys

sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # None: cannot be imported
import headswap

sys.exit(headswap.main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused") / "dataset"
    return write_synthetic_dataset(folder, [SyntheticModel("standard")])


@pytest.mark.parametrize("absent", ["pyspark,sqlglot", "sqlglot"])
def test_the_extra_is_named_where_it_is_missing(absent: str, dataset: Path) -> None:
    words = ["sql", str(dataset), "select count(*) from heads", "--engine=spark"]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, absent, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"headswap: the engine spark needs packages that are not installed: "
        f"{absent.replace(',', ', ')}",
        "Hint: pip install 'headswap[spark]'",
    ]


@pytest.mark.parametrize(
    ("home", "where"),
    [(None, "no program java on PATH"), ("nowhere", "none in JAVA_HOME, nowhere")],
)
def test_java_is_named_where_it_is_missing(
    home, where, dataset: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("JAVA_HOME", home)
    outcome = run("sql", dataset, "select count(*) from heads", "--engine=spark")
    assert outcome.code == 2
    message, hint = outcome.err.splitlines()
    assert message == f"headswap: the engine spark needs Java, and there is {where}"
    assert "Java 17" in hint
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"engine": "sprk"}, "there is no engine 'sprk'\nHint: choose one of duckdb, spark"),
        ({"master": "local"}, "a master is for Spark alone\nHint: choose the engine spark with it"),
        (
            {"engine": "duckdb", "warehouse": "w"},
            "a warehouse is for Spark alone\nHint: choose the engine spark with it",
        ),
    ],
    ids=["unknown", "master", "warehouse"],
)
def test_an_engine_that_cannot_be_is_refused_from_python(choice, message, dataset: Path) -> None:
    with pytest.raises(headswap.InputError) as refused:
        headswap.open(dataset, **choice)
    assert f"{refused.value}\nHint: {refused.value.hint}" == message


def test_weights_of_float16_are_refused_by_the_name_of_their_model(
    run: Run, tmp_path: Path
) -> None:
    models = [SyntheticModel("standard"), SyntheticModel("adhd", seed=1)]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    manifest = read_manifest(dataset)
    standard, adhd = manifest.models
    commit(dataset, replace(manifest, models=(standard, replace(adhd, precision="float16"))))
    outcome = run("sql", dataset, "select count(*) from heads", "--engine=spark")
    assert outcome.code == 2
    assert outcome.err.startswith("headswap: the weights of adhd are stored as float16")


def test_a_refused_query_leaves_nothing_behind(run: Run, dataset: Path) -> None:
    outcome = run("sql", dataset, "select histogram(layer) from heads", "--engine=spark")
    assert outcome.code == 2
    assert "HISTOGRAM(layer)" in outcome.err
    assert not list((dataset / "views").glob("spark-*"))


@pytest.mark.parametrize(
    ("address", "copy"),
    [
        ("s3://bucket/study", "`aws s3 sync s3://bucket/study study`"),
        ("hf://datasets/org/name", "`headswap pull org/name`"),
        ("https://example.org/study", "copy the whole folder"),
    ],
)
def test_a_dataset_afar_is_refused_before_any_of_it_is_read(address, copy, run: Run) -> None:
    outcome = run("sql", address, "select count(*) from heads", "--engine=spark")
    assert outcome.code == 2
    message, hint = outcome.err.splitlines()
    assert message == (
        f"headswap: {address} is in no folder, and the engine spark needs files that every machine "
        "of its cluster sees"
    )
    assert copy in hint
