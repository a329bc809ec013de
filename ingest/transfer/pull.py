"""The command `headswap pull`: a dataset from the hub, each file held against the manifest."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import Decorator, json_option
from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    from ingest.kernel.hub import HubId


@dataclass(frozen=True)
class Wanted:
    """What of a dataset is fetched: models, tables that it may lack, and layers; None for all."""

    models: tuple[str, ...] | None = None
    tables: tuple[str, ...] | None = None
    layers: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Pulled:
    """What a pull came to.

    folder: the dataset here; address: where it came from, at its commit; fetched, kept, removed:
    paths of files that travelled, that were here already, and that are no longer of it; n_bytes: of
    those fetched.
    """

    folder: str
    address: str
    fetched: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    n_bytes: int


def _names_option(name: str, what: str) -> Decorator:
    return click.option(f"--{name}", metavar="NAMES", multiple=True, help=what)


@click.command
@click.argument(
    "repository", metavar="ORG/NAME[@REVISION]", help="the dataset: its latest state, or a revision"
)
@click.option(
    "--out", metavar="DIR", type=Path, help="the folder that gets it (default: the dataset's name)"
)
@_names_option("models", "only these models, separated by commas (default: all)")
@_names_option(
    "tables",
    "of the tables that a dataset may lack only these, separated by commas (default: all); models, "
    "prompts, tokens and attention always come",
)
@click.option(
    "--layers",
    metavar="NUMBERS",
    help="only these layers, for instance 0,3-5 (default: all); of attention no more is fetched, "
    "so that its rows are checked, but not the SHA-256 of its whole files",
)
@json_option("what was done")
def command(
    repository: str,
    out: Path | None,
    models: tuple[str, ...],
    tables: tuple[str, ...],
    layers: str | None,
    as_json: bool,
) -> int:
    """Fetches what this machine lacks of a dataset."""
    from ingest.transfer.combine.extract_command import numbers
    from ingest.transfer.fetching import pull

    chosen = None if layers is None else numbers("--layers", layers)
    wanted = Wanted(_names(models), _names(tables), chosen)
    pulled = pull(_hub_id(repository), folder_of(repository, out), wanted)
    if as_json:
        print(json.dumps(asdict(pulled)))
        return 0
    removed = f", {len(pulled.removed)} removed" if pulled.removed else ""
    print(
        f"{len(pulled.fetched)} files fetched ({pulled.n_bytes:,} bytes) from {pulled.address}, "
        f"{len(pulled.kept)} here already{removed}",
        file=sys.stderr,
    )
    print(pulled.folder)
    return 0


def folder_of(repository: str, out: Path | None, **_: Any) -> Path:
    """The folder that the options of a pull name: by default one of the dataset's name, here."""
    return out or Path(_hub_id(repository).repo_id.partition("/")[2])


def _hub_id(repository: str) -> HubId:
    from ingest.kernel.hub import parse_hub_id

    hub_id = parse_hub_id(repository.removeprefix("hf://datasets/"), "dataset")
    if hub_id is None:
        raise InputError(
            f"{repository!r} cannot be a dataset on the hub",
            hint="write it as in ORG/NAME or ORG/NAME@REVISION",
        )
    return hub_id


def _names(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """The names of an option that was given any number of times, each with one or several."""
    names: list[Any] = [name.strip() for text in given for name in text.split(",")]
    if "" in names:
        raise InputError("an empty name of a model or table", hint="write them as in a,b")
    return tuple(dict.fromkeys(names)) or None
