"""Datasets made from Python: by running models, and of attention that is in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.models.options import LoadOptions
    from ingest.prompts.probes import Probe
    from ingest.prompts.prompt_set import PromptSet

Place = str | os.PathLike[str]
# A text, or a record with the keys of a prompt file.
PromptRecord = str | Mapping[str, Any]
Prompts = Place | Sequence[PromptRecord]


def ingest(
    models: Mapping[str, str],
    prompts: Prompts | None,
    out: Place,
    *,
    variant: str | None = None,
    structural: str | None = None,
    options: LoadOptions | None = None,
) -> Path:
    """As `headswap.ingest`."""
    from ingest.command import made_prompts
    from ingest.models.source import ModelSource
    from ingest.pipeline import ingest as run_models
    from ingest.prompts.reading import Reading
    from sql.graph.export import write_views

    folder = Path(out)
    sources = [ModelSource(name, source) for name, source in models.items()]
    chosen = made_prompts(prompts_from(prompts, variant), sources, folder, options)
    run_models(sources, chosen, folder, Reading(structural), options)
    write_views(folder)
    return folder


def prompts_from(prompts: Prompts | None, variant: str | None = None) -> PromptSet | Probe:
    """What is to be read: texts and records, or what a file's path or a probe's name names.

    Raises: InputError where a record cannot be used, naming it by its place in the list.
    """
    from ingest.command import prompts_named

    if prompts is None or isinstance(prompts, str | os.PathLike):
        return prompts_named(None if prompts is None else os.fspath(prompts), variant)
    from ingest.prompts.prompt_set import prompt_set_of

    records = (
        (f"prompt {number}", {"text": given} if isinstance(given, str) else dict(given))
        for number, given in enumerate(prompts)
    )
    return prompt_set_of(records, Path("the list of prompts"), variant or "standard")


def from_arrays(
    attention: Any,
    tokens: Sequence[Any],
    out: Place,
    *,
    model: str = "model",
    structural: str | None = None,
    precision: str = "float32",
) -> Path:
    """As `headswap.from_arrays`."""
    from ingest.transfer.imports.in_memory import import_from_memory
    from sql.graph.export import write_views

    folder = Path(out)
    import_from_memory(attention, tokens, folder, model, structural, precision)
    write_views(folder)
    return folder
