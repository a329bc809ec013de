"""Fixtures that several tests share: small real things, built once a session."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# The tests run in two processes on two cores; a second thread in each would only be in the way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What tests keep of a user is not the user's.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="headswap-state-")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="headswap-cache-")

import numpy as np
import pytest
from xdist.scheduler import LoadFileScheduling

import headswap
from reports.study.study import read_study
from sql.parameters import Parameters, parse_claim
from sql.session import Session, open_session
from tests.support.running import REFERENCE, Outcome, Reference, Run, reference_commands
from tests.support.services.spark_cluster import SparkCluster, running_cluster

# Tests that start processes out of one that has imported torch, which takes longer than they do.
_FORKING = {"test_disks", "test_interrupted"}
# What a slow test may take; pyproject.toml says it for the others.
_SLOW_SECONDS = 3600


class _ByFile(LoadFileScheduling):  # type: ignore[misc]
    """The tests of a file run in one process, those that fork torch in the same.

    So do those of files that have `spark` in their names: there is one cluster for all of them.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = str(super()._split_scope(nodeid))
        if "spark" in Path(path).stem:
            return "spark"
        return "forking" if Path(path).stem in _FORKING else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return _ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a driver of their own run before this process has one that holds every core."""
    items.sort(key=lambda item: "spark_master" in getattr(item, "fixturenames", ()))
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(_SLOW_SECONDS))


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command `headswap` with the given words and returns its outcome."""

    def run_command(*words: object) -> Outcome:
        capfd.readouterr()
        code = headswap.main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run_command


@pytest.fixture(scope="session")
def reference() -> Reference:
    arrays = np.load(REFERENCE / "reference.npz")
    facts = json.loads((REFERENCE / "reference.json").read_text())
    prompts = range(12)
    return Reference(
        patterns={
            model: [arrays[f"{model}_pattern_{prompt}"] for prompt in prompts]
            for model in ("standard", "adhd")
        },
        tokens=[arrays[f"tokens_{prompt}"] for prompt in prompts],
        marker_ids=facts["special_ids"],
        head_permutation=facts["head_permutation"],
    )


@pytest.fixture(scope="session")
def ingested_reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference bundles through `headswap ingest`, on the 12 paired tasks, and no more."""
    dataset = tmp_path_factory.mktemp("ingested") / "dataset"
    models = [f"--model={name}={REFERENCE / name}" for name in ("standard", "adhd")]
    assert headswap.main(["ingest", *models, "--out", str(dataset)]) == 0
    return dataset


@pytest.fixture(scope="session")
def reference_dataset(ingested_reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with rows of every table that a dataset may have."""
    folder = tmp_path_factory.mktemp("reference")
    dataset = Path(shutil.copytree(ingested_reference, folder / "dataset"))
    for words in reference_commands(dataset, folder):
        assert headswap.main(words) == 0
    return dataset


@pytest.fixture(scope="session")
def reference_session(reference_dataset: Path) -> Iterator[Session]:
    claim = parse_claim("standard:L0H0 ~ adhd:L0H1 best match")
    with open_session(reference_dataset, Parameters(claims=(claim,))) as session:
        yield session


@pytest.fixture(scope="session")
def demo_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three demo models through the ordinary command, on the 12 paired tasks."""
    dataset = tmp_path_factory.mktemp("demo") / "dataset"
    words = [f"--model={name}={source}" for name, source in read_study("demo").models.items()]
    assert headswap.main(["ingest", *words, "--out", str(dataset)]) == 0
    return dataset


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """A master and two workers of one core each, and this process set up to be a driver of theirs.

    For tests in files that have `spark` in their names, which run in one process.
    """
    with (
        running_cluster(tmp_path_factory.mktemp("spark")) as cluster,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        yield cluster


@pytest.fixture(scope="session")
def spark_master(spark_cluster: SparkCluster) -> Iterator[str]:
    """The address of the cluster, on which this process has one Spark that all sessions share."""
    from ingest.kernel.spark_start import start_spark

    _, stop = start_spark(spark_cluster.url)
    yield spark_cluster.url
    stop()
