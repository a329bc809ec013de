"""From `NAME=SOURCE` on the command line to the files of a model."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.dataset.manifest import MODEL_NAME_PATTERN
from ingest.kernel.errors import InputError
from ingest.kernel.files import sha256_of
from ingest.kernel.hub import parse_hub_id
from ingest.kernel.meant import choice_hint
from ingest.models.hub import fetch_snapshot

DEMO_PREFIX = "demo:"
# What the demo calls its models, and where they lie; the others go by the names of their folders.
DEMO_NAMES = {
    "standard": "standard-1",
    "adhd": "adhd-shared",
    "standard-twin": "standard-2",
}
DEMO_FOLDER = Path(__file__).parents[1] / "demo" / "models"
BUNDLE_NAME = "hooked_transformer.pt"
TOKENIZER_NAME = "tokenizer.json"
_UNTRAINED = re.compile(r"untrained:(?:(?P<seed>\d{1,9}):)?(?P<source>.+)")
_SOURCE_HINT = (
    "SOURCE is a local folder, a bundle file, ORG/NAME[@REVISION] on the hub, demo:NAME, "
    "or untrained:SOURCE"
)


@dataclass(frozen=True)
class ModelSource:
    """What the user wrote: a name for the model, and where it comes from.

    Raises: InputError where the name cannot be one.
    """

    name: str
    source: str

    def __post_init__(self) -> None:
        if not MODEL_NAME_PATTERN.fullmatch(self.name):
            raise InputError(
                f"{self.name!r} cannot name a model",
                hint="use letters, digits, '.', '_' and '-', at most 64, starting with no sign",
            )


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model on this machine.

    bundle: None for a saved Hugging Face model. untrained_seed: from which random weights are drawn
    in place of the trained ones, None for the trained ones.
    """

    folder: Path
    bundle: Path | None
    revision: str | None
    untrained_seed: int | None = None

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER_NAME

    def weights_sha256(self) -> str:
        """The hash of the weights' file; of several, the hash of their hashes in order of name.

        Of an untrained model the hash of these and its seed.
        """
        weights = [self.bundle] if self.bundle else sorted(self.folder.glob("*.safetensors"))
        digests = [sha256_of(path) for path in weights]
        if self.untrained_seed is not None:
            digests.append(f"untrained {self.untrained_seed}")
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("".join(digests).encode()).hexdigest()


def parse_model_sources(arguments: Sequence[str]) -> list[ModelSource]:
    """Reads `NAME=SOURCE` arguments.

    >>> parse_model_sources(["adhd=demo:adhd-1"])
    [ModelSource(name='adhd', source='demo:adhd-1')]

    Raises: InputError where one is malformed or two have one name.
    """
    sources: list[ModelSource] = []
    for argument in arguments:
        name, equals, source = argument.partition("=")
        if not equals or not source:
            raise InputError(
                f"--model {argument!r} is not NAME=SOURCE",
                hint="for example --model adhd=demo:adhd-1 or --model mine=path/to/folder",
            )
        if name in {earlier.name for earlier in sources}:
            raise InputError(f"two models are named {name!r}", hint="give each its own name")
        sources.append(ModelSource(name, source))
    return sources


def find_files(source: ModelSource, trust_remote_code: bool = False) -> ModelFiles:
    """The files that a source names, fetched from the hub where it names a repository there.

    A folder of that name on this machine goes first. Nothing is loaded yet.

    Raises: InputError where the source does not hold a model and a tokenizer.
    """
    if untrained := _UNTRAINED.fullmatch(source.source):
        trained = ModelSource(source.name, untrained["source"])
        files = find_files(trained, trust_remote_code)
        return replace(files, untrained_seed=int(untrained["seed"] or 0))
    path, revision = _local_path(source), None
    if not path.exists() and (hub_id := parse_hub_id(source.source)):
        snapshot = fetch_snapshot(hub_id, allow_code=trust_remote_code)
        path, revision = snapshot.folder, snapshot.revision
    where = f"model {source.name!r}: {path}"
    if path.is_file() and path.suffix == ".pt":
        files = ModelFiles(path.parent, path, None)
    elif path.is_dir():
        bundle = path / BUNDLE_NAME
        files = ModelFiles(path, bundle if bundle.is_file() else None, revision)
    else:
        is_demo = source.source in (*DEMO_NAMES, *_demo_folders())
        start = f"did you mean {DEMO_PREFIX}{source.source}? " if is_demo else ""
        raise InputError(f"{where} is not a folder or a bundle file", hint=f"{start}{_SOURCE_HINT}")
    if files.bundle is None and not (path / "config.json").is_file():
        raise InputError(
            f"{where} holds neither {BUNDLE_NAME} nor config.json",
            hint="give a folder with an InterpGPT bundle or a saved Hugging Face model",
        )
    if not files.tokenizer.is_file():
        raise InputError(
            f"model {source.name!r}: {files.folder} holds no {TOKENIZER_NAME}",
            hint="put the model's tokenizer.json into the folder",
        )
    return files


def tokenizer_name(sha256: str) -> str:
    """Names a tokenizer by its content, so that equal tokenizers share their rows."""
    return f"tokenizer-{sha256[:12]}"


def _demo_folders() -> list[str]:
    return sorted(path.name for path in DEMO_FOLDER.glob("*") if path.is_dir())


def _local_path(source: ModelSource) -> Path:
    if not source.source.startswith(DEMO_PREFIX):
        # Not Path.expanduser, which fails where there is no such user.
        return Path(os.path.expanduser(source.source))  # noqa: PTH111
    name = source.source.removeprefix(DEMO_PREFIX)
    demo = DEMO_NAMES.get(name, name)
    known = _demo_folders()
    if demo not in known:
        raise InputError(
            f"there is no demo model {demo!r}",
            hint=choice_hint(demo, [*DEMO_NAMES, *known], "the demo models are")
            if known
            else "train them first: python -m ingest.demo.train",
        )
    return DEMO_FOLDER / demo
