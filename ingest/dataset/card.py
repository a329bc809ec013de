"""The dataset's card: README.md as dataset hubs read it, made from the manifest."""

from __future__ import annotations

from ingest.dataset.manifest import Manifest
from ingest.dataset.relations import STORED_TABLES, StoredTable
from ingest.kernel.text import markdown_cell

CARD_NAME = "README.md"


def card_text(manifest: Manifest) -> str:
    """The card's text. The same manifest gives the same text."""
    stored = [table for name, table in STORED_TABLES.items() if name in manifest.tables]
    configs = "\n".join(
        f"- config_name: {table.name}\n  data_files: '{_pattern(table)}'" for table in stored
    )
    models = "\n".join(
        f"| {model.name} | {markdown_cell(model.architecture or 'unknown')} "
        f"| {markdown_cell(model.source)} | {(model.weights_sha256 or 'unknown')[:12]} |"
        for model in manifest.models
    )
    tables = "\n".join(_table_line(table, manifest.rows_of(table.name)) for table in stored)
    return f"""---
pretty_name: Attention patterns
tags:
- attention
- interpretability
- headswap
configs:
{configs}
---

# Attention of {len(manifest.models)} models on {manifest.rows_of("prompts")} prompts

{manifest.rows_of("attention"):,} attention weights, one row per (model, layer, head, prompt, query,
key), written by headswap. All indices are 0-based.
{_part_text(manifest)}
| model | architecture | source | weights (SHA-256) |
|---|---|---|---|
{models}

Causal models store key <= query only: the rest of the square is zero by definition. The weights of
a query sum to 1. The prompts are those of the variant {markdown_cell(manifest.variant)}.

| table | rows | what | one row per | columns |
|---|---|---|---|---|
{tables}

`manifest.json` lists every file with its rows and SHA-256. A file that it does not name is not part
of this dataset.
"""


def _part_text(manifest: Manifest) -> str:
    """A paragraph about the dataset that this one is a part of; empty where it is whole."""
    if manifest.part_of is None:
        return ""
    left_out = markdown_cell("; ".join(manifest.part_of.left_out))
    return (
        f"\nThis is a part of the dataset whose manifest has the SHA-256 "
        f"{manifest.part_of.sha256}. Left out: {left_out}.\n"
    )


def _pattern(table: StoredTable) -> str:
    return f"{table.name}/*/*.parquet" if table.split == "model" else f"{table.name}*.parquet"


def _table_line(table: StoredTable, rows: int) -> str:
    columns = ", ".join(f"`{column.name}`" for column in table.columns)
    return f"| `{table.name}` | {rows:,} | {table.purpose} | {', '.join(table.grain)} | {columns} |"
