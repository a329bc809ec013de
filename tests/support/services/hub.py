"""A small hub on 127.0.0.1 with commits, branches, tokens and faults, and real clients of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.running import Outcome
from tests.support.services.listing import LARGE_SUFFIXES, blob_id, sha256_of, sibling, tree
from tests.support.services.uploads import Storage, answer_upload

ROOT = Path(__file__).resolve().parents[3]

# A machine that is busy with other work may answer late.
PATIENCE = {"HF_HUB_ETAG_TIMEOUT": "60", "HF_HUB_DOWNLOAD_TIMEOUT": "60"}

# The client reads its settings where it is imported, so each set of them has its own process.
CLIENT = """
import json, sys
from ingest.kernel.errors import HeadswapError
from ingest.kernel.hub import parse_hub_id
from ingest.models.hub import fetch_snapshot

for line in sys.stdin:
    source, allow_code = json.loads(line)
    try:
        snapshot = fetch_snapshot(parse_hub_id(source), allow_code=allow_code)
        answer = {"revision": snapshot.revision, "folder": str(snapshot.folder)}
    except HeadswapError as error:
        answer = {"code": error.exit_code, "message": str(error), "hint": error.hint}
    print(json.dumps(answer), flush=True)
"""

# The whole command in such a process: words in, exit code, stdout and stderr out.
COMMAND = """
import contextlib, io, json, sys
import headswap

for line in sys.stdin:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = headswap.main(json.loads(line))
    texts = [stream.flush() or stream.buffer.getvalue().decode() for stream in (out, err)]
    print(json.dumps([code, *texts]), flush=True)
"""

TOKEN = "hf_loopbackreader"

# A model is named ORG/NAME, a dataset datasets/ORG/NAME.
_API = re.compile(r"/api/(?:models/)?((?:datasets/)?[^/]+/[^/]+)/revision/([^/]+)")
_ROOT = re.compile(r"/api/(datasets/[^/]+/[^/]+)")
_TREE = re.compile(r"/api/(datasets/[^/]+/[^/]+)/tree/([^/]+)(?:/(.*))?")
_RESOLVE = re.compile(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Fault(Enum):
    """What goes wrong with one file, or with the answer about the repository under the name ""."""

    RESET = auto()  # the connection is reset half-way
    TRUNCATED = auto()  # less comes than Content-Length says, and then the end
    SHORT = auto()  # what comes is whole by HTTP, and shorter than the hub announced
    ALTERED = auto()  # other bytes of the same length
    ERROR = auto()  # HTTP 500
    MISSING = auto()  # listed, and 404
    NO_HUB = auto()  # HTTP 200 and a login page


@dataclass
class Repository:
    """Commits by their 40 digits, branches by name. Faults hold until they are removed."""

    is_private: bool = False
    is_gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    faults_once: dict[str, Fault] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Adds a commit with these files and moves the branch to it."""
        seed = repr((len(self.commits), sorted(files.items()))).encode()
        sha = hashlib.sha1(seed, usedforsecurity=False).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    token: str | None


class Hub:
    """What the server holds. foreign: organisations in which the token may not write."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.storage = Storage()
        self.foreign = {"foreign"}
        self.n_bytes = 0  # of files, that were sent

    def add(self, repo_id: str, *, is_private: bool = False, is_gated: bool = False) -> Repository:
        return self.repositories.setdefault(repo_id, Repository(is_private, is_gated))

    def asked(self, repo_id: str) -> set[str]:
        """The files of a repository that were asked for."""
        matches = (_RESOLVE.fullmatch(request.path) for request in self.requests)
        return {match[3] for match in matches if match and match[1] == repo_id}


@dataclass(frozen=True)
class Answer:
    """What a call came to: a snapshot, or a message and its exit code."""

    revision: str | None = None
    folder: Path | None = None
    code: int = 0
    message: str = ""
    hint: str = ""
    err: str = ""

    @property
    def files(self) -> dict[str, bytes]:
        assert self.folder is not None, self.message
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


class Client:
    """A process with settings of its own that fetches, or runs, what it is told to."""

    def __init__(self, err: Path, settings: dict[str, str], script: str = CLIENT) -> None:
        mine = ("HF_", "HUGGING", "TRANSFORMERS_")
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(mine) and not name.lower().endswith("_proxy")
        }
        self.err = err
        with err.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", script],
                cwd=ROOT,
                env=environment | PATIENCE | settings,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def fetch(self, source: str, *, allow_code: bool = False) -> Answer:
        seen = self.err.stat().st_size
        answer = self._ask([source, allow_code])
        if "folder" in answer:
            answer["folder"] = Path(answer["folder"])
        return Answer(**answer, err=self.err.read_bytes()[seen:].decode())

    def run(self, *words: object) -> Outcome:
        """Runs `headswap`, where the process was started with COMMAND."""
        return Outcome(*self._ask([str(word) for word in words]))

    def _ask(self, question: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, f"the client died: {self.err.read_text()}"
        return json.loads(line)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()  # closes the pipes


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Serves an empty hub on a free port until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        hub = Hub(f"http://127.0.0.1:{server.server_port}")
        server.hub = hub  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    # Headers and body in one packet: otherwise each answer waits for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._take()

    def do_PUT(self) -> None:
        self._take()

    def _take(self) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ") or None
        hub.requests.append(Request(self.command, unquote(urlsplit(self.path).path), token))
        answer_upload(self, hub, token == TOKEN)

    def _answer(self) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        path = urlsplit(self.path).path
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ") or None
        if path == "/api/agent-harnesses":  # the client asks every hub for this once a day
            self._send(200, b"{}", {})
            return
        hub.requests.append(Request(self.command, unquote(path), token))
        path = f"{path}/revision/main" if _ROOT.fullmatch(path) else path
        matches = (form.fullmatch(path) for form in (_API, _TREE, _RESOLVE))
        match = next(filter(None, matches), None)
        repository = hub.repositories.get(match[1]) if match else None
        is_known = token == TOKEN
        if match is None or repository is None or (repository.is_private and not is_known):
            # As the hub does it: who is not logged in does not learn what is private.
            self._refuse(404 if is_known else 401, "RepoNotFound")
            return
        revision = unquote(match[2])
        sha = repository.branches.get(revision, revision)
        if sha not in repository.commits:
            self._refuse(404, "RevisionNotFound")
        elif match.re is _API:
            self._send_info(match[1], repository, sha)
        elif match.re is _TREE:
            self._send_tree(repository.commits[sha], unquote(match[3] or ""))
        elif repository.is_gated and not is_known:
            self._refuse(401, "GatedRepo")
        else:
            self._send_file(repository, sha, unquote(match[3]))

    def _send_info(self, repo_id: str, repository: Repository, sha: str) -> None:
        match repository.faults.get(""):
            case Fault.ERROR:
                self._refuse(500, "")
            case Fault.NO_HUB:
                self._send(200, b"<html>log in</html>", {"Content-Type": "text/html"})
            case _:
                siblings = [sibling(*file) for file in repository.commits[sha].items()]
                info = {
                    "id": repo_id.removeprefix("datasets/"),
                    "sha": sha,
                    "private": repository.is_private,
                    "siblings": siblings,
                }
                headers = {"Content-Type": "application/json"}
                self._send(200, json.dumps(info).encode(), headers)

    def _send_tree(self, files: dict[str, bytes], folder: str) -> None:
        is_recursive = "recursive=true" in self.path.lower()
        found = tree(files, f"{folder}/" if folder else "", is_recursive)
        self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def _send_file(self, repository: Repository, sha: str, name: str) -> None:
        body = repository.commits[sha].get(name)
        fault = repository.faults.get(name)
        if self.command == "GET":
            fault = repository.faults_once.pop(name, fault)
        if body is None or fault is Fault.MISSING:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": sha})
            return
        if fault is Fault.ERROR and self.command == "GET":
            self._refuse(500, "")
            return
        is_large = name.endswith(LARGE_SUFFIXES)
        headers = {
            "ETag": f'"{sha256_of(body) if is_large else blob_id(body)}"',
            "X-Repo-Commit": sha,
            "X-Linked-Size": str(len(body)),
            "Accept-Ranges": "bytes",
        }
        if fault is Fault.ALTERED:
            body = bytes(byte ^ 1 for byte in body)
        if fault is Fault.SHORT:
            body = body[: len(body) // 2]
        size, start = len(body), 0
        if wanted := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"] or ""):
            if not wanted[1]:  # the last bytes
                wanted = re.fullmatch(r"(\d+)(.{0})", str(max(size - int(wanted[2]), 0)))
                assert wanted
            start = int(wanted[1])
            if start >= size:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            body = body[: int(wanted[2]) + 1] if wanted[2] else body
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{size}"
        end = size // 2 if fault in (Fault.RESET, Fault.TRUNCATED) else None
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        hub.n_bytes += len(body[start:end]) if self.command == "GET" else 0
        self._send(206 if wanted else 200, body[start:], headers, body[start:end])
        if end is not None and self.command == "GET":
            self.close_connection = True
            if fault is Fault.RESET:  # lingering for no time at all is what sends a reset
                self.wfile.flush()
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"", {"X-Error-Code": code, **(headers or {})})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], sent: bytes | None = None
    ) -> None:
        """Announces `body` and sends it, or `sent` in its place."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body if sent is None else sent)
