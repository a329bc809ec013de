"""The cluster that the tests on Spark run on: two workers that count, no server beyond them."""

from __future__ import annotations

import subprocess
import sys

from tests.support.services.spark_cluster import SparkCluster

COUNT = """
import sys
from pyspark.sql import SparkSession

spark = SparkSession.builder.master(sys.argv[1]).getOrCreate()
print(spark.range(1000).repartition(4).selectExpr("sum(id) as total").first().total)
spark.stop()
"""


def test_a_driver_in_another_process_counts_on_the_cluster(spark_cluster: SparkCluster):
    done = subprocess.run(
        [sys.executable, "-c", COUNT, spark_cluster.url], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "499500"


def test_the_cluster_serves_no_submissions_from_outside(spark_cluster: SparkCluster):
    log = (spark_cluster.folder / "master.log").read_text()
    assert log.count("Registering worker") == 2
    assert "StandaloneRestServer" not in log
