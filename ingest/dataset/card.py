"""The texts of a dataset: its card, README.md as dataset hubs read it, beside the manifest."""

from __future__ import annotations

from pathlib import Path

from ingest.dataset.manifest import BACKUP_NAME, MANIFEST_NAME, Manifest, manifest_text
from ingest.kernel.files import write_texts_aside
from ingest.kernel.text import markdown_cell

CARD_NAME = "README.md"
_TABLES = ("attention", "models", "prompts", "tokens")
_PATTERNS = {"attention": "attention/*/*.parquet"}


def seal(dataset: Path, manifest: Manifest) -> None:
    """Makes a dataset what the manifest says: replaces manifest, its copy and the card.

    Raises: HeadswapError where the operating system refuses; then nothing was replaced.
    """
    text = manifest_text(manifest)
    write_texts_aside(
        {
            dataset / MANIFEST_NAME: text,
            dataset / BACKUP_NAME: text,
            dataset / CARD_NAME: card_text(manifest),
        }
    )


def card_text(manifest: Manifest) -> str:
    """The card's text. The same manifest gives the same text."""
    configs = "\n".join(
        f"- config_name: {table}\n  data_files: {_PATTERNS.get(table, f'{table}*.parquet')}"
        for table in _TABLES
    )
    rows = sum(entry.rows for model in manifest.models for entry in model.attention)
    models = "\n".join(
        f"| {model.name} | {markdown_cell(model.architecture)} | {markdown_cell(model.source)} "
        f"| {model.weights_sha256[:12]} |"
        for model in manifest.models
    )
    prompts = sum(entry.rows for entry in manifest.tables["prompts"])
    return f"""---
pretty_name: Attention patterns
tags:
- attention
- interpretability
- headswap
configs:
{configs}
---

# Attention of {len(manifest.models)} models on {prompts} prompts

{rows:,} attention weights, one row a (model, layer, head, prompt, query, key), written by headswap.
All indices are 0-based; `model` is the name of the folder that a file of `attention` lies in.

| model | architecture | source | weights (SHA-256) |
|---|---|---|---|
{models}

- `attention`: `layer`, `head`, `prompt_id`, `query`, `key`, `weight`. Causal models store
  key <= query only: the rest of the square is zero by definition. The weights of a query sum to 1.
- `tokens`: one row a (`tokenizer`, `prompt_id`, `position`): what stands at a query or key.
- `prompts` (variant {markdown_cell(manifest.variant)}) and `models`: what was run.

`manifest.json` lists every file with its rows and SHA-256; a file that it does not name is none of
this dataset.
"""
