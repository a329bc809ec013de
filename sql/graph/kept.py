"""Views kept beside the data: computed once, read by every later session.

A kept view lies in `views/<dataset>-<question>/<view>-<sha256>.parquet`. The folder's name is made
of the manifest and of what else the rows depend on (parameters, the views' own text, DuckDB's
version), the file's name of its bytes. So a file is whole or not there, writers at the same time
do not disturb each other, and nothing has to be named by the manifest: a query that rewrote it
could undo an ingest that runs beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from dataclasses import asdict
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from ingest.dataset.reader import Dataset
from ingest.kernel.errors import HeadswapError
from ingest.kernel.files import sha256_of, written_aside
from sql.graph.catalog import View, views
from sql.parameters import Parameters

if TYPE_CHECKING:
    import pyarrow as pa

KEPT_FOLDER = "views"
_MAX_QUESTIONS = 16
_QUESTION = re.compile(r"[0-9a-f]{12}-[0-9a-f]{12}")
_FILE = re.compile(r"(?P<view>[a-z_]+)-(?P<sha256>[0-9a-f]{64})\.parquet")


class KeptViews:
    """The kept views of one dataset for one set of parameters. read_only: nothing new is kept."""

    def __init__(self, dataset: Dataset, parameters: Parameters, read_only: bool = False) -> None:
        self._is_read_only = read_only
        self._root = dataset.path / KEPT_FOLDER
        self._manifest, self._parameters = dataset.manifest, parameters
        self._is_told = False

    @cached_property
    def _dataset(self) -> str:
        return self._manifest.sha256()[:12]

    @cached_property
    def _folder(self) -> Path:
        # Claims are asked of the views and change none that is kept.
        asked = asdict(self._parameters)
        question = {name: value for name, value in asked.items() if name != "claims"}
        text = json.dumps([question, _code(), duckdb.__version__], sort_keys=True)
        return self._root / f"{self._dataset}-{_sha256(text)[:12]}"

    def read(self, view: View) -> pa.Table | None:
        """The rows of a view, None where they are not kept; what is damaged is told and removed."""
        import pyarrow.parquet as pq  # as long to load as DuckDB, and most queries need none of it

        for path in sorted(self._folder.glob(f"{view.name}-*.parquet")):
            if is_intact(path):
                return pq.read_table(path, columns=[column.name for column in view.columns])
            print(f"{path} is damaged: {view.name} is computed again", file=sys.stderr)
            if not self._is_read_only:
                path.unlink(missing_ok=True)
        return None

    def write(self, view: View, rows: pa.Table) -> None:
        """Keeps the rows of a view; where the folder does not let it, says so once and goes on."""
        if self._is_read_only:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        name = f"{view.name}-{hashlib.sha256(content).hexdigest()}.parquet"
        try:
            with written_aside(self._folder / name) as partial:
                partial.write_bytes(content)
            self._forget_older()
        except (HeadswapError, OSError) as error:
            if not self._is_told:
                print(f"what is computed is not kept: {error}", file=sys.stderr)
            self._is_told = True

    def _forget_older(self) -> None:
        """Removes what was kept for an earlier manifest, and the questions asked longest ago."""
        questions = [path for path in self._root.iterdir() if _QUESTION.fullmatch(path.name)]
        current = [path for path in questions if path.name.startswith(self._dataset)]
        current.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in set(questions) - set(current[:_MAX_QUESTIONS]) - {self._folder}:
            shutil.rmtree(path, ignore_errors=True)


def is_intact(path: Path) -> bool:
    """Whether a kept file holds the bytes that its name states."""
    named = _FILE.fullmatch(path.name)
    return named is not None and named["sha256"] == sha256_of(path)


@cache
def _code() -> str:
    """The SHA-256 of all that computes views: a new definition is no longer what was kept."""
    listed = views().values()
    modules = {view.computed_by.split(".")[-2] for view in listed if view.computed_by}
    texts = [view.select for view in listed]
    # Read, not imported: a query that computes nothing need not load what computes.
    folder = Path(__file__).parents[1] / "computed"
    texts += [(folder / f"{module}.py").read_text() for module in sorted(modules)]
    return _sha256("\n".join(texts))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
