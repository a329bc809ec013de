"""`views.sql`: the views for any DuckDB client, beside the data that they read."""

from __future__ import annotations

from pathlib import Path

from ingest.dataset.files import write_text_aside
from ingest.dataset.reader import open_dataset
from sql.catalog import views
from sql.parameters import Parameters, settled
from sql.tables import tables

VIEWS_FILE = "views.sql"

_HEADER = """\
-- The views of headswap over this dataset, for any DuckDB client that runs in this folder:
--     duckdb -init {file}
-- What they are asked with is in the table parameters: `update parameters set variant = 'all'`.
-- Not here, as no SELECT makes them: {absent}.
-- `headswap sql` has these too. Written anew by every ingest.
"""


def write_views(path: Path) -> None:
    """Writes `views.sql` into a dataset folder, in place of an earlier one in one step."""
    write_text_aside(path / VIEWS_FILE, views_text(path))


def views_text(path: Path) -> str:
    """The statements that make a dataset's tables and views, with paths from its folder.

    The views that rest on random draws or on an assignment are left out.
    """
    dataset = open_dataset(path)
    statements = list(tables(dataset, settled(Parameters(), dataset), start=path))
    absent = [name for name in views() if needs_python(name)]
    statements += [
        f'create view "{view.name}" as\n{view.select.strip()}'
        for view in views().values()
        if view.name not in absent
    ]
    header = _HEADER.format(file=VIEWS_FILE, absent=", ".join(absent))
    return header + "".join(f"\n{statement};\n" for statement in statements)


def needs_python(name: str) -> bool:
    """Whether a view, or one that it reads, is made by a function and not by a SELECT."""
    view = views()[name]
    return view.computed_by is not None or any(map(needs_python, view.reads))
