"""Where a dataset lies when it is on no disk of this machine, and bytes of its files from there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

from ingest.kernel.errors import DatasetError, HeadswapError, InputError
from ingest.kernel.hub import COMMIT, HubId, explained, parse_hub_id

if TYPE_CHECKING:
    import httpx2

_HUB = "hf://datasets/"
S3 = "s3://"
_GCS = ("gs://", "gcs://")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://")
_READ = ("hf://", "http://", "https://", S3)
_RANGE = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<size>\d+)")
# Of a file that is not what the manifest says.
CHANGED_SINCE = "it was changed after its manifest, or the other way round; tell its owner"
# A folder on the web is asked as often as the hub is.
_PATIENCE_SECONDS, _ATTEMPTS = 30.0, 2


class Address(Protocol):
    """A folder whose files can be read in ranges."""

    @property
    def text(self) -> str:
        """How messages name it, with the commit of a repository."""
        ...

    def whole(self, path: str, limit: int) -> bytes:
        """All bytes of a small file.

        Raises: DatasetError where it is larger than `limit` bytes; InputError where it is not
        there, or is not for this user; HeadswapError where it does not come.
        """
        ...

    def part(self, path: str, start: int, end: int, size: int) -> bytes:
        """The bytes from `start` to before `end` of a file that must have `size` bytes in all.

        Raises: DatasetError where it has another size, was changed since it was first read, or
        comes as a whole only; otherwise as `whole`.
        """
        ...


@dataclass(frozen=True)
class WebFolder:
    """A folder on the web, or a repository on the hub.

    text: how messages name it, with the commit of a repository; base: the URL before a file's path;
    headers: what is sent with each request; hub_id: of a repository on the hub.
    """

    text: str
    base: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    hub_id: HubId | None = None

    def whole(self, path: str, limit: int) -> bytes:
        """As `Address.whole`."""
        with self._explained(path):
            response = self._get(path)
            self._raise_for_status(response)
        if len(response.content) > limit:
            raise DatasetError(f"{self.text}: {path} has more than {limit:,} bytes")
        return response.content

    def part(self, path: str, start: int, end: int, size: int) -> bytes:
        """As `Address.part`."""
        with self._explained(path):
            response = self._get(path, {"Range": f"bytes={start}-{end - 1}"})
            if response.status_code != 416:  # it has fewer bytes than that
                self._raise_for_status(response)
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code == 416 or (found and int(found["size"]) != size):
            raise other_size(self.text, path, size)
        is_right = found and (int(found["first"]), int(found["last"])) == (start, end - 1)
        if response.status_code != 206 or not is_right or len(response.content) != end - start:
            raise DatasetError(
                f"{self.text}: its server sends no parts of {path}",
                hint="copy the whole folder to this machine, and query the copy",
            )
        return response.content

    def _get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        import httpx2
        from huggingface_hub.utils import http_backoff  # type: ignore[attr-defined]

        response: httpx2.Response = http_backoff(
            "GET",
            self.base + quote(path),
            headers={**self.headers, "Accept-Encoding": "identity", **(headers or {})},
            timeout=_PATIENCE_SECONDS,
            max_retries=_ATTEMPTS,
            retry_on_exceptions=(httpx2.ReadError, httpx2.ReadTimeout, httpx2.RemoteProtocolError),
        )
        return response

    def _raise_for_status(self, response: httpx2.Response) -> None:
        from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

        if self.hub_id is None:
            response.raise_for_status()
        else:
            hf_raise_for_status(response)

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        if self.hub_id is not None:
            with explained(self.hub_id, path):
                yield
            return
        import httpx2

        try:
            yield
        except httpx2.HTTPStatusError as error:
            status = error.response.status_code
            kind = InputError if status in (401, 403, 404) else HeadswapError
            raise kind(
                f"{self.text}: {path}: the server answers HTTP {status}",
                hint="check the address: it is that of the folder that holds manifest.json",
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise HeadswapError(
                f"{self.text}: {path} cannot be read: {reason}",
                hint="check the address and the network, then run again",
            ) from error


def other_size(where: str, path: str, size: int) -> DatasetError:
    """The error of a file that has another size than `size`, which its manifest says."""
    return DatasetError(
        f"{where}: {path} does not have the {size:,} bytes that the manifest says",
        hint=CHANGED_SINCE,
    )


def is_address(text: str) -> bool:
    """Whether a text names a dataset elsewhere rather than a folder.

    >>> is_address("hf://datasets/org/name"), is_address("./name")
    (True, False)
    """
    return _SCHEME.match(text) is not None


def how_to_copy(text: str) -> str:
    """The hint for what needs a dataset's files on this machine; text: its address.

    >>> how_to_copy("hf://datasets/org/study@main")
    '`headswap pull org/study@main` fetches it'
    """
    if text.startswith(_HUB):
        return f"`headswap pull {text.removeprefix(_HUB)}` fetches it"
    tools = {S3: "aws s3 sync", **dict.fromkeys(_GCS, "gcloud storage rsync -r")}
    for scheme, tool in tools.items():
        if text.startswith(scheme):
            return f"copy it, for instance by `{tool} {shlex.quote(text)} study`, and name the copy"
    return "copy the whole folder to this machine, and name the copy"


def _check_is_read(text: str) -> None:
    """Raises: InputError where nothing here reads such addresses."""
    if text.startswith(_GCS):
        place = text.partition("://")[2]
        raise InputError(
            f"{text}: Google Cloud Storage is not read by this address",
            hint=f"it also speaks S3: write s3://{place}, with HMAC keys in AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL=https://storage.googleapis.com",
        )
    if not text.startswith(_READ):
        raise InputError(
            f"{text}: no dataset is read by such an address",
            hint=f"give a folder, or an address that begins with {', '.join(_READ)}",
        )


def resolve(text: str) -> Address:
    """Finds what an address means now: a revision of a repository becomes its commit.

    Raises: InputError where it is none, or the hub does not have it; HeadswapError where the
    network fails.
    """
    _check_is_read(text)
    if text.startswith("hf://"):
        hub_id = parse_hub_id(text.removeprefix(_HUB).rstrip("/"), "dataset")
        if not text.startswith(_HUB) or hub_id is None:
            raise InputError(
                f"{text!r} is not the address of a dataset on the hub",
                hint="write it as in hf://datasets/ORG/NAME or hf://datasets/ORG/NAME@REVISION",
            )
        return resolve_on_hub(hub_id)
    if text.startswith(S3):
        # Not at the top: this module names its failures as that one does.
        from ingest.dataset.afar.objects import resolve_objects

        return resolve_objects(text)
    parts = urlsplit(text)
    if not parts.hostname or parts.query or parts.fragment:
        raise InputError(
            f"{text!r} is not the address of a folder",
            hint="it is what stands before /manifest.json in the address of that file",
        )
    return WebFolder(text, text.rstrip("/") + "/")


def resolve_on_hub(hub_id: HubId) -> WebFolder:
    """The address of a dataset on the hub at the commit that its revision is now."""
    from huggingface_hub import HfApi, constants

    with explained(hub_id):
        timeout = constants.HF_HUB_ETAG_TIMEOUT
        info = HfApi().dataset_info(hub_id.repo_id, revision=hub_id.revision, timeout=timeout)
        if info.sha is None or not COMMIT.fullmatch(info.sha):
            raise ValueError(f"it names no commit but {info.sha!r}")
    return at_commit(hub_id.repo_id, info.sha)


def at_commit(repo_id: str, commit: str) -> WebFolder:
    """The address of a dataset on the hub at a commit."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    pinned = HubId(repo_id, commit, "dataset")
    base = f"{constants.ENDPOINT}/datasets/{repo_id}/resolve/{commit}/"
    return WebFolder(f"{_HUB}{pinned}", base, build_hf_headers(), pinned)
