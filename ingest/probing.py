"""The prompts of a probe for the models at hand: their tokenizers are read, nothing else yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.dataset.manifest import MANIFEST_NAME, Manifest, read_manifest
from ingest.dataset.reader import open_dataset
from ingest.models.packages import needing_packages
from ingest.models.source import ModelSource, find_files
from ingest.prompts.probes import Probe, check_cut_alike, make_probe, parse_probe
from ingest.prompts.prompt_set import PromptSet, stored_prompts

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@needing_packages()
def probe_prompts(
    probe: Probe, sources: Sequence[ModelSource], out: Path, trust_remote_code: bool = False
) -> PromptSet:
    """The prompts of a probe for the models of an ingest.

    A dataset that holds this probe keeps its words, which were chosen for the models of then.

    Raises: InputError where a tokenizer is not read, shares too few words with the others, or cuts
    the words that the dataset holds.
    """
    tokenizers = _tokenizers(sources, trust_remote_code)
    if (out / MANIFEST_NAME).exists() and read_manifest(out).variant == probe.name:
        rows = open_dataset(out).read_table("prompts").to_pylist()
        prompts = stored_prompts(rows, probe.name, out)
        check_cut_alike(prompts, tokenizers)
        return prompts
    return make_probe(probe, tokenizers)


@needing_packages()
def probe_made_again(manifest: Manifest, sources: Sequence[ModelSource]) -> PromptSet | None:
    """The prompts of a dataset of a probe, None where the dataset is of none or they differ.

    sources: its models in the order in which they were ingested; how many of them were there when
    the words were chosen is found by their hash.

    Raises: InputError as `probe_prompts`.
    """
    probe = parse_probe(manifest.variant)
    if probe is None:
        return None
    for n_models in range(1, len(sources) + 1):
        prompts = make_probe(probe, _tokenizers(sources[:n_models]))
        if prompts.sha256 == manifest.prompts_sha256:
            return prompts
    return None


def _tokenizers(
    sources: Sequence[ModelSource], trust_remote_code: bool = False
) -> dict[str, Tokenizer]:
    from ingest.models.load import read_tokenizer  # seconds, so only where models are to run

    return {
        source.name: read_tokenizer(find_files(source, trust_remote_code).tokenizer)
        for source in sources
    }
