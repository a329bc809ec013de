"""Studies: what a TOML file says of models, prompts, analysis and results, as one typed value."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ingest.dataset.manifest import PROBE_PREFIX
from ingest.dataset.relations import ABLATION_KINDS, TOKEN_CLASS_NAME
from ingest.kernel.errors import InputError
from ingest.kernel.files import sha256_of
from ingest.kernel.meant import choice_hint
from ingest.kernel.typed import MismatchError, convert, path_of
from reports.study.built_in import STUDIES_FOLDER, built_in_studies
from reports.study.lines import errors_at, where
from sql.engines.engine import EngineChoice, EngineName
from sql.parameters import (
    Parameters,
    check_groups,
    check_values,
    parse_claim,
    parse_model_head,
)

_HINT = "`headswap init` writes an example with every key"
_UNTRAINED = re.compile(r"untrained:(\d+:)?")
# The class of tokens with whose phrases the steps begin that generated texts are counted by.
_REGULATION = "regulation"
_HEADS = re.compile(r"[lL]\d{1,4}[hH]\d{1,4}(\+[lL]\d{1,4}[hH]\d{1,4})*")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: every key that it may have, with its type."""

    def given(self, *keys: str) -> dict[str, Any]:
        """The values of some keys, by name, without those that leave a choice open."""
        values = {key: getattr(self, key) for key in keys}
        return {key: value for key, value in values.items() if value is not None}


class Prompts(_Section, frozen=True):
    """What every model reads; None leaves the choice to the ingest."""

    file: str | None = None
    variant: str | None = None
    structural: str | None = None
    skip_unreadable: bool = False

    @property
    def is_file(self) -> bool:
        """Whether a file is named: neither the default prompts nor a probe."""
        return self.file is not None and not self.file.startswith(PROBE_PREFIX)


class RunOptions(_Section, frozen=True):
    """How the models run; None leaves the choice to the ingest."""

    device: str | None = None
    dtype: str | None = None
    precision: str | None = None
    trust_remote_code: bool = False


class Effects(_Section, frozen=True):
    """What is done to the models beside watching them; by default nothing.

    ablate: kinds, each of every head; attribution: kinds of which the effects are estimated.
    token_classes: the phrases of each class that is read out; without any only what heads write is
    stored, and None is no read-out at all.
    """

    ablate: tuple[str, ...] = ()
    attribution: tuple[str, ...] = ()
    token_classes: dict[str, tuple[str, ...]] | None = None


class Generate(_Section, frozen=True):
    """Texts that the models write, whole and with heads ablated.

    prompts: a file or tasks of the demo, None for the prompts of the dataset. ablate: by model the
    heads that are ablated, `L3H5`, or `L2H0+L3H5` for two together.
    """

    prompts: str | None = None
    seeds: int = 5
    ablate: dict[str, tuple[str, ...]] = {}
    kind: str = "zero"
    temperature: float = 1.0
    top_k: int | None = None
    max_new_tokens: int = 256


class _Analysis(_Section, frozen=True):
    reference: str | None = None
    bins: int = Parameters.bins
    pairs: tuple[tuple[str, ...], ...] = ()
    groups: dict[str, tuple[str, ...]] = {}
    similarity: str | None = None
    claims: tuple[str, ...] = ()
    engine: EngineName = "duckdb"
    master: str | None = None
    warehouse: str | None = None


class _File(_Section, frozen=True):
    """A whole study file. models: sources by the names that the study gives them."""

    dataset: str
    report: str
    models: dict[str, str] = {}
    prompts: Prompts = Prompts()
    run: RunOptions = RunOptions()
    effects: Effects = Effects()
    generate: Generate | None = None
    analysis: _Analysis = _Analysis()


@dataclass(frozen=True)
class Study:
    """What a study file says, its paths made absolute or relative to where headswap runs.

    models: sources by name, the first the one whose reference head is looked for. analysis: what
    every view, page and claim of the study is asked with. engine: what runs the queries.
    text_sha256: of the file's text, paths as they stand in it.
    """

    dataset: Path
    report: Path
    models: Mapping[str, str]
    prompts: Prompts
    run: RunOptions
    effects: Effects
    generate: Generate | None
    analysis: Parameters
    engine: EngineChoice
    text_sha256: str

    @property
    def classes(self) -> list[str]:
        """The classes of tokens, each as `--class` takes it."""
        classes = self.effects.token_classes or {}
        return [f"{name}={';'.join(phrases)}" for name, phrases in classes.items()]

    @property
    def classes_of_steps(self) -> list[str]:
        """That of them by which the steps of generated texts are counted."""
        return [found for found in self.classes if found.startswith(f"{_REGULATION}=")]

    def sha256(self) -> str:
        """What identifies its content: the hash of its text and of the prompts' file.

        That of the models is the dataset's, which an ingest holds against their sources.
        """
        # The default prompts are named by the dataset's manifest, as every other file's content is.
        # A probe is named in the text, and its prompts are the dataset's as well.
        file = self.prompts.file
        prompts = sha256_of(Path(file)) if file is not None and self.prompts.is_file else ""
        return hashlib.sha256(f"{self.text_sha256}{prompts}".encode()).hexdigest()


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
    """sources, results: the folders at which relative paths of either kind start."""
    text = _read_text(path)
    file = _checked_file(text, path)
    prompts = file.prompts
    if prompts.file is not None and prompts.is_file:
        prompts = msgspec.structs.replace(prompts, file=str(sources / prompts.file))
    return Study(
        dataset=results / file.dataset,
        report=results / file.report,
        models={model: _source(source, sources) for model, source in file.models.items()},
        prompts=prompts,
        run=file.run,
        effects=_checked_effects(file.effects, text, path),
        generate=_checked_generate(file, sources, text, path),
        analysis=_parameters(file, text, path),
        engine=_engine(file.analysis, results, text, path),
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(
            f"there is no study {path}",
            hint=choice_hint(str(path), built_in_studies(), "give a TOML file, or one of"),
        ) from error
    except (OSError, ValueError) as error:  # a ValueError: not UTF-8, or no path
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path} cannot be read: {reason}", hint=_HINT) from error


def _checked_file(text: str, path: Path) -> _File:
    """The file's content as its types.

    Raises: InputError where it is no TOML, has a key that no study has, or a value of another type.
    """
    try:
        file = convert(tomllib.loads(text), _File)
    except MismatchError as error:
        section, *inner = error.place
        name = f"{path_of(inner)!r} in [{section}]" if inner else repr(section)
        what = f"unknown key {name}" if error.known else f"{name} {error.reason}"
        hint = choice_hint(str(error.place[-1]), error.known, "known are") if error.known else _HINT
        raise InputError(f"{where(error.place, text, path)}: {what}", hint=hint) from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: no valid TOML: {reason}", hint=_HINT) from error
    if not file.models:
        raise InputError(f"{path} names no model", hint='add [models] with NAME = "SOURCE"')
    return file


def _checked_effects(given: Effects, text: str, path: Path) -> Effects:
    """The section, sound.

    Raises: InputError, naming the line, where a kind is none or a class cannot be one.
    """
    for key in ("ablate", "attribution"):
        with errors_at(where(("effects", key), text, path)):
            _check_kinds(getattr(given, key))
    with errors_at(where(("effects", "token_classes"), text, path)):
        for name, phrases in (given.token_classes or {}).items():
            _check_class(name, phrases)
    return given


def _checked_generate(file: _File, sources: Path, text: str, path: Path) -> Generate | None:
    """The section, sound, its prompts named from where headswap runs.

    Numbers out of their range are found out when texts are generated.

    Raises: InputError, naming the line, where a model, a head or a kind is none.
    """
    given = file.generate
    if given is None:
        return None
    with errors_at(where(("generate", "kind"), text, path)):
        _check_kinds([given.kind])
    with errors_at(where(("generate", "ablate"), text, path)):
        _check_models(list(given.ablate), file.models)
        for heads in itertools.chain.from_iterable(given.ablate.values()):
            if not _HEADS.fullmatch(heads):
                raise InputError(
                    f"{heads!r} names no heads", hint='for example ["L3H5", "L2H0+L3H5"]'
                )
    if given.prompts is None or given.prompts.startswith("demo:"):
        return given
    return msgspec.structs.replace(given, prompts=str(sources / given.prompts))


def _check_kinds(kinds: Sequence[str]) -> None:
    for kind in kinds:
        if kind not in ABLATION_KINDS:
            raise InputError(
                f"there is no kind of ablation {kind!r}",
                hint=choice_hint(kind, ABLATION_KINDS, "choose of"),
            )
    if len(set(kinds)) < len(kinds):
        raise InputError("a kind of ablation is named twice", hint="name each once")


def _check_class(name: str, phrases: Sequence[str]) -> None:
    """Raises: InputError where `headswap readout --class NAME=PHRASE;PHRASE` could not say it."""
    if not TOKEN_CLASS_NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a class of tokens",
            hint="give it a name of letters, digits, dots and dashes",
        )
    if not phrases:
        raise InputError(f"the class {name!r} has no phrase", hint='for example ["deep breath"]')
    for phrase in phrases:
        if not phrase.strip() or ";" in phrase or phrase.startswith("@"):
            raise InputError(
                f"{phrase!r} is not a phrase of a class",
                hint="a phrase has letters, no semicolon, and does not begin with @",
            )


def _parameters(file: _File, text: str, path: Path) -> Parameters:
    """What the views are asked with.

    Whether the models have the heads that are named is found out when the dataset is opened.

    Raises: InputError, naming the line, where a value cannot be what its key stands for.
    """
    given = file.analysis

    def naming_the_line(key: str) -> contextlib.AbstractContextManager[None]:
        return errors_at(where(("analysis", key), text, path))

    with naming_the_line("bins"):
        check_values(Parameters(bins=given.bins))
    with naming_the_line("similarity"):
        check_values(Parameters(similarity=given.similarity))
    model, layer, head = None, None, None
    if given.reference is not None:
        with naming_the_line("reference"):
            model, layer, head = parse_model_head(given.reference)
            _check_models([model] if model else [], file.models)
    with naming_the_line("pairs"):
        pairs = tuple(_pair(names, file.models) for names in given.pairs)
    with naming_the_line("groups"):
        groups = tuple(given.groups.items())
        check_groups(groups)
        _check_models([model for _, models in groups for model in models], file.models)
    with naming_the_line("claims"):
        claims = tuple(map(parse_claim, given.claims))
        for claim in claims:
            _check_models([claim.model_a, claim.model_b], file.models)
    return Parameters(
        bins=given.bins,
        reference_model=model,
        reference_layer=layer,
        reference_head=head,
        pairs=pairs,
        groups=groups,
        similarity=given.similarity,
        claims=claims,
    )


def _engine(given: _Analysis, results: Path, text: str, path: Path) -> EngineChoice:
    """Raises: InputError, naming the line, where another engine is told what is for Spark."""
    for key in ("master", "warehouse"):
        if getattr(given, key) is not None and given.engine != "spark":
            place = where(("analysis", key), text, path)
            raise InputError(f"{place}: {key} is for Spark alone", hint='add engine = "spark"')
    warehouse = None if given.warehouse is None else results / given.warehouse
    return EngineChoice(given.engine, given.master, warehouse)


def _pair(names: Sequence[str], models: Mapping[str, str]) -> tuple[str, str]:
    if len(names) != 2 or names[0] == names[1]:
        raise InputError(
            f"{list(names)!r} is not a pair of models",
            hint='for example pairs = [["standard", "adhd"]]',
        )
    _check_models(names, models)
    return names[0], names[1]


def _check_models(names: Sequence[str], models: Mapping[str, str]) -> None:
    for name in names:
        if name not in models:
            raise InputError(
                f"{name!r} is not one of the models",
                hint=choice_hint(name, list(models), "they are"),
            )


def _source(source: str, folder: Path) -> str:
    """A model's source; a path that exists from the study's folder is named from there."""
    prefix = _UNTRAINED.match(source)
    untrained = prefix[0] if prefix else ""
    named = source.removeprefix(untrained)
    # Not pathlib's functions: they fail where there is no such user, or a name is too long.
    local = folder / os.path.expanduser(named)  # noqa: PTH111
    return f"{untrained}{local if os.path.exists(local) else named}"  # noqa: PTH110
