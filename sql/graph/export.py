"""`views.sql`: the relations for any DuckDB client, beside the data that they read."""

from __future__ import annotations

from pathlib import Path

from ingest.dataset.reader import open_dataset
from ingest.kernel.files import write_text_aside
from sql.graph.catalog import relations, with_ancestors
from sql.graph.literals import insert_rows
from sql.graph.parameter_tables import Asked, create_statement, parameter_rows
from sql.graph.stored import stored_select
from sql.parameters import Parameters, completed

VIEWS_FILE = "views.sql"

_HEADER = """\
-- The relations of headswap over this dataset, for any DuckDB client that runs in this folder:
--     duckdb -init {file}
-- What they are asked with is in the table parameters: `update parameters set variant = 'all'`.
-- Not here, as no SELECT makes them: {computed}.
-- Not here, as this dataset lacks their tables: {absent}.
-- `headswap sql` has these too. Written anew by every ingest.
"""


def write_views(path: Path) -> None:
    """Writes `views.sql` into a dataset folder, in place of an earlier one in one step."""
    write_text_aside(path / VIEWS_FILE, views_text(path))


def views_text(path: Path) -> str:
    """The statements that make a dataset's tables and views, with paths from its folder.

    What rests on a function of Python, or on a table that the dataset lacks, is left out.
    """
    dataset = open_dataset(path)
    asked = Asked(dataset, completed(Parameters(), dataset))
    absent = set(dataset.manifest.absent_tables())
    computed_names, absent_names, statements = [], [], []
    for name, relation in relations().items():
        ancestors = with_ancestors(name)
        if absent & set(ancestors):
            absent_names.append(name)
        elif needs_python(name):
            computed_names.append(name)
        elif relation.kind == "parameters":
            rows = insert_rows(name, parameter_rows(name, asked))
            statements += [create_statement(relation, asked), *filter(None, [rows])]
        else:
            select = relation.definition
            if relation.kind == "stored":
                select = stored_select(relation, dataset, asked.prompt_places(), start=path)
            statements.append(f'create view "{name}" as\n{select}')
    header = _HEADER.format(
        file=VIEWS_FILE,
        computed=", ".join(computed_names) or "none",
        absent=", ".join(absent_names) or "none",
    )
    return header + "".join(f"\n{statement};\n" for statement in statements)


def needs_python(name: str) -> bool:
    """Whether a relation, or one that it reads, is made by a function and not by a SELECT."""
    return any(relations()[ancestor].kind == "computed" for ancestor in with_ancestors(name))
