"""Models as the commands load them."""

from __future__ import annotations

from ingest.models.load import load_model
from ingest.models.loaded import LoadedModel
from ingest.models.options import LoadOptions
from ingest.models.source import ModelSource, find_files


def loaded(named: str, name: str = "mine") -> LoadedModel:
    """A model on the processor; named: a folder, or whatever else `--model` takes."""
    source = ModelSource(name, named)
    return load_model(source, find_files(source), LoadOptions("cpu"))
