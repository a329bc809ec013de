"""Relations kept beside the data: computed once, read by every later session of the same user.

A kept relation lies in `views/<name>-<ancestry>-<sha256>-<mac>.parquet`: the hash of all that its
rows rest on (`sql.graph.ancestry`), the hash of its bytes, and a code that only this user can make.
So a file is whole or not there, a stale one has another name, writers at the same time do not
disturb each other, and what somebody else put there, in a dataset that was sent, is not read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import sys
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.dataset.manifest import KEPT_FOLDER
from ingest.kernel.errors import HeadswapError
from ingest.kernel.files import sha256_of, written_aside
from ingest.kernel.user_folders import state_folder
from sql.graph.relation import Relation

if TYPE_CHECKING:
    import pyarrow as pa

    from sql.graph.ancestry import Ancestry

_MOST_OF_A_RELATION = 8  # questions: parameters and states of the dataset
_SHORT = 16
_FILE = re.compile(
    r"(?P<name>[a-z_]+)-(?P<ancestry>[0-9a-f]{16})-(?P<sha256>[0-9a-f]{64})-(?P<mac>[0-9a-f]{32})"
    r"\.parquet"
)
_KEY_NAME = "kept.key"
_KEY_BYTES = 32


class KeptRelations:
    """What is kept of one dataset. read_only: nothing new is kept, nothing removed."""

    def __init__(self, dataset: Path, ancestry: Ancestry, read_only: bool = False) -> None:
        self._folder = dataset / KEPT_FOLDER
        self._ancestry = ancestry
        self._is_read_only = read_only
        self._has_warned = False

    @cached_property
    def _key(self) -> bytes | None:
        return user_key(create=not self._is_read_only)

    def read(self, relation: Relation) -> pa.Table | None:
        """The rows of a relation, None where this user has not kept them.

        A damaged file is reported on stderr and removed.
        """
        if path := self.path(relation):
            # As long to load as DuckDB, and most queries need none of it.
            import pyarrow.parquet as pq

            return pq.read_table(path, columns=[column.name for column in relation.columns])
        return None

    def path(self, relation: Relation) -> Path | None:
        """The file of a relation, as `read` finds it."""
        ancestry = self._ancestry.sha256(relation.name)
        for path in sorted(self._folder.glob(f"{relation.name}-{ancestry[:_SHORT]}-*.parquet")):
            if not is_own(path, ancestry, self._key):
                continue
            if is_intact(path):
                return path
            print(f"{path} is damaged: {relation.name} is computed again", file=sys.stderr)
            if not self._is_read_only:
                path.unlink(missing_ok=True)
        return None

    def write(self, relation: Relation, rows: pa.Table) -> None:
        """Keeps the rows of a relation; where that cannot be, says so once and goes on."""
        if self._is_read_only:
            return
        if self._key is None:
            self._warn("this user has no folder for the key that tells own results from others'")
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        # Few numbers come twice: a dictionary of them would be begun and given up.
        repeated = [
            field.name
            for field in rows.schema
            if not pa.types.is_floating(field.type) and not pa.types.is_list(field.type)
        ]
        pq.write_table(rows, sink, compression="zstd", use_dictionary=repeated)
        content = sink.getvalue().to_pybytes()
        ancestry, sha256 = self._ancestry.sha256(relation.name), hashlib.sha256(content).hexdigest()
        mac = _mac(self._key, relation.name, ancestry, sha256)
        name = f"{relation.name}-{ancestry[:_SHORT]}-{sha256}-{mac}.parquet"
        try:
            with written_aside(self._folder / name) as partial:
                partial.write_bytes(content)
            self._forget_older(relation.name, name)
        except (HeadswapError, OSError) as error:
            self._warn(str(error))

    def _warn(self, reason: str) -> None:
        if not self._has_warned:
            print(f"what is computed is not kept: {reason}", file=sys.stderr)
        self._has_warned = True

    def _forget_older(self, relation: str, newest: str) -> None:
        """Removes what was kept of a relation longest ago."""
        paths = [path for path in self._folder.iterdir() if _named(path) == relation]
        paths.sort(key=lambda path: (path.name == newest, path.stat().st_mtime), reverse=True)
        for path in paths[_MOST_OF_A_RELATION:]:
            path.unlink(missing_ok=True)


def is_intact(path: Path) -> bool:
    """Whether a kept file holds the bytes that its name states."""
    named = _FILE.fullmatch(path.name)
    return named is not None and named["sha256"] == sha256_of(path)


def is_own(path: Path, ancestry: str, key: bytes | None) -> bool:
    """Whether this user wrote a kept file, for rows of this ancestry."""
    named = _FILE.fullmatch(path.name)
    if named is None or key is None:
        return False
    return hmac.compare_digest(named["mac"], _mac(key, named["name"], ancestry, named["sha256"]))


def user_key(create: bool) -> bytes | None:
    """The user's secret; None where there is none and none can be made."""
    folder = state_folder()
    if folder is None:
        return None
    path = folder / _KEY_NAME
    try:
        if not path.is_file() and create:
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another process was faster
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(secrets.token_bytes(_KEY_BYTES))
        key = path.read_bytes()
    except OSError:
        return None
    return key if len(key) == _KEY_BYTES else None


def _mac(key: bytes, name: str, ancestry: str, sha256: str) -> str:
    text = f"{name} {ancestry} {sha256}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]


def _named(path: Path) -> str | None:
    named = _FILE.fullmatch(path.name)
    return named["name"] if named else None
