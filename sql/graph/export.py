"""`views.sql`: the views for any DuckDB client, beside the data that they read."""

from __future__ import annotations

from pathlib import Path

from ingest.dataset.reader import Dataset, open_dataset
from ingest.kernel.files import write_text_aside
from sql.graph.catalog import views
from sql.graph.tables import Extent, tables
from sql.parameters import Parameters, settled

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
    statements = list(
        tables(dataset, settled(Parameters(), dataset), _extent_of(dataset), start=path)
    )
    absent = [name for name in views() if needs_python(name)]
    statements += [
        f'create view "{view.name}" as\n{view.select.strip()}'
        for view in views().values()
        if view.name not in absent
    ]
    header = _HEADER.format(file=VIEWS_FILE, absent=", ".join(absent))
    return header + "".join(f"\n{statement};\n" for statement in statements)


def _extent_of(dataset: Dataset) -> Extent:
    """As `sql.graph.tables.extent_of`, without DuckDB: every ingest comes here."""

    def largest(table: str, column: str) -> int:
        files = dataset.table_files(table)
        return max((_largest_in(file, column) for file in files), default=0)

    return Extent(largest("prompts", "prompt_id") + 1, largest("tokens", "position") + 1)


def _largest_in(file: Path, column: str) -> int:
    """The largest number of a column, from the file's statistics, which headswap always writes."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(file)
    index = metadata.schema.names.index(column)
    groups = range(metadata.num_row_groups)
    found = [metadata.row_group(group).column(index).statistics for group in groups]
    if all(statistics and statistics.has_min_max for statistics in found):
        return max((int(statistics.max) for statistics in found), default=0)
    return int(pq.read_table(file, columns=[column])[column].to_numpy().max(initial=0))


def needs_python(name: str) -> bool:
    """Whether a view, or one that it reads, is made by a function and not by a SELECT."""
    view = views()[name]
    return view.computed_by is not None or any(map(needs_python, view.reads))
