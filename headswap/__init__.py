"""Attention heads as rows: datasets of attention made, opened, asked in SQL and drawn.

    import headswap

    headswap.ingest({"one": "path/to/one", "other": "path/to/other"}, None, "dataset")
    with headswap.open("dataset") as data:
        data.sql("select * from verdicts order by p_family limit 5")
        data.figure("profiles")
        data.head("one:L3H0")
    headswap.look("path/to/one", "any sentence", "L3H0")

What these give shows itself in Jupyter and marimo. Nothing but this is loaded by the import: DuckDB
with the first dataset, torch with the first model. Whatever cannot be done raises `HeadswapError`
or one of its two kinds, `InputError` and `DatasetError`, with one clear line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headswap.commands import COMMANDS, __version__, command_line, main
from headswap.datasets import Dataset
from headswap.heads import Counterpart, Head
from headswap.looking import Look
from headswap.views import Column, View, Views
from ingest.kernel.errors import DatasetError, HeadswapError, InputError

if TYPE_CHECKING:
    from sql.engines.engine import EngineName

__all__ = [
    "COMMANDS",
    "Column",
    "Counterpart",
    "Dataset",
    "DatasetError",
    "Head",
    "HeadswapError",
    "InputError",
    "Look",
    "View",
    "Views",
    "__version__",
    "command_line",
    "from_arrays",
    "ingest",
    "look",
    "main",
    "open",
]


def open(  # noqa: A001, PLR0913 - a builtin's name, as of gzip.open; options by name
    place: str | os.PathLike[str],
    *,
    bins: int = 20,
    variant: str | None = None,
    reference: str | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    similarity: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    claims: Sequence[str] = (),
    engine: EngineName = "duckdb",
    master: str | None = None,
    warehouse: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Opens a dataset, to be asked and drawn until it is closed.

    place: its folder, or where one lies: `hf://datasets/ORG/NAME[@REVISION]` or the `https://`
    address of a folder. The rest is what the views are asked with, as the options of `headswap sql`
    say: bins of a profile; the variant of prompts, None for the stored one; the reference head, as
    in `standard:L3H0`, None to let the data choose; the pairs of models to compare, none for every
    two; groups of models by name; what matches are about; draws behind chance and their seed;
    claims for the view `claims`; the engine that runs the queries, `duckdb` or `spark`, and of
    Spark the cluster, as in `spark://HOST:7077`, and the folder for its tables.

    Raises: DatasetError where there is no dataset; InputError where a value does not fit it, or the
    engine cannot run here; HeadswapError where the network fails.
    """
    from headswap.datasets import open_dataset
    from sql.engines.engine import EngineChoice
    from sql.parameters import Parameters, parse_claim, parse_model_head

    model, layer, head = parse_model_head(reference) if reference else (None, None, None)
    parameters = Parameters(
        bins=bins,
        variant=variant,
        reference_model=model,
        reference_layer=layer,
        reference_head=head,
        pairs=tuple(pairs),
        groups=tuple((name, tuple(models)) for name, models in (groups or {}).items()),
        similarity=similarity,
        n_draws=draws,
        seed=seed,
        claims=tuple(map(parse_claim, claims)),
    )
    choice = EngineChoice(engine, master, None if warehouse is None else Path(warehouse))
    return open_dataset(place, parameters, choice)


def ingest(  # noqa: PLR0913 - options by name
    models: Mapping[str, str],
    prompts: str | os.PathLike[str] | Sequence[str | Mapping[str, Any]] | None,
    out: str | os.PathLike[str],
    *,
    variant: str | None = None,
    structural: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    precision: str = "float32",
    trust_remote_code: bool = False,
) -> Path:
    """Runs models over prompts and stores their attention as a dataset, made anew or added to.

    models: by the name that each gets, a source as in `headswap ingest`: a local folder, a bundle
    file, `ORG/NAME[@REVISION]` on the hub, `demo:NAME`, `untrained:SOURCE`. prompts: a list of
    texts, or of records with the keys of a prompt file; the path of such a file; `probe:repeated`
    or `probe:sink`; None for the 12 paired tasks. out: the dataset's folder. The rest is as the
    options of `headswap ingest`.

    Returns: the folder.
    Raises: InputError where models, prompts or dataset cannot be used, or the extra
    `headswap[models]` is not installed; HeadswapError where another ingest writes there or the disk
    lacks the room. What was stored before stays as it was.
    """
    from headswap import making
    from ingest.models.options import LoadOptions

    options = LoadOptions(device, dtype, trust_remote_code, precision)
    return making.ingest(
        models, prompts, out, variant=variant, structural=structural, options=options
    )


def look(
    source: str | os.PathLike[str],
    text: str,
    heads: str | Iterable[str] = (),
    *,
    models: Sequence[str] = (),
    keep: str | os.PathLike[str] | None = None,
    device: str | None = None,
    trust_remote_code: bool = False,
) -> Look:
    """Shows what heads attend to on a text: from a sentence to a picture.

        headswap.look("demo:adhd", "Make tea and drink it", "L3H5")

    source: a model as `ingest` takes it, or the folder of a dataset, whose models are run again.
    heads: those that are shown large, as in `L3H5`, or of a dataset `adhd:L3H5`; none for all of
    them, small. models: of a dataset, those that read the text; none for those of the heads, or its
    first. keep: a folder that becomes a dataset of the text; None to keep the attention in the
    user's cache, where a second look at the same text finds it and loads no model. device: None
    for `auto`, or where the dataset's models ran.

    Raises: InputError where there is no such model or head, the text is empty or longer than a
    model's context, or the extra `headswap[models]` is not installed; HeadswapError where the
    network fails or the disk lacks the room.
    """
    from headswap import looking
    from ingest.models.options import LoadOptions

    options = None
    if device is not None or trust_remote_code:
        options = LoadOptions(device or "auto", trust_remote_code=trust_remote_code)
    return looking.look(source, text, heads, models=models, keep=keep, options=options)


def from_arrays(
    attention: Any,
    tokens: Sequence[Any],
    out: str | os.PathLike[str],
    *,
    model: str = "model",
    structural: str | None = None,
    precision: str = "float32",
) -> Path:
    """Makes a dataset of attention in memory, as BertViz and CircuitsVis take it.

    attention: of one prompt, after the softmax: an array or tensor `[layer, head, query, key]`, or
    `[head, query, key]` of one layer, or a list of layers, each of which may have a batch of one in
    front; of several prompts a list of these. tokens: the texts of one prompt's tokens, or a list
    of them, one a prompt. out: the new dataset's folder. structural, precision: as the options of
    `headswap import`.

    Returns: the folder.
    Raises: InputError where shapes and tokens do not belong together, weights are not finite, below
    0 or do not sum to 1, or `out` exists; HeadswapError where the operating system refuses. Then
    nothing is written.
    """
    from headswap import making

    return making.from_arrays(
        attention, tokens, out, model=model, structural=structural, precision=precision
    )
