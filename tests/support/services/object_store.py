"""An S3-compatible server on 127.0.0.1, and in front of it a proxy that counts what is sent."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.support.services.hub import free_port
from tests.support.services.with_parent import with_parent

_TIMEOUT_SECONDS = 120.0
# The server takes any; that there are none is found by the client.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "reader",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    # Or a client without credentials would ask a machine of Amazon's for some.
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class ObjectStore:
    """The server, as clients reach it: through the proxy.

    n_bytes: of bodies that were sent; forbidden: keys that are answered with HTTP 403.
    """

    endpoint: str
    client: Any
    n_bytes: int = 0
    forbidden: set[str] = field(default_factory=set)

    @property
    def environment(self) -> dict[str, str]:
        """What the programs of a user of this store find in their environment."""
        nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        return CREDENTIALS | nowhere | {"AWS_ENDPOINT_URL": self.endpoint}

    def put(self, bucket: str, folder: str, files: dict[str, bytes]) -> str:
        """Stores files below a folder of a bucket, and returns the folder's address."""
        self.client.create_bucket(Bucket=bucket)
        for name, body in files.items():
            self.client.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=body)
        return f"s3://{bucket}/{folder}"


@contextmanager
def serve_objects(folder: Path) -> Iterator[ObjectStore]:
    """Runs a server, in a process of its own, until the block ends. folder: for its log."""
    import boto3

    port = free_port()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            with_parent(
                [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
            ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(process, port, folder / "server.log")
        with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as proxy:
            proxy.daemon_threads = True
            client = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{port}",
                region_name=CREDENTIALS["AWS_REGION"],
                aws_access_key_id="owner",
                aws_secret_access_key="secret",
            )
            store = ObjectStore(f"http://127.0.0.1:{proxy.server_port}", client)
            proxy.store, proxy.port = store, port  # type: ignore[attr-defined]
            thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield store
            finally:
                proxy.shutdown()
                thread.join()
                client.close()
    finally:
        process.terminate()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()


class _Proxy(BaseHTTPRequestHandler):
    """Hands requests on, and counts the bytes of the answers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        store: ObjectStore = self.server.store  # type: ignore[attr-defined]
        if any(key in self.path for key in store.forbidden):
            self._send(403, [], b"")
            return
        port: int = self.server.port  # type: ignore[attr-defined]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
        try:
            # With the name of the server that was asked: it is part of what was signed.
            connection.request(self.command, self.path, headers=dict(self.headers.items()))
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        store.n_bytes += len(body)
        self._send(answer.status, answer.getheaders(), body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        skipped = {"connection", "transfer-encoding"}
        if self.command == "GET":
            skipped.add("content-length")
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            if name.lower() not in skipped:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass
