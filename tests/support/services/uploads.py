"""The part of the hub on loopback that takes datasets: repositories, large files, commits."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.services.listing import LARGE_SUFFIXES, sha256_of, tree

if TYPE_CHECKING:
    from tests.support.services.hub import Hub, Repository

# As small as a test can make it: files above come in parts.
PART_BYTES = 1 << 20

_PREUPLOAD = re.compile(r"/api/(datasets/[^/]+/[^/]+)/preupload/([^/]+)")
_COMMIT = re.compile(r"/api/(datasets/[^/]+/[^/]+)/commit/([^/]+)")
_BRANCH = re.compile(r"/api/(datasets/[^/]+/[^/]+)/branch/([^/]+)")
_BATCH = re.compile(r"/(datasets/[^/]+/[^/]+)\.git/info/lfs/objects/batch")
_PATHS = re.compile(r"/api/(datasets/[^/]+/[^/]+)/paths-info/([^/]+)")
_PART = re.compile(r"/upload/([0-9a-f]{64})/(\d+)")
_COMPLETE = re.compile(r"/complete/([0-9a-f]{64})")


@dataclass
class Storage:
    """Large files by their SHA-256.

    spared: uploads that come through before the faults; drops, refusals: how many uploads then
    break off half-way, or are refused.
    moves: a repository whose branch somebody else moves just before the next commit.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[tuple[str, int], bytes] = field(default_factory=dict)
    uploaded: list[str] = field(default_factory=list)
    spared: int = 0
    drops: int = 0
    refusals: int = 0
    moves: Repository | None = None


def answer_upload(handler: BaseHTTPRequestHandler, hub: Hub, may_write: bool) -> None:
    """Answers a POST or PUT. may_write: whether the token that came with it allows to write."""
    path = unquote(urlsplit(handler.path).path)
    storage = hub.storage
    length = int(handler.headers["Content-Length"] or 0)
    if match := _PART.fullmatch(path):
        if storage.drops and not storage.spared:
            storage.drops -= 1
            handler.rfile.read(length // 2)
            handler.close_connection = True
            handler.connection.close()
            return
        if storage.refusals and not storage.spared:
            storage.refusals -= 1
            handler.rfile.read(length)
            _send(handler, 400, {"error": "no"})
            return
        storage.spared = max(storage.spared - 1, 0)
        storage.parts[match[1], int(match[2])] = handler.rfile.read(length)
        if match[2] == "0":  # alone
            _complete(storage, match[1])
        _send(handler, 200, {}, {"ETag": f'"{match[2]}"'})
        return
    body = handler.rfile.read(length)
    if match := _COMPLETE.fullmatch(path):
        _complete(storage, match[1])
        _send(handler, 200, {})
    elif path == "/api/validate-yaml":
        _send(handler, 200, {"errors": [], "warnings": []})
    elif match := _PATHS.fullmatch(path):
        _send(handler, 200, _paths_info(hub, match[1], match[2], body))
    elif not may_write:
        _send(handler, 403 if handler.headers["Authorization"] else 401, {"error": "no"})
    elif path == "/api/repos/create":
        _create(handler, hub, json.loads(body))
    else:
        _answer_repository(handler, hub, path, body)


def _answer_repository(handler: BaseHTTPRequestHandler, hub: Hub, path: str, body: bytes) -> None:
    storage = hub.storage
    if match := _PREUPLOAD.fullmatch(path):
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE_SUFFIXES) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        _send(handler, 200, {"files": files})
    elif _BATCH.fullmatch(path):
        objects = [_action(hub, wanted) for wanted in json.loads(body)["objects"]]
        _send(handler, 200, {"transfer": "multipart", "objects": objects})
    elif match := _BRANCH.fullmatch(path):
        repository = hub.repositories[match[1]]
        start = json.loads(body or b"{}").get("startingPoint", "main")
        repository.branches[match[2]] = repository.branches.get(start, start)
        _send(handler, 200, {})
    elif match := _COMMIT.fullmatch(path):
        if storage.moves:
            storage.moves.commit({"other.txt": b"of somebody else"}, match[2])
            storage.moves = None
        _commit(
            handler,
            hub.repositories[match[1]],
            storage,
            match[2],
            body,
            f"{hub.endpoint}/{match[1]}",
        )
    else:
        _send(handler, 404, {})


def _paths_info(hub: Hub, repo_id: str, revision: str, body: bytes) -> list[dict[str, object]]:
    """Those of some paths that exist; it is asked by POST and changes nothing."""
    repository = hub.repositories[repo_id]
    files = repository.commits[repository.branches.get(revision, revision)]
    names = parse_qs(body.decode())["paths"]
    return [found for found in tree(files, "", True) if found["path"] in names]


def _create(handler: BaseHTTPRequestHandler, hub: Hub, wanted: dict[str, Any]) -> None:
    if wanted["organization"] in hub.foreign:
        _send(handler, 403, {"error": "you have no rights there"})
        return
    repo_id = f"datasets/{wanted['organization']}/{wanted['name']}"
    hub.add(repo_id, is_private=wanted.get("visibility") == "private").commit(
        {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}
    )
    _send(handler, 200, {"url": f"{hub.endpoint}/{repo_id}"})


def _action(hub: Hub, wanted: dict[str, Any]) -> dict[str, Any]:
    """What the client shall do with a large file: nothing where it is there."""
    sha256, size = wanted["oid"], wanted["size"]
    if sha256 in hub.storage.objects:
        return {"oid": sha256, "size": size}
    href, header = f"{hub.endpoint}/upload/{sha256}", {}
    if size > PART_BYTES:
        n_parts = -(-size // PART_BYTES)
        header = {str(n): f"{href}/{n}" for n in range(1, n_parts + 1)}
        header["chunk_size"] = str(PART_BYTES)
        upload = {"href": f"{hub.endpoint}/complete/{sha256}", "header": header}
    else:
        upload = {"href": f"{href}/0"}
    return {"oid": sha256, "size": size, "actions": {"upload": upload}}


def _complete(storage: Storage, sha256: str) -> None:
    numbers = sorted(number for oid, number in storage.parts if oid == sha256)
    content = b"".join(storage.parts.pop((sha256, number)) for number in numbers)
    assert sha256_of(content) == sha256, "what came is not what was announced"
    storage.objects[sha256] = content
    storage.uploaded.append(sha256)


def _commit(
    handler: BaseHTTPRequestHandler,
    repository: Repository,
    storage: Storage,
    branch: str,
    body: bytes,
    page: str,
) -> None:
    lines = [json.loads(line) for line in body.splitlines()]
    parent = lines[0]["value"].get("parentCommit")
    if parent and parent != repository.branches[branch]:
        _send(handler, 412, {"error": "A commit has happened since. Please refresh and try again"})
        return
    files = dict(repository.commits[repository.branches[branch]])
    for line in lines[1:]:
        value = line["value"]
        match line["key"]:
            case "file":
                files[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                files[value["path"]] = storage.objects[value["oid"]]
            case "deletedFile":
                del files[value["path"]]
    sha = repository.commit(files, branch)
    _send(handler, 200, {"commitUrl": f"{page}/commit/{sha}", "commitOid": sha})


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    answer: object,
    headers: dict[str, str] | None = None,
) -> None:
    content = json.dumps(answer).encode()
    handler.send_response(status)
    standard = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    for name, value in {**standard, **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)
