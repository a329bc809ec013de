"""manifest.json: what a dataset holds. A file that it does not name does not exist.

It is written last and replaced in one step, so it is also the mark that a write was completed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ingest.kernel.errors import DatasetError
from ingest.kernel.files import sha256_of

FORMAT_VERSION = 1
SMALL_TABLES = ("models", "prompts", "tokens")
# Of the weights as stored: float32 keeps them exactly, float16 to 3 digits in half the bytes.
PRECISIONS = ("float32", "float16")
MANIFEST_NAME = "manifest.json"
BACKUP_NAME = "manifest.backup.json"  # what `headswap verify --repair` goes by when that is damaged
FORMAT = "headswap-dataset"
MODEL_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")
_CHECKSUM = "sha256"
_MAX_ROWS_A_BYTE = 1000
T = TypeVar("T")


@dataclass(frozen=True)
class FileEntry:
    """One Parquet file: its path below the dataset with forward slashes, and what it must hold."""

    path: str
    rows: int
    bytes: int
    sha256: str

    def is_intact(self, dataset: Path) -> bool:
        """Whether the file is there and holds the bytes that were written."""
        path = dataset / self.path
        return path.is_file() and sha256_of(path) == self.sha256


@dataclass(frozen=True)
class ModelEntry:
    """One model: where it came from, and the files of its attention.

    dtype, precision: in which it ran, and in which its weights are stored.
    config: the architecture's numbers as the source states them (JSON values).
    """

    name: str
    source: str
    revision: str | None
    weights_sha256: str
    architecture: str
    tokenizer: str
    dtype: str
    precision: str
    device: str
    trust_remote_code: bool
    config: dict[str, Any]
    attention: tuple[FileEntry, ...]


@dataclass(frozen=True)
class Manifest:
    """What a dataset holds.

    structural: the regular expression that chose the structural tokens, None for the default;
    tokenizers: the SHA-256 of each tokenizer's file by the tokenizer's name.
    """

    variant: str
    structural: str | None
    prompts_sha256: str
    tokenizers: dict[str, str]
    models: tuple[ModelEntry, ...]
    tables: dict[str, tuple[FileEntry, ...]]
    written_with: dict[str, str]
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    def files(self) -> list[FileEntry]:
        """Every file that the dataset consists of."""
        tables = [entry for name in sorted(self.tables) for entry in self.tables[name]]
        return tables + [entry for model in self.models for entry in model.attention]

    def sha256(self) -> str:
        """What identifies the content: the SHA-256 of the text without the checksum in it."""
        return checksum_of(asdict(self))

    def model(self, name: str) -> ModelEntry | None:
        """The model of that name, None where the dataset has none."""
        return next((model for model in self.models if model.name == name), None)

    def with_model(
        self,
        model: ModelEntry,
        tables: dict[str, tuple[FileEntry, ...]],
        tokenizers: dict[str, str],
    ) -> Manifest:
        """This manifest with one model more, and with the table files that came with it."""
        names = self.tables.keys() | tables.keys()
        merged = {name: self.tables.get(name, ()) + tables.get(name, ()) for name in names}
        return replace(self, models=(*self.models, model), tables=merged, tokenizers=tokenizers)


def manifest_text(manifest: Manifest) -> str:
    """The one way in which a manifest is written; its last key is the SHA-256 of the rest."""
    return _json(asdict(manifest) | {_CHECKSUM: manifest.sha256()})


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
            hint="give the folder that `headswap ingest --out` wrote",
        )
    if not path.is_file():
        raise DatasetError(
            f"{dataset} is no dataset: it has no {name}",
            hint="an ingest that did not finish leaves none; run `headswap ingest` again",
        )
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    try:
        return _manifest_from(content)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path} is not a valid manifest: {_reason(error)}",
            hint="`headswap verify --repair` may restore it; else get the dataset again",
        ) from error


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _manifest_from(content: Any) -> Manifest:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f'"format" is not "{FORMAT}"')
    version = _typed(content, "format_version", int)
    if version > FORMAT_VERSION:
        raise ValueError(
            f"format version {version} is newer than this headswap reads ({FORMAT_VERSION})"
        )
    tables = _typed(content, "tables", dict)
    unknown = set(tables) - set(SMALL_TABLES)
    if unknown:
        raise ValueError(f"unknown table {sorted(unknown)[0]!r}")
    models = tuple(_model_from(model) for model in _typed(content, "models", list))
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        raise ValueError("two models have one name")
    manifest = Manifest(
        variant=_typed(content, "variant", str),
        structural=_optional_text(content, "structural"),
        prompts_sha256=_typed(content, "prompts_sha256", str),
        tokenizers=_texts(content, "tokenizers"),
        models=models,
        tables={name: _files_from(tables[name]) for name in tables},
        written_with=_texts(content, "written_with"),
        format_version=version,
    )
    if _typed(content, _CHECKSUM, str) != manifest.sha256():
        raise ValueError("its content is not the one that its checksum was taken of")
    return manifest


def _model_from(content: Any) -> ModelEntry:
    if not isinstance(content, dict):
        raise TypeError("a model is not an object")
    values = {field.name: content[field.name] for field in fields(ModelEntry)}
    for name in ("name", "source", "weights_sha256", "architecture", "tokenizer", "dtype"):
        _typed(content, name, str)
    if values["precision"] not in PRECISIONS:
        raise ValueError(f"the precision {values['precision']!r} is unknown")
    _optional_text(content, "revision")
    _typed(content, "config", dict)
    name = values["name"]
    if not MODEL_NAME_PATTERN.fullmatch(name):
        raise ValueError(f"{name!r} is no model name")
    values["attention"] = _files_from(content["attention"])
    for entry in values["attention"]:
        if not entry.path.startswith(f"attention/model={name}/"):
            raise ValueError(f"{entry.path!r} is not in the folder of model {name!r}")
    return ModelEntry(**values)


def _files_from(content: Any) -> tuple[FileEntry, ...]:
    if not isinstance(content, list):
        raise TypeError("a list of files is not a list")
    return tuple(_file_from(entry) for entry in content)


def _file_from(content: Any) -> FileEntry:
    if not isinstance(content, dict):
        raise TypeError("a file is not an object")
    entry = FileEntry(
        path=_typed(content, "path", str),
        rows=_typed(content, "rows", int),
        bytes=_typed(content, "bytes", int),
        sha256=_typed(content, "sha256", str),
    )
    path = PurePosixPath(entry.path)
    is_inside = not path.is_absolute() and ".." not in path.parts and "\\" not in entry.path
    if not is_inside or path.suffix != ".parquet":
        raise ValueError(f"{entry.path!r} is no Parquet file inside the dataset")
    # More rows a byte than any encoding reaches are a trap for whoever reads them.
    is_bomb = entry.rows > _MAX_ROWS_A_BYTE * max(entry.bytes, 0)
    if entry.rows < 0 or is_bomb or not _SHA256_PATTERN.fullmatch(entry.sha256):
        raise ValueError(f"the entry of {entry.path!r} has impossible numbers")
    return entry


def _typed(content: dict[str, Any], name: str, kind: type[T]) -> T:
    value = content[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f'"{name}" is not of type {kind.__name__}')
    return value


def _optional_text(content: dict[str, Any], name: str) -> str | None:
    return None if content[name] is None else _typed(content, name, str)


def _texts(content: dict[str, Any], name: str) -> dict[str, str]:
    values = _typed(content, name, dict)
    if not all(isinstance(value, str) for value in values.values()):
        raise TypeError(f'"{name}" holds something that is no text')
    return values
