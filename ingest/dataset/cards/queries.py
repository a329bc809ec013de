"""How a dataset is queried, tool by tool: the code that its card shows.

Tests run each: against a served copy, and Spark's on a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.dataset.manifest import Manifest


@dataclass(frozen=True)
class Query:
    """One tool and its code. language: of the code, as Markdown names it."""

    title: str
    language: str
    code: str


def queries(manifest: Manifest, home: str | None) -> list[Query]:
    """The same question in each tool: which heads of the first model look at the token before?

    home: as in `ingest.dataset.cards.card.card_text`; without one, the code is for the dataset's
    own folder.
    """
    files = manifest.files_of("attention")
    if not files:
        return []
    root = f"hf://datasets/{home}" if home else "."
    model = files[0].owner
    folder, first = f"{root}/attention/{model}/*.parquet", f"{root}/{files[0].path}"
    name = (home or ".").rpartition("/")[2]
    local = name if home else "."
    question = "select * from head_scores where score = 'previous_token' order by value desc"
    found = [
        Query(
            "headswap, where it lies: only the rows that a query needs travel"
            if home
            else "headswap",
            "console",
            f'headswap sql {root} "{question} limit 5"',
        )
    ]
    if home:
        found.append(Query("a copy, each file checked", "console", f"headswap pull {home}"))
    return [
        *found,
        Query("DuckDB", "sql", _sql(folder)),
        Query("headswap in Python", "python", _session(home)),
        Query(
            "polars",
            "python",
            f"""import polars as pl

attention = pl.scan_parquet("{first}")
before = attention.filter(pl.col("query") == pl.col("key") + 1)
before.group_by("layer", "head").agg(pl.col("weight").mean()).sort("weight").collect()""",
        ),
        Query(
            "pandas",
            "python",
            f"""import pandas as pd

attention = pd.read_parquet("{first}", filters=[("layer", "==", 0)])
before = attention[attention["query"] == attention["key"] + 1]
before.groupby(["layer", "head"])["weight"].mean()""",
        ),
        Query(
            "`datasets`",
            "python",
            f"""from datasets import load_dataset

tokens = load_dataset("{home or "."}", "tokens", split="train")  # or "attention", which is large
tokens[0]""",
        ),
        Query(
            "Spark" + (", on a copy" * bool(home)),
            "python",
            f"""from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
attention = spark.read.parquet("{local}/attention/{model}")
before = attention.where("query = key + 1")
before.groupBy("layer", "head").avg("weight").show()""",
        ),
        Query(
            "All relations of headswap in plain DuckDB" + (", on a copy" * bool(home)),
            "console",
            (f"cd {local} && " if home else "") + "duckdb -init views.sql",
        ),
    ]


def _sql(files: str) -> str:
    return f"""select layer, head, avg(weight) as previous_token
from read_parquet('{files}')
where query = key + 1
group by all
order by previous_token desc
limit 5;"""


def _session(home: str | None) -> str:
    place = f'"hf://datasets/{home}"' if home else 'Path(".")'
    imports = ["from sql.session import open_session"]
    lines = imports if home else ["from pathlib import Path", "", *imports]
    return "\n".join(
        [
            *lines,
            "",
            f"with open_session({place}) as session:",
            '    frame = session.frame("select * from models")',
        ]
    )
