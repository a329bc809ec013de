"""What a shell completes in a command over a dataset: its folder, models, heads, views.

A shell asks at every press of the tab key, and shows no message: only the manifest and the small
table of models are read, and where they cannot be, nothing is offered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingest.kernel.errors import HeadswapError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_folder(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Leaves it to the shell, which knows the folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def complete_file(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Leaves it to the shell, which knows the files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_model(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Models of the dataset that the line names."""
    return _starting_with(incomplete, model_names(context))


def complete_pair(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Two different models of the dataset that the line names, as `standard:adhd`."""
    models = model_names(context)
    pairs = [f"{first}:{second}" for first in models for second in models if first != second]
    return _starting_with(incomplete, pairs)


def complete_head(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Heads of the dataset that the line names, as `L3H0` of the first model and `adhd:L3H0`."""
    sizes = model_sizes(context)
    first = next(iter(sizes.values()), (0, 0))
    named = [f"{model}:{head}" for model, size in sizes.items() for head in _heads(*size)]
    return _starting_with(incomplete, [*_heads(*first), *named])


def complete_model_head(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Heads of the dataset that the line names, as `adhd:L3H0`."""
    heads = complete_head(context, parameter, incomplete)
    return [head for head in heads if ":" in head]


def complete_view(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The views."""
    from sql.graph.catalog import declared

    return _starting_with(incomplete, list(declared()))


def model_names(context: click.Context) -> list[str]:
    """The models of the dataset that the line names, as its manifest lists them."""
    from ingest.dataset.manifest import read_manifest

    dataset = _dataset(context)
    try:
        return [model.name for model in read_manifest(dataset).models] if dataset else []
    except (HeadswapError, OSError):
        return []


def model_sizes(context: click.Context) -> dict[str, tuple[int, int]]:
    """How many layers, and heads a layer, each model of the dataset on the line has."""
    import duckdb

    from ingest.dataset.reader import open_dataset

    dataset = _dataset(context)
    if not dataset:
        return {}
    try:
        files = [str(path) for path in open_dataset(dataset).table_files("models")]
        rows = duckdb.execute(
            "select model, n_layers, n_heads from read_parquet($files)", {"files": files}
        ).fetchall()
    except (HeadswapError, OSError, duckdb.Error):
        return {}
    sizes = {model: (n_layers, n_heads) for model, n_layers, n_heads in rows}
    return {model: sizes[model] for model in model_names(context) if model in sizes}


def _dataset(context: click.Context) -> Path | None:
    # After an option whose value is still to come, click leaves the arguments as they were given.
    given = context.params.get("dataset") or next(iter(context.args), None)
    return Path(given).expanduser() if given else None


def _heads(n_layers: int, n_heads: int) -> list[str]:
    return [f"L{layer}H{head}" for layer in range(n_layers) for head in range(n_heads)]


def _starting_with(incomplete: str, words: list[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
