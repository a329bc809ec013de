"""manifest.json: what a dataset holds. A file that it does not name does not exist.

It is written last and replaced in one step, so it is also the mark that a write was completed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ingest.dataset.nearby import dataset_hint
from ingest.dataset.relations import STORED_TABLES
from ingest.kernel.errors import DatasetError
from ingest.kernel.files import sha256_of

FORMAT_VERSION = 3
# Of the weights as stored: float32 keeps them exactly, float16 to 3 digits in half the bytes.
PRECISIONS = ("float32", "float16")
MANIFEST_NAME = "manifest.json"
BACKUP_NAME = "manifest.backup.json"  # what `headswap verify --repair` goes by when that is damaged
# How the variant of prompts begins that are a probe's, in place of a file's.
PROBE_PREFIX = "probe:"
FORMAT = "headswap-dataset"
# Results that queries keep beside the data: no part of it, so the manifest names none of them.
KEPT_FOLDER = "views"
MODEL_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")
_CHECKSUM = "sha256"
# As hubs name licences: it becomes a line of the card's head.
LICENCE_PATTERN = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")
_MAX_ROWS_A_BYTE = 1000
_WRITTEN_WHERE_KNOWN = ("licence", "part_of", "left_out")


@dataclass(frozen=True)
class FileEntry:
    """One Parquet file: its path below the dataset with forward slashes, and what it must hold.

    owner: the model or the tokenizer that its rows came from; None for those of all.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    owner: str | None = None

    def is_intact(self, dataset: Path) -> bool:
        """Whether the file is there and holds the bytes that were written."""
        path = dataset / self.path
        return path.is_file() and sha256_of(path) == self.sha256


@dataclass(frozen=True)
class ModelEntry:
    """One model: where it came from and how it ran.

    dtype, precision: in which it ran, and in which its weights are stored.
    config: the architecture's numbers as the source states them (JSON values). layers: those whose
    rows are stored, ascending; None for all. What nobody knows of an imported model is None.
    """

    name: str
    source: str
    revision: str | None
    weights_sha256: str | None
    architecture: str | None
    tokenizer: str
    dtype: str
    precision: str
    device: str | None
    trust_remote_code: bool
    config: dict[str, Any]
    layers: tuple[int, ...] | None = None

    @property
    def is_imported(self) -> bool:
        """Whether others computed its attention, so that no model makes it again."""
        return self.weights_sha256 is None

    def stored_layers(self, n_layers: int) -> list[int]:
        """The layers whose rows are stored; n_layers: how many the model has."""
        return list(range(n_layers) if self.layers is None else self.layers)


@dataclass(frozen=True)
class Part:
    """What a dataset was taken out of, and what was left there.

    sha256: of the manifest of the whole. left_out: a line for each kind of thing. source: where the
    whole lies, as `hf://datasets/ORG/NAME`, and revision, its commit there: None of one on a disk.
    """

    sha256: str
    left_out: tuple[str, ...]
    source: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class LeftOut:
    """A prompt of the file that no model of the dataset was given, as one of them cannot read it.

    prompt_id: its 0-based position in the file. model: the first that cannot; reason: why.
    """

    prompt_id: int
    model: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """What a dataset holds.

    structural: the regular expression that chose the structural tokens, None for the default;
    tokenizers: the SHA-256 of each tokenizer's file by the tokenizer's name, None where only its
    tokens are known; tables: the files of each stored table that the dataset has, in the order in
    which they were written; licence: what its owner allows others, as hubs name it (`mit`,
    `cc-by-4.0`), None where nobody said; part_of: the dataset that it was taken out of, None for a
    whole one; left_out: the prompts that were left out of an ingest with --skip-unreadable, None
    for one without it.
    """

    variant: str
    structural: str | None
    prompts_sha256: str
    tokenizers: dict[str, str | None]
    models: tuple[ModelEntry, ...]
    tables: dict[str, tuple[FileEntry, ...]]
    written_with: dict[str, str]
    licence: str | None = None
    part_of: Part | None = None
    left_out: tuple[LeftOut, ...] | None = None
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    def files(self) -> list[FileEntry]:
        """Every file that the dataset consists of."""
        return [entry for name in sorted(self.tables) for entry in self.tables[name]]

    def files_of(self, table: str, owner: str | None = None) -> tuple[FileEntry, ...]:
        """The files of a table, or of one model or tokenizer of it; none where it is absent."""
        entries = self.tables.get(table, ())
        return tuple(entry for entry in entries if owner is None or entry.owner == owner)

    def rows_of(self, table: str, owner: str | None = None) -> int:
        """The number of rows of a table, or only those of one model or tokenizer."""
        return sum(entry.rows for entry in self.files_of(table, owner))

    def absent_tables(self) -> list[str]:
        """The stored tables that a dataset may have and this one lacks."""
        return [name for name in STORED_TABLES if name not in self.tables]

    def sha256(self) -> str:
        """What identifies the content: the SHA-256 of the text without the checksum in it."""
        return checksum_of(_content(self))

    def model(self, name: str) -> ModelEntry | None:
        """The model of that name, None where the dataset has none."""
        return next((model for model in self.models if model.name == name), None)

    def with_model(
        self,
        model: ModelEntry,
        tables: Mapping[str, Sequence[FileEntry]],
        tokenizers: dict[str, str | None],
    ) -> Manifest:
        """This manifest with one model more, and with the files that came with it."""
        with_files = self.with_files(tables)
        return replace(
            with_files, models=(*self.models, model), tokenizers=tokenizers, part_of=None
        )

    def with_files(self, tables: Mapping[str, Sequence[FileEntry]]) -> Manifest:
        """This manifest with more files of some tables."""
        names = self.tables.keys() | tables.keys()
        merged = {name: (*self.tables.get(name, ()), *tables.get(name, ())) for name in names}
        return replace(self, tables=merged)


def smaller(manifest: Manifest, models: Sequence[str], tables: Sequence[str]) -> Manifest:
    """The manifest without the files of other models and other tables.

    A file of no one owner stays, even where it has rows of a model that is left out.
    """
    kept = tuple(model for model in manifest.models if model.name in models)
    used = {model.tokenizer for model in kept}
    owners = {None, *(model.name for model in kept), *used}
    return replace(
        manifest,
        models=kept,
        tokenizers={name: sha for name, sha in manifest.tokenizers.items() if name in used},
        tables={
            name: entries
            for name in tables
            if name in manifest.tables
            and (entries := tuple(e for e in manifest.tables[name] if e.owner in owners))
        },
    )


def manifest_text(manifest: Manifest) -> str:
    """The one way in which a manifest is written; its last key is the SHA-256 of the rest."""
    return _json(_content(manifest) | {_CHECKSUM: manifest.sha256()})


def _content(manifest: Manifest) -> dict[str, Any]:
    """What is written of a manifest: of what not every dataset has, only what this one has."""
    content = asdict(manifest)
    return {
        name: value
        for name, value in content.items()
        if value is not None or name not in _WRITTEN_WHERE_KNOWN
    }


def checksum_of(content: dict[str, Any]) -> str:
    """The SHA-256 of a manifest's content, whatever its own key `sha256` says."""
    rest = {name: value for name, value in content.items() if name != _CHECKSUM}
    return hashlib.sha256(_json(rest).encode()).hexdigest()


def _json(content: dict[str, Any]) -> str:
    # Once through JSON, so that what is written sorts as what will be read.
    content = json.loads(json.dumps(content))
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_manifest(dataset: Path, name: str = MANIFEST_NAME) -> Manifest:
    """Reads and checks the manifest of a dataset folder, or its copy.

    Raises: DatasetError where the folder is no dataset, the manifest is damaged, of a newer format
    version, or names a file outside the dataset.
    """
    path = dataset / name
    if not dataset.is_dir():
        raise DatasetError(
            f"{dataset} is not a folder",
            hint=dataset_hint(dataset, MANIFEST_NAME)
            or "give the folder that `headswap ingest --out` wrote",
        )
    if not path.is_file():
        raise DatasetError(
            f"{dataset} is not a dataset: it has no {name}",
            hint=dataset_hint(dataset, MANIFEST_NAME)
            or "an ingest that did not finish leaves none; run `headswap ingest` again",
        )
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    hint = "`headswap verify --repair` may restore it; else get the dataset again"
    return parse_manifest(text, str(path), hint)


def parse_manifest(text: bytes, where: str, hint: str) -> Manifest:
    """Reads and checks the text of a manifest; where: its place, hint: what to do, for messages.

    Raises: DatasetError as `read_manifest`.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where} cannot be read: {error}", hint=hint) from error
    _check_version(where, content)
    try:
        return _manifest_from(content)
    except ValueError as error:
        raise DatasetError(f"{where} is not a valid manifest: {error}", hint=hint) from error


def _manifest_from(content: Any) -> Manifest:
    """Checks a manifest's content: first its types, then what types cannot say."""
    from ingest.kernel.typed import convert  # not at the top: names and limits are read without it

    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f'"format" is not "{FORMAT}"')
    manifest = convert(content, Manifest)
    for table in manifest.tables:
        if table not in STORED_TABLES:
            raise ValueError(f"unknown table {table!r}")
    names = [model.name for model in manifest.models]
    if len(set(names)) != len(names):
        raise ValueError("two models have one name")
    for model in manifest.models:
        if not MODEL_NAME_PATTERN.fullmatch(model.name):
            raise ValueError(f"{model.name!r} cannot be the name of a model")
        if model.precision not in PRECISIONS:
            raise ValueError(f"the precision {model.precision!r} is unknown")
        if model.layers is not None and list(model.layers) != sorted({*model.layers}):
            raise ValueError(f"the layers of {model.name!r} do not ascend")
    if manifest.licence is not None and not LICENCE_PATTERN.fullmatch(manifest.licence):
        raise ValueError(f"{manifest.licence!r} names no licence")
    for table, entries in manifest.tables.items():
        for entry in entries:
            _check_entry(table, entry, names)
    if content.get(_CHECKSUM) != manifest.sha256():
        raise ValueError("its content is not the one that its checksum was taken of")
    return manifest


def _check_version(where: str, content: Any) -> None:
    """Raises: DatasetError where a dataset was written in another version of the format."""
    version = content.get("format_version") if isinstance(content, dict) else None
    if type(version) is not int or version == FORMAT_VERSION:
        return
    age, remedy = "newer", "update headswap"
    if version < FORMAT_VERSION:
        age, remedy = "older", "ingest the models again into a new folder"
    raise DatasetError(
        f"{where}: format version {version} is {age} than the one this headswap reads "
        f"({FORMAT_VERSION})",
        hint=remedy,
    )


def _check_entry(table: str, entry: FileEntry, models: Sequence[str]) -> None:
    path = PurePosixPath(entry.path)
    is_inside = not path.is_absolute() and ".." not in path.parts and "\\" not in entry.path
    if not is_inside or path.suffix != ".parquet":
        raise ValueError(f"{entry.path!r} is not a Parquet file inside the dataset")
    if STORED_TABLES[table].split == "model" and entry.owner not in models:
        raise ValueError(f"{entry.path!r} belongs to no model of the dataset")
    if not STORED_TABLES[table].owns(entry.path, entry.owner):
        raise ValueError(f"{entry.path!r} does not lie where files of the table {table} do")
    # More rows a byte than any encoding reaches are a trap for whoever reads them.
    is_bomb = entry.rows > _MAX_ROWS_A_BYTE * max(entry.bytes, 0)
    if entry.rows < 0 or is_bomb or not _SHA256_PATTERN.fullmatch(entry.sha256):
        raise ValueError(f"the entry of {entry.path!r} has impossible numbers")
