"""The hub of models and datasets: what names a repository there, and what its failures mean."""

from __future__ import annotations

import errno
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from ingest.kernel.errors import HeadswapError, InputError

COMMIT = re.compile(r"[0-9a-f]{40}")
# What git allows in no name of a branch or tag: it may not become part of a path or an address.
_NO_REVISION = re.compile(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|//|@\{|^$|^[-/]|/$|\.$|(?:^|/)\.")

_AGAIN = "run the same command again: the files that came whole are kept"


@dataclass(frozen=True)
class HubId:
    """A repository of models or datasets and what to take of it: a branch, a tag or a commit."""

    repo_id: str
    revision: str = "main"
    kind: Literal["model", "dataset"] = field(default="model", repr=False)

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.revision}"


def parse_hub_id(source: str, kind: Literal["model", "dataset"] = "model") -> HubId | None:
    """Reads `ORG/NAME` or `ORG/NAME@REVISION`; None where it is no such form.

    >>> parse_hub_id("connaaa/interpgpt-standard-23M@v1")
    HubId(repo_id='connaaa/interpgpt-standard-23M', revision='v1')
    """
    repo_id, at, revision = source.partition("@")
    if repo_id.count("/") != 1 or (at and _NO_REVISION.search(revision)):
        return None
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        return None
    return HubId(repo_id, revision or "main", kind)


@contextmanager
def explained(hub_id: HubId, file: str | None = None) -> Iterator[None]:
    """Turns what the client raises into one message, and spares the reader its own warnings."""
    import httpx2
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity

    # A RuntimeError is how xet transfers fail; the last three come of answers that are no hub's.
    failures = (OSError, RuntimeError, ValueError, LookupError, TypeError)
    verbosity = get_verbosity()
    if verbosity == logging.WARNING:  # the default; what HF_HUB_VERBOSITY chose stays
        set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (httpx2.HTTPError, httpx2.InvalidURL, *failures) as error:
        raise _explanation(error, hub_id, file) from error
    finally:
        set_verbosity(verbosity)


def _explanation(error: BaseException, hub_id: HubId, file: str | None) -> HeadswapError:
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__:
        error = error.__cause__  # what happened, without the client's advice
    if isinstance(error, errors.HfHubHTTPError | errors.OfflineModeIsEnabled):
        return _refusal(error, hub_id, file)
    return _failure(error, hub_id, file)


def _refusal(error: BaseException, hub_id: HubId, file: str | None) -> HeadswapError:
    """What the hub has answered."""
    from huggingface_hub import constants, errors

    repository, hub, is_model = hub_id.repo_id, constants.ENDPOINT, hub_id.kind == "model"
    page = f"{hub}/{repository}" if is_model else f"{hub}/datasets/{repository}"
    what = f"{hub_id}: {file}" if file else str(hub_id)
    kind: type[HeadswapError] = InputError
    match error:
        case errors.OfflineModeIsEnabled():
            message = f"{what} cannot be reached while HF_HUB_OFFLINE is set"
            hint = "unset HF_HUB_OFFLINE"
        case errors.GatedRepoError():
            message = f"{repository} is gated, and you have no access to it yet"
            hint = f"ask for access on {page}, `hf auth login` or set HF_TOKEN"
        case errors.RevisionNotFoundError():
            message = f"{repository} has no revision {hub_id.revision!r}"
            hint = "give a branch, a tag or a commit of this repository"
        case errors.RemoteEntryNotFoundError():
            message = f"{what}: the hub lists this file and does not have it"
            hint = "choose another revision, or tell the owner of the repository"
        case errors.HfHubHTTPError() if error.response.status_code in (401, 403, 404):
            status = error.response.status_code
            message = f"{what} is not on {hub} or private (HTTP {status})"
            hint = "check the spelling; if it is private, `hf auth login` or set HF_TOKEN"
        case errors.HfHubHTTPError():
            kind = HeadswapError
            message = f"{what}: {hub} answers HTTP {error.response.status_code}"
            hint = f"try again later{_or_cached(hub_id)}"
        case _:
            raise AssertionError("not an answer of the hub")
    return kind(message, hint=hint)


def _failure(error: BaseException, hub_id: HubId, file: str | None) -> HeadswapError:
    """What has failed on the way, or on this machine."""
    import httpx2
    from huggingface_hub import constants, errors

    hub, is_model = constants.ENDPOINT, hub_id.kind == "model"
    what = f"{hub_id}: {file}" if file else str(hub_id)
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    unreachable = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)
    kind: type[HeadswapError] = HeadswapError
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            place = f"in the cache {constants.HF_HUB_CACHE}" if is_model else "on the disk"
            message = f"{what}: no room is left {place}"
            hint = "make room, or set HF_HOME to a folder on a larger disk"
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS):
            place = str(constants.HF_HUB_CACHE if is_model else error.filename)
            kind, message = InputError, f"{what}: cannot write into {place}"
            hint = "set HF_HOME to a folder that you may write to"
        case httpx2.TransportError() if file is None or isinstance(error, unreachable):
            message = f"{what}: {hub} cannot be reached: {reason}"
            hint = f"check the network and HF_ENDPOINT{_or_cached(hub_id)}"
        case httpx2.TransportError() | ConnectionError() | TimeoutError():
            message, hint = f"{what}: the connection broke off: {reason}", _AGAIN
        case OSError() | RuntimeError() if file and not isinstance(error, errors.FileMetadataError):
            message, hint = f"{what} did not come whole: {reason}", _AGAIN
        case _:
            message = f"{what}: {hub} gives no answer of a hub: {reason}"
            hint = "check HF_ENDPOINT; a proxy or a login page may answer in its place"
    return kind(message, hint=hint)


def _or_cached(hub_id: HubId) -> str:
    return "; HF_HUB_OFFLINE=1 uses a cached copy" if hub_id.kind == "model" else ""
