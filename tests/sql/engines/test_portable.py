"""What is refused of SQL for Spark, with its name and place; our own views have none of it."""

from __future__ import annotations

import pytest

from ingest.kernel.errors import InputError
from sql.console.examples import examples
from sql.engines.portable import NotPortableError
from sql.engines.spark_dialect import spark_sql
from sql.graph.catalog import declared
from tests.support.asked import asked_in

OWN = {
    **{name: view.definition for name, view in declared().items() if view.kind == "select"},
    **{example.question: example.query for example in examples()},
}


@pytest.mark.parametrize("name", OWN)
def test_our_own_sql_means_the_same_in_both(name: str) -> None:
    assert spark_sql(OWN[name]).startswith(("SELECT", "WITH"))


@pytest.mark.parametrize("folder", ["reports", "sql/computed", "headswap"])
def test_what_pages_and_functions_ask_means_the_same_in_both(folder: str) -> None:
    asked = asked_in(folder)
    assert asked
    refused = {}
    for place, sql in asked.items():
        try:
            spark_sql(sql)
        except InputError as refusal:
            refused[place] = str(refusal)
    assert refused == {}


REFUSED = {
    "select format('{}', layer) from heads": "FORMAT('{}', layer)",
    "select histogram(layer) from heads": "HISTOGRAM(layer)",
    "select columns('l.*') from heads": "COLUMNS('l.*')",
    "select list(layer) from heads": "ARRAY_AGG(layer)",
    "select string_agg(label, ',') from heads": "AGG(label, ',')",
    "select log(value) from head_scores": "LOG(value)",
    "select upper(model) from heads": "UPPER(model)",
    "select now()": "NOW()",
    "select random()": "RANDOM()",
    "select date '2026-01-01'": "AS DATE",
    "select [1, 2]": "[1, 2]",
    "select {'a': 1}": "{'a': 1}",
    "select * exclude (model) from heads": "* EXCLUDE (model)",
    "select cast(value as integer) from head_scores": "CAST(value AS INT)",
    "select value::varchar from head_scores": "CAST(value AS TEXT)",
    "select try_cast(label as integer) from heads": "TRY_CAST(label AS INT)",
    "select 'x' || value from head_scores": "'x' || value",
    "select 0.1 + 0.2": "0.1",
    "select layer * 0.5 from heads": "0.5",
    "select weight > 0.5 from attention_rows": "0.5",
    "select value // 2 from head_scores": "value // 2",
    "select label like 'a\\b' from heads": "LIKE",
    "select regexp_matches(label, '\\d') from heads": "REGEXP",
    "select substr(label, -2) from heads": "SUBSTRING(label, -2)",
    "select count(distinct (layer, head)) from heads": "(layer, head)",
    "select distinct on (model) model, layer from heads": "DISTINCT ON",
    "select * from heads positional join models": "POSITIONAL JOIN",
    "select * from heads using sample 3": "SAMPLE",
    "select * from read_parquet('x')": "READ_PARQUET",
    "select * from information_schema.tables": "information_schema.tables",
    "with recursive a as (select 1 as n union select n + 1 from a) select * from a": "RECURSIVE",
    "with a as materialized (select 1 as n) select n from a": "MATERIALIZED",
    "select model from models union by name select model from heads": "BY NAME",
    "select * from heads qualify row_number() over (order by head_id) = 1": "QUALIFY",
    "select layer from heads group by all qualify rank() over (order by layer) = 1": "QUALIFY",
    "select label from heads qualify rank() over (order by layer) < 3 order by head": "'head'",
    "pivot heads on model using count(*)": "only SELECT",
    "summarize heads": "only SELECT",
    "describe heads": "only SELECT",
    "show tables": "only SELECT",
    "explain select 1": "only SELECT",
    "copy heads to 'x.csv'": "only SELECT",
    "create table x as select 1": "only SELECT",
    "select 1; select 2": "2 statements",
    "selec 1": "cannot be read",
    "select 1 +": "cannot be read",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_what_could_mean_something_else_is_refused(sql: str) -> None:
    with pytest.raises(InputError) as refusal:
        spark_sql(sql)
    assert REFUSED[sql] in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(NotPortableError, match=r"'LOWER\(model\)' \(line 3\)"):
        spark_sql("select model\nfrom models\nwhere lower(model) = 'a'")


@pytest.mark.parametrize(
    ("sql", "translated"),
    [
        ("select round(value, 3) as r from head_scores", "(ROUND((`value`) * 1e3) / 1e3)"),
        ("select round(layer, 3) as r from heads", "ROUND(`layer`, 3)"),
        ("select layer from heads order by layer", "NULLS LAST"),
        ("select layer from heads where model = $m", ":m"),
        ("select 1 where 1 in (select unnest($ids))", "EXPLODE(:ids)"),
        ("select quantile_cont(value, 0.5) from head_scores", "PERCENTILE(`value`, 0.5)"),
        ("select value * 0.5 from head_scores where value > 0.25", "`value` * 0.5"),
    ],
)
def test_what_differs_is_written_in_sparks_way(sql: str, translated: str) -> None:
    assert translated in spark_sql(sql)
