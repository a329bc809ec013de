"""The pages of a dataset as it is now: written when they are asked for, anew when it changes."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.dataset.manifest import read_manifest
from reports.ask.page import ServedQuestions
from reports.serve.answer import Asking
from reports.site.pages import write_report
from sql.session import open_session


@contextmanager
def live_site(asking: Asking) -> Iterator[LiveSite]:
    """Yields the pages, in a folder of this program's own, which goes with them.

    Raises: DatasetError, InputError, HeadswapError where they cannot be written.
    """
    with tempfile.TemporaryDirectory(
        # What is still being written at the end may lie in its way.
        prefix="headswap-serve-",
        ignore_cleanup_errors=True,
    ) as folder:
        site = LiveSite(asking, Path(folder))
        site.write()
        yield site


class LiveSite:
    """The pages of a dataset in a folder."""

    def __init__(self, asking: Asking, folder: Path) -> None:
        self._asking, self._folder = asking, folder
        self._lock = threading.Lock()
        self._is_written = False
        # The manifest's checksum; None of what lies elsewhere, as that is pinned to a revision.
        self._written_of: str | None = None

    def page(self, name: str) -> str | None:
        """The text of a page, None where the dataset has none of this name.

        Raises: HeadswapError where the dataset has changed, and can no longer be read.
        """
        with self._lock:
            self.write()
            path = self._folder / f"{name}.html"
            return path.read_text(encoding="utf-8") if path.is_file() else None

    def write(self) -> None:
        """Writes the pages unless they are of the dataset as it is."""
        asking = self._asking
        now = None if isinstance(asking.place, str) else read_manifest(asking.place).sha256()
        if self._is_written and now == self._written_of:
            return
        with open_session(asking.place, asking.parameters) as session:
            write_report(session, self._folder, questions=ServedQuestions(asking.limits))
        if self._is_written:
            print("the dataset has changed: its pages were written anew", file=sys.stderr)
        self._is_written, self._written_of = True, now
