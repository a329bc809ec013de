"""DuckDB for a page: the files that the set-up made of npm's packages, as a page holds them."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from pathlib import Path

ENGINE_FOLDER = Path(__file__).parent / "engine"
MAIN, WORKER, WASM, LICENCES = "main.js", "worker.js.gz", "duckdb.wasm.gz", "LICENCES.txt"

HOW_TO_GET = (
    "the page Ask is left out, as this install of headswap lacks its engine. Hint: install the "
    "built wheel, or run `make` in the checkout"
)


@dataclass(frozen=True)
class Engine:
    """main: the script that the page runs. worker, wasm: packed, in base 64."""

    main: str
    worker: str
    wasm: str
    licences: str

    @property
    def size(self) -> int:
        """Characters of a page that it takes."""
        return sum(map(len, vars(self).values()))


def read_engine(folder: Path = ENGINE_FOLDER) -> Engine | None:
    """The engine; None where the set-up that makes it has not run."""
    if not (folder / MAIN).is_file():
        return None
    return Engine(
        main=(folder / MAIN).read_text(encoding="utf-8"),
        worker=as_text((folder / WORKER).read_bytes()),
        wasm=as_text((folder / WASM).read_bytes()),
        licences=(folder / LICENCES).read_text(encoding="utf-8"),
    )


def packed(content: bytes) -> str:
    """Bytes as a page holds them: compressed as its browser can undo it, in base 64.

    >>> packed(b"") == packed(b"")
    True
    """
    return as_text(gzip.compress(content, compresslevel=6, mtime=0))


def as_text(content: bytes) -> str:
    """Bytes in base 64."""
    return base64.b64encode(content).decode()
