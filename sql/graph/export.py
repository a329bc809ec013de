"""`views.sql`: the relations for any DuckDB client, beside the data that they read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.dataset.manifest import read_manifest
from ingest.dataset.relations import STORED_TABLES
from ingest.kernel.files import sha256_of, write_text_aside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingest.dataset.relations import StoredTable

VIEWS_FILE = "views.sql"

_HEADER = """\
-- The relations of headswap over this dataset, for any DuckDB client that runs in this folder:
--     duckdb -init {file}
-- What they are asked with is in the table parameters: `update parameters set variant = 'all'`.
-- Not here, as no SELECT makes them: {computed}.
-- Not here, as this dataset lacks their tables: {absent}.
-- `headswap sql` has these too. Written anew by every ingest that changes the dataset.
"""
_STAMP = "-- Made from {stamp}.\n"


def write_views(path: Path) -> None:
    """Writes `views.sql` into a dataset folder, in place of an earlier one in one step.

    One that was made from the same stays: neither DuckDB nor the relations are loaded then.
    """
    file = path / VIEWS_FILE
    stamp = _stamp(path)
    if not file.is_file() or not file.read_bytes().startswith(stamp.encode()):
        write_text_aside(file, views_text(path))


def _stamp(path: Path) -> str:
    """The first line of `views.sql`: a hash of the manifest and of all that declares relations."""
    tables = repr(sorted(STORED_TABLES.items()))
    hashes = [read_manifest(path).sha256(), tables, *map(sha256_of, _declarations())]
    return _STAMP.format(stamp=hashlib.sha256("".join(hashes).encode()).hexdigest())


def _declarations() -> Iterator[Path]:
    stage = Path(__file__).parents[1]
    yield from sorted(stage.glob("views/*/*.sql"))
    yield from sorted(stage.glob("graph/*.py"))
    yield stage / "parameters.py"


def views_text(path: Path) -> str:
    """The statements that make a dataset's tables and views, with paths from its folder.

    What rests on a function of Python, or on a table that the dataset lacks, is left out.
    """
    import duckdb

    from ingest.dataset.reader import open_dataset
    from sql.engines.duckdb_engine import read_parquet
    from sql.graph.catalog import relations, with_ancestors
    from sql.graph.literals import insert_rows
    from sql.graph.parameter_tables import Asked, as_asked, parameter_rows
    from sql.graph.relation import create_table
    from sql.graph.stored import stored_select
    from sql.parameters import Parameters, completed

    def read(table: StoredTable, files: Sequence[str]) -> str:
        return read_parquet([str(Path(file).relative_to(path)) for file in files])

    dataset = open_dataset(path)
    absent = set(dataset.manifest.absent_tables())
    computed_names, absent_names, statements = [], [], []
    with duckdb.connect(":memory:") as connection:
        asked = Asked(dataset, completed(Parameters(), dataset), connection)
        for name, relation in relations().items():
            if absent & set(with_ancestors(name)):
                absent_names.append(name)
            elif needs_python(name):
                computed_names.append(name)
            elif relation.kind == "parameters":
                rows = insert_rows(name, parameter_rows(name, asked))
                statements += [create_table(as_asked(relation, asked)), *filter(None, [rows])]
            else:
                select = relation.definition
                if relation.kind == "stored":
                    select = stored_select(relation, dataset, asked.prompt_places(), read)
                statements.append(f'create view "{name}" as\n{select}')
    header = _HEADER.format(
        file=VIEWS_FILE,
        computed=", ".join(computed_names) or "none",
        absent=", ".join(absent_names) or "none",
    )
    return _stamp(path) + header + "".join(f"\n{statement};\n" for statement in statements)


def needs_python(name: str) -> bool:
    """Whether a relation, or one that it reads, is made by a function and not by a SELECT."""
    from sql.graph.catalog import relations, with_ancestors

    return any(relations()[ancestor].kind == "computed" for ancestor in with_ancestors(name))
