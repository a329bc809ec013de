"""The code for Spark on a dataset's card, run on a cluster as it stands there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingest.dataset.cards.queries import queries
from ingest.dataset.manifest import read_manifest
from tests.support.services.spark_cluster import SparkCluster


@pytest.mark.parametrize(
    "home",
    [
        pytest.param(None, id="in the folder", marks=pytest.mark.slow),
        pytest.param("org/demo", id="on a copy"),
    ],
)
def test_the_code_for_spark_prints_the_means(
    home, demo_dataset: Path, spark_cluster: SparkCluster, tmp_path: Path
) -> None:
    folder = shutil.copytree(demo_dataset, tmp_path / "demo")
    (query,) = (
        query for query in queries(read_manifest(folder), home) if query.title.startswith("Spark")
    )
    # As an institution's machines are set up: the cluster's address is not in the code.
    settings = {"PYSPARK_SUBMIT_ARGS": f"--master {spark_cluster.url} pyspark-shell"}
    done = subprocess.run(
        [sys.executable, "-c", query.code],
        cwd=tmp_path if home else folder,
        env=os.environ | spark_cluster.environment | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.strip("|").split("|") for line in done.stdout.splitlines() if "|" in line][1:]
    shown = {(int(layer), int(head)): float(mean) for layer, head, mean in rows}
    model = read_manifest(folder).models[0].name
    table = pq.read_table(folder / "attention" / model, partitioning=None).to_pandas()
    before = table[table["query"] == table["key"] + 1]
    means = before.groupby(["layer", "head"])["weight"].mean()
    assert len(shown) == 20  # as many as Spark shows
    for place, mean in shown.items():
        assert mean == pytest.approx(float(means[place]), abs=1e-6)
