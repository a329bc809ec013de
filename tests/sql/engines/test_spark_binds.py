"""Spark binds every query of pages and functions: relations without rows, nothing is run."""

from __future__ import annotations

import pytest
from sqlglot import exp, parse_one

from sql.engines.spark_dialect import spark_sql, spark_type
from sql.graph.catalog import declared
from tests.support.asked import asked_in


@pytest.mark.parametrize("folder", ["reports", "sql/computed", "headswap"])
def test_spark_binds_what_is_asked(folder: str, spark_master: str) -> None:
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate().newSession()
    for relation in declared().values():
        columns = ", ".join(f"`{c.name}` {spark_type(c.type)}" for c in relation.columns)
        spark.createDataFrame([], columns).createTempView(relation.name)
    refused = {}
    for place, sql in asked_in(folder).items():
        names = {found.name for found in parse_one(sql, dialect="duckdb").find_all(exp.Placeholder)}
        try:
            # A number is compared with whatever a column has.
            spark.sql(spark_sql(sql), args={name: [1] if name == "ids" else 1 for name in names})
        except Exception as error:
            refused[place] = str(error).split("\n", 1)[0]
    assert refused == {}
