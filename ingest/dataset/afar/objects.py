"""Datasets in object storage, read in ranges by s3fs, the file system of fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from ingest.dataset.afar.address import CHANGED_SINCE, S3, other_size
from ingest.kernel.errors import DatasetError, HeadswapError, InputError

# Where every client of S3 looks for what lets it in.
_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; FSSPEC_S3_ANON=true for a "
    "public bucket"
)
_PATIENCE_SECONDS, _ATTEMPTS = 30, 2


@dataclass(frozen=True)
class ObjectFolder:
    """What lies in a bucket below one path.

    text: its address as it was given; files: the store's file system.
    """

    text: str
    files: Any = field(repr=False)
    _open: dict[str, Any] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def whole(self, path: str, limit: int) -> bytes:
        """As `Address.whole`."""
        with self._explained(path):
            file = self._opened(path)
            if file.size > limit:
                raise DatasetError(f"{self.text}: {path} has more than {limit:,} bytes")
            return self._range(file, 0, file.size)

    def part(self, path: str, start: int, end: int, size: int) -> bytes:
        """As `Address.part`."""
        with self._explained(path):
            file = self._opened(path)
            if file.size != size:
                raise other_size(self.text, path, size)
            return self._range(file, start, end)

    def _opened(self, path: str) -> Any:
        """A file as it was when it was first asked for: with its size and its state then."""
        with self._lock:
            if path not in self._open:
                place = f"{self.text.rstrip('/')}/{path}"
                self._open[path] = self.files.open(place, "rb", cache_type="none")
            return self._open[path]

    def _range(self, file: Any, start: int, end: int) -> bytes:
        # What read() calls; it keeps no position, so that threads may call it side by side.
        content: bytes = file._fetch_range(start, end) if end > start else b""
        if len(content) != end - start:
            raise OSError(f"{len(content):,} bytes came where {end - start:,} were asked for")
        return content

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        """Turns what the store's client raises into one message."""
        try:
            yield
        except HeadswapError:
            raise
        except Exception as error:
            # Clients of stores raise errors of many libraries that share no base but this one; the
            # original stays in the chain, and --debug prints it.
            raise self._explanation(error, path) from error

    def _explanation(self, error: Exception, path: str) -> HeadswapError:
        what = f"{self.text}: {path}"
        reason = " ".join(str(error).split()) or type(error).__name__
        names = {kind.__name__ for kind in type(error).__mro__}
        if "FileExpired" in names or "pre-conditions" in reason:
            return DatasetError(f"{what} was changed while it was being read", hint=CHANGED_SINCE)
        if isinstance(error, FileNotFoundError):
            return InputError(
                f"{what} is not there",
                hint="check the address: it is that of the folder that holds manifest.json",
            )
        if names & {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"}:
            return InputError(f"{what} needs credentials: {reason}", hint=_CREDENTIALS)
        if isinstance(error, PermissionError) or getattr(error, "code", None) in (401, 403):
            return InputError(f"{what} is not for these credentials: {reason}", hint=_CREDENTIALS)
        return HeadswapError(
            f"{what} cannot be read: {reason[:300]}",
            hint="check the network and AWS_ENDPOINT_URL, then run again",
        )


def resolve_objects(text: str) -> ObjectFolder:
    """The folder that an address in object storage names.

    Its credentials, region and server come from where the store's own tools take them.

    Raises: InputError where it is none, or what reads it is not installed.
    """
    bucket, _, folder = text.removeprefix(S3).partition("/")
    steps = folder.rstrip("/").split("/")
    if not bucket or any(sign in text for sign in "?#*\n") or {"", ".", ".."} & set(steps[:-1]):
        raise InputError(
            f"{text!r} is not the address of a folder", hint="write it as in s3://BUCKET/PATH"
        )
    try:
        from s3fs import S3FileSystem
    except ModuleNotFoundError as error:
        raise InputError(
            f"reading s3:// needs a package that is not installed: {error.name}",
            hint="pip install 'headswap[s3]'",
        ) from error
    patience = {
        "connect_timeout": _PATIENCE_SECONDS,
        "read_timeout": _PATIENCE_SECONDS,
        "retries": {"max_attempts": _ATTEMPTS},
    }
    files = S3FileSystem(
        skip_instance_cache=True,  # others of the same process may have seen earlier states
        use_listings_cache=False,
        # An object that is not in the state in which it was first seen, by its ETag, is refused;
        # here, as not every server that speaks S3 knows the header If-Match.
        local_expiry_check=True,
        config_kwargs=patience,
    )
    return ObjectFolder(text, files)
