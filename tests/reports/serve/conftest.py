"""A dataset that a program of its own serves, and what asks it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.bad.escapes import SECRET
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Served:
    """A program that serves a dataset. address: of its first page, with the token."""

    address: str
    process: subprocess.Popen[str]

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    @property
    def token(self) -> str:
        return urlsplit(self.address).path.split("/")[1]

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own."""
        return http.client.HTTPConnection(self.host, timeout=TIMEOUT_SECONDS)

    def request(
        self,
        path: str,
        method: str = "GET",
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Status and text of the answer; `{t}` in the path is the token."""
        connection = self.connect()
        connection.request(method, path.format(t=self.token), body, dict(headers or {}))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def ask(self, sql: str) -> tuple[int, dict[str, Any]]:
        """Status and answer of a question, asked as the page does."""
        status, text = self.request("/{t}/query", "POST", *question(sql, self.host))
        return status, json.loads(text)


def question(sql: str, host: str) -> tuple[str, dict[str, str]]:
    """Body and headers of a question that a page of this host asks."""
    headers = {"Content-Type": "application/json", "Origin": f"http://{host}"}
    return json.dumps({"sql": sql}), headers


@contextmanager
def serving(dataset: Path, *options: str) -> Iterator[Served]:
    """Starts `headswap serve` and ends it by Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "headswap", "serve", str(dataset), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HEADSWAP_SECRET": SECRET},
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), process.communicate()[1]
        yield Served(address, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_SECONDS)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of six heads."""
    path = tmp_path_factory.mktemp("served") / "dataset"
    return write_synthetic_dataset(path, [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)])
