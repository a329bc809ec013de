"""`views.sql`: the relations for any DuckDB client, beside the data that they read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.dataset.manifest import KEPT_FOLDER, read_manifest
from ingest.dataset.relations import STORED_TABLES
from ingest.kernel.files import sha256_of, write_text_aside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingest.dataset.relations import StoredTable
    from sql.graph.parameter_tables import Asked
    from sql.graph.relation import Relation

VIEWS_FILE = "views.sql"
# What a client sets to say where the dataset lies now.
_FOLDER_VARIABLE = "headswap_folder"

_HEADER = """\
-- The relations of headswap over this dataset, for any DuckDB client, in any folder:
--     duckdb -init {file}
-- Where the dataset was moved: set variable {folder} = 'its new folder', then read this.
-- What they are asked with is in the table parameters: `update parameters set variant = 'all'`.
-- Kept rows, as no SELECT makes them; they answer for the parameters below alone: {kept}.
-- Not here, as no SELECT makes them; `headswap export` adds them: {computed}.
-- Not here, as this dataset lacks their tables: {absent}.
-- `headswap sql` has these too. Written anew by every ingest that changes the dataset.
"""
_STAMP = "-- Made from {stamp}.\n"
# The last of the places is where the client runs. Whatever place it is, it must hold this dataset.
_PLACE = """\
set variable {variable} = coalesce(
    getvariable('{folder}'),
    {place}'.'
); -- {hash}
set variable headswap_checked = (
    select case when contains(content, '{manifest}') then true else error(
        'this folder holds no dataset, or another state of it than this file is of. Hint: set '
        'variable {folder} = ''its folder'', or run headswap export on it'
    ) end
    from read_text(getvariable('{variable}') || '/manifest.json')
);
"""
_KNOWN_PLACE = "(select {place} from glob({manifest})),\n    "
_WRITTEN_PLACE = re.compile(r"^    \(select '(?P<place>(?:[^']|'')*)' from glob\(", re.M)
_WRITTEN_ROWS = re.compile(rf"\|\| '/{KEPT_FOLDER}/(?P<file>(?P<name>[a-z_]+)-[^'/]+\.parquet)'")


def write_views(path: Path) -> None:
    """Writes `views.sql` into a dataset folder, in place of an earlier one in one step.

    One that was made from the same stays, with the kept rows that it names: neither DuckDB nor the
    relations are loaded then.
    """
    file = path / VIEWS_FILE
    stamp = _stamp(path, path.resolve())
    if not file.is_file() or not file.read_bytes().startswith(stamp.encode()):
        write_text_aside(file, views_text(path, path.resolve()))


def write_portable_views(path: Path) -> None:
    """The same for a copy that travels: it names no folder of this machine, and no kept rows."""
    write_text_aside(path / VIEWS_FILE, views_text(path))


def expected_text(path: Path) -> str:
    """What `views.sql` must hold, given the place and the kept rows that it names itself."""
    file = path / VIEWS_FILE
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    place = _WRITTEN_PLACE.search(text)
    rows = {found["name"]: found["file"] for found in _WRITTEN_ROWS.finditer(text)}
    there = {name: file for name, file in rows.items() if (path / KEPT_FOLDER / file).is_file()}
    return views_text(path, Path(place["place"].replace("''", "'")) if place else None, there)


def export(path: Path) -> list[str]:
    """Computes what no SELECT makes, keeps its rows as Parquet, and writes `views.sql` with them.

    Returns: the names of the relations whose rows are kept.
    Raises: HeadswapError where rows cannot be kept.
    """
    from ingest.kernel.errors import HeadswapError
    from sql.engines.duckdb_engine import DuckdbEngine
    from sql.graph.ancestry import Ancestry
    from sql.graph.catalog import missing_table, relations
    from sql.graph.kept import KeptRelations
    from sql.graph.parameter_tables import Asked
    from sql.session import open_session

    rows: dict[str, str] = {}
    with open_session(path) as session:
        absent = session.dataset.manifest.absent_tables()
        asked = Asked(session.dataset, session.parameters, session.connection)
        kept = KeptRelations(path, Ancestry(asked, DuckdbEngine.packages))
        for name, relation in relations().items():
            if relation.kind == "computed" and not missing_table(name, absent):
                found = session.query(f'select * from "{name}"').to_arrow_table()
                if kept.path(relation) is None:
                    kept.write(relation, found)
                if (file := kept.path(relation)) is None:
                    raise HeadswapError(f"the rows of {name} cannot be kept in {path}")
                rows[name] = file.name
    write_text_aside(path / VIEWS_FILE, views_text(path, path.resolve(), rows))
    return list(rows)


def _stamp(path: Path, place: Path | None) -> str:
    """The first line of `views.sql`: a hash of the manifest and of all that declares relations."""
    tables = repr(sorted(STORED_TABLES.items()))
    hashes = [read_manifest(path).sha256(), tables, str(place), *map(sha256_of, _declarations())]
    return _STAMP.format(stamp=hashlib.sha256("".join(hashes).encode()).hexdigest())


def _declarations() -> Iterator[Path]:
    stage = Path(__file__).parents[1]
    yield from sorted(stage.glob("views/*/*.sql"))
    yield from sorted(stage.glob("graph/*.py"))
    yield stage / "parameters.py"


def views_text(path: Path, place: Path | None = None, kept: Mapping[str, str] | None = None) -> str:
    """The statements that make a dataset's tables and views; they can be run again and again.

    place: the folder that the statements look for the dataset in first, None for that of the
    client. kept: files of kept rows of relations that no SELECT makes, by name. What rests on
    others of these, or on a table that the dataset lacks, is left out.
    """
    import duckdb

    from ingest.dataset.reader import open_dataset
    from sql.graph.catalog import missing_table, relations
    from sql.graph.parameter_tables import Asked
    from sql.parameters import Parameters, completed

    dataset = open_dataset(path)
    absent = dataset.manifest.absent_tables()
    kept = kept or {}
    statements: list[str] = []
    computed_names, absent_names = [], []
    with duckdb.connect(":memory:") as connection:
        asked = Asked(dataset, completed(Parameters(), dataset), connection)
        for name, relation in relations().items():
            if missing_table(name, absent):
                absent_names.append(name)
            elif needs_python(name, kept):
                computed_names.append(name)
            else:
                statements += _statements(relation, asked, kept)
    header = _HEADER.format(
        file=(place or Path()) / VIEWS_FILE,
        folder=_FOLDER_VARIABLE,
        kept=", ".join(kept) or "none",
        computed=", ".join(computed_names) or "none",
        absent=", ".join(absent_names) or "none",
    )
    start = _place(place, dataset.manifest.sha256())
    body = "".join(f"\n{statement};\n" for statement in statements)
    return _stamp(path, place) + header + start + body


def _place(place: Path | None, manifest: str) -> str:
    """The statements that find the dataset, and see that it is the one that the views are of."""
    from sql.graph.literals import literal
    from sql.graph.stored import PLACE_VARIABLE

    known = ""
    if place is not None:
        names = {"place": place.as_posix(), "manifest": (place / "manifest.json").as_posix()}
        known = _KNOWN_PLACE.format(**{key: literal(name) for key, name in names.items()})
    hashed = hashlib.sha256(known.encode()).hexdigest()  # a damaged place is seen
    return _PLACE.format(
        variable=PLACE_VARIABLE,
        folder=_FOLDER_VARIABLE,
        place=known,
        hash=hashed,
        manifest=manifest,
    )


def _statements(relation: Relation, asked: Asked, kept: Mapping[str, str]) -> Iterator[str]:
    from sql.engines.duckdb_engine import read_parquet
    from sql.graph.literals import insert_rows
    from sql.graph.parameter_tables import as_asked, parameter_rows
    from sql.graph.relation import create_table
    from sql.graph.stored import placed, stored_select

    def read(table: StoredTable, files: Sequence[str]) -> str:
        within = (Path(file).relative_to(asked.dataset.path).as_posix() for file in files)
        return read_parquet(map(placed, within))

    name, select = relation.name, relation.definition
    if relation.kind == "parameters":
        yield create_table(as_asked(relation, asked), again=True)
        yield from filter(None, [insert_rows(name, parameter_rows(name, asked))])
        return
    if relation.kind == "stored":
        select = stored_select(relation, asked.dataset, asked.prompt_places(), read)
    elif relation.kind == "computed":
        columns = ", ".join(f'"{c.name}"::{c.type} as "{c.name}"' for c in relation.columns)
        select = f"select {columns} from read_parquet({placed(f'{KEPT_FOLDER}/{kept[name]}')})"
    yield f'create or replace view "{name}" as\n{select}'


def needs_python(name: str, kept: Mapping[str, str] | None = None) -> bool:
    """Whether a relation rests on one that a function makes, and whose rows are not kept."""
    from sql.graph.catalog import reads_of, relations

    if name in (kept or {}):
        return False
    return relations()[name].kind == "computed" or any(
        needs_python(source, kept) for source in reads_of(name)
    )
