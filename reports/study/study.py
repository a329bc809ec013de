"""Reading a study: the TOML file checked, and turned into the commands that it stands for."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.kernel.errors import InputError
from ingest.kernel.files import sha256_of

STUDIES_FOLDER = Path(__file__).parent
EXAMPLE = STUDIES_FOLDER / "example.toml"

# section: its keys with their types; the models' keys are names that the study chooses
_KEYS: dict[str, dict[str, type]] = {
    "": {"dataset": str, "report": str},
    "prompts": {"file": str, "variant": str, "structural": str},
    "run": {"device": str, "dtype": str, "precision": str, "trust_remote_code": bool},
    "analysis": {
        "reference": str,
        "bins": int,
        "pairs": list,
        "similarity": str,
        "claims": list,
    },
}
_TYPE_NAMES = {str: "a text", int: "a whole number", bool: "true or false", list: "a list"}
_HEAD = re.compile(r"[lL]\d{1,4}[hH]\d{1,4}")
_HINT = "`headswap init` writes an example with every key"


@dataclass(frozen=True)
class Study:
    """What a study file says, its paths made absolute or relative to where headswap runs.

    prompts, run, analysis: the keys that the file sets, by their names there. text_sha256: of the
    file's text, paths as they stand in it.
    """

    dataset: Path
    report: Path
    models: Mapping[str, str]
    prompts: Mapping[str, Any]
    run: Mapping[str, Any]
    analysis: Mapping[str, Any]
    text_sha256: str

    def sha256(self) -> str:
        """What identifies its content: the hash of its text and of the prompts' file.

        That of the models is the dataset's, which an ingest holds against their sources.
        """
        # The default prompts are named by the dataset's manifest, as every other file's content is.
        prompts = sha256_of(Path(self.prompts["file"])) if "file" in self.prompts else ""
        return hashlib.sha256(f"{self.text_sha256}{prompts}".encode()).hexdigest()

    def ingest_words(self) -> list[str]:
        """The words of `headswap ingest` that the study stands for."""
        words = [f"--model={name}={source}" for name, source in self.models.items()]
        words += [f"--prompts={self.prompts['file']}"] if "file" in self.prompts else []
        for key, section in (
            ("variant", self.prompts),
            ("structural", self.prompts),
            ("device", self.run),
            ("dtype", self.run),
            ("precision", self.run),
        ):
            words += [f"--{key}={section[key]}"] if key in section else []
        words += ["--trust-remote-code"] if self.run.get("trust_remote_code") else []
        return ["ingest", *words, f"--out={self.dataset}"]

    def analysis_words(self) -> list[str]:
        """The options that its analysis adds to every command over the dataset."""
        words = [
            f"--{key}={self.analysis[key]}" for key in ("reference", "bins") if key in self.analysis
        ]
        return words + [
            f"--pair={first}:{second}" for first, second in self.analysis.get("pairs", ())
        ]

    def check_words(self) -> list[str]:
        """The words of `headswap check` for the rows that the study stands for."""
        return ["check", str(self.dataset)]

    def claim_words(self) -> list[str]:
        """The words of `headswap check` for its claims; none where it states none."""
        if not self.analysis.get("claims"):
            return []
        words = [f"--claim={claim}" for claim in self.analysis["claims"]]
        if "similarity" in self.analysis:
            words.append(f"--similarity={self.analysis['similarity']}")
        return ["check", str(self.dataset), "--claims-only", *self.analysis_words(), *words]

    def report_words(self) -> list[str]:
        """The words of `headswap report` that the study stands for."""
        return ["report", str(self.dataset), f"--out={self.report}", *self.analysis_words()]


def built_in_studies() -> list[str]:
    """The names of the studies that come with headswap."""
    return sorted(path.stem for path in STUDIES_FOLDER.glob("*.toml") if path != EXAMPLE)


def read_study(name: str, out: Path | None = None) -> Study:
    """Reads a study file, or a study that comes with headswap by its name (`./demo` is a file).

    out: the folder that its relative results go to; None for the folder of the file, or for a
    study of headswap's own a folder of its name where headswap runs.

    Raises: InputError where there is no such study, or it says what no study says.
    """
    if name in built_in_studies():
        return _study_from(STUDIES_FOLDER / f"{name}.toml", Path.cwd(), out or Path(name))
    path = Path(name)
    return _study_from(path, path.parent, out or path.parent)


def _study_from(path: Path, sources: Path, results: Path) -> Study:
    text = _read_text(path)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: no valid TOML: {error}", hint=_HINT) from error
    _check_keys(content, text, path)
    models = content["models"]
    for key in ("dataset", "report"):
        if key not in content:
            raise InputError(f'{path}: "{key}" is missing', hint=_HINT)
    prompts = dict(content.get("prompts", {}))
    if "file" in prompts:
        prompts["file"] = str(sources / prompts["file"])
    analysis = content.get("analysis", {})
    _check_claims(analysis.get("claims", []), f"{path}, line {_line_of('claims', text)}")
    _check_pairs(analysis.get("pairs", []), models, f"{path}, line {_line_of('pairs', text)}")
    where = f"{path}, line {_line_of('reference', text)}"
    _check_reference(analysis.get("reference"), models, where)
    return Study(
        dataset=results / content["dataset"],
        report=results / content["report"],
        models={model: _source(source, sources) for model, source in models.items()},
        prompts=prompts,
        run=content.get("run", {}),
        analysis=analysis,
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(
            f"there is no study {path}",
            hint=f"give a TOML file, or one of {', '.join(built_in_studies())}",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path} cannot be read: {reason}", hint=_HINT) from error


def _check_keys(content: Mapping[str, Any], text: str, path: Path) -> None:
    """Raises InputError at a key that no study has, or whose value is of another type."""
    sections = {name: content.get(name, {}) for name in (*_KEYS, "models") if name}
    sections[""] = {key: value for key, value in content.items() if key not in sections}
    for section, values in sections.items():
        if not isinstance(values, dict):
            raise InputError(f"{path}: [{section}] is no table", hint=_HINT)
        for key, value in values.items():
            wanted = str if section == "models" else _KEYS[section].get(key)
            where = f"{path}, line {_line_of(key, text)}"
            place = f" in [{section}]" if section else ""
            if wanted is None:
                known = _KEYS[section] if section else (*_KEYS[""], *filter(None, sections))
                hint = f"known are {', '.join(known)}"
                raise InputError(f"{where}: unknown key {key!r}{place}", hint=hint)
            if type(value) is not wanted:
                raise InputError(f"{where}: {key!r}{place} is not {_TYPE_NAMES[wanted]}")
    if not sections["models"]:
        raise InputError(f"{path} names no model", hint='add [models] with NAME = "SOURCE"')


def _check_pairs(pairs: list[Any], models: Mapping[str, str], where: str) -> None:
    for pair in pairs:
        names = [name for name in pair if name in models] if isinstance(pair, list) else []
        if names != pair or len(set(names)) != 2:
            raise InputError(
                f"{where}: {pair!r} is no pair of two of the models",
                hint='for example pairs = [["standard", "adhd"]]',
            )


def _check_claims(claims: list[Any], where: str) -> None:
    """Whether they are texts; what they say is read where they are evaluated."""
    for claim in claims:
        if not isinstance(claim, str):
            raise InputError(
                f"{where}: {claim!r} is no text",
                hint='for example claims = ["standard:L3H0 ~ adhd:L3H5 above same index"]',
            )


def _check_reference(reference: str | None, models: Mapping[str, str], where: str) -> None:
    """What can be said before the models ran; whether the model has the head, the report tells."""
    if reference is None:
        return
    model, colon, head = reference.rpartition(":")
    if (colon and model not in models) or not _HEAD.fullmatch(head):
        raise InputError(
            f"{where}: {reference!r} names no head of the models",
            hint="write model, layer and head, as in standard:L3H0",
        )


def _line_of(key: str, text: str) -> int:
    """The first line that sets a key, counted from 1; 1 where it is written in another way."""
    setting = re.compile(rf"""\s*\[?["']?{re.escape(key)}["']?\s*[=\].]""")
    lines = text.splitlines()
    return next((n for n, line in enumerate(lines, 1) if setting.match(line)), 1)


def _source(source: str, folder: Path) -> str:
    """A model's source; a path that exists from the study's folder is told from there."""
    prefix = re.match(r"untrained:(\d+:)?", source)
    untrained = prefix[0] if prefix else ""
    named = source.removeprefix(untrained)
    local = folder / Path(named).expanduser()
    return f"{untrained}{local if local.exists() else named}"
