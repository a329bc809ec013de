"""A real Firefox, without a network, driven over WebDriver BiDi, which it speaks itself."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.services.browser import CHARTS_DRAWN, TIMEOUT_SECONDS

PROGRAMS = ("firefox-esr", "firefox")
# Every address is asked of a proxy where nothing listens; local files need none.
PREFERENCES = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}
_ADDRESS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


class FirefoxPage:
    """One tab. errors: what its console reported as an error; requests: addresses it asked for."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.context = context
        self._firefox = firefox

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, as JSON holds it, promises awaited."""
        answer = self._firefox.command(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})) ?? null)()",
            target={"context": self.context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer.get("exceptionDetails", {}).get("text")
        text = answer["result"].get("value")
        return None if text is None else json.loads(text)

    def wait_for(self, expression: str) -> None:
        """Waits until a JavaScript expression is true."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}; {self.errors}"
            time.sleep(0.05)

    def reload(self) -> None:
        """Loads the page anew and waits until its charts are drawn."""
        self._firefox.command("browsingContext.reload", context=self.context, wait="complete")
        self.wait_for(CHARTS_DRAWN)

    def picture(self, path: Path) -> None:
        """Saves what the window shows as PNG."""
        answer = self._firefox.command("browsingContext.captureScreenshot", context=self.context)
        path.write_bytes(base64.b64decode(answer["data"]))

    def on_event(self, method: str, parameters: dict[str, Any]) -> None:
        """Notes what the page did."""
        if method == "network.beforeRequestSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "log.entryAdded" and parameters["level"] in {"error", "warn"}:
            self.errors.append(parameters["text"])


class Firefox:
    """A running Firefox and its one socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last_id = 0
        self._pages: dict[str, FirefoxPage] = {}
        self.command("session.new", capabilities={})
        self.command("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])

    def open(self, address: str) -> FirefoxPage:
        """Opens an address in a new tab and waits until its charts are drawn."""
        context = self.command("browsingContext.create", type="tab")["context"]
        page = self._pages[context] = FirefoxPage(self, context)
        self.command("browsingContext.navigate", context=context, url=address, wait="complete")
        page.wait_for(CHARTS_DRAWN)
        return page

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends one command and handles what arrives until its answer does."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=TIMEOUT_SECONDS))
            if answer.get("id") == self._last_id:
                assert answer["type"] == "success", (method, answer)
                result: dict[str, Any] = answer["result"]
                return result
            parameters = answer.get("params", {})
            context = parameters.get("context") or parameters.get("source", {}).get("context")
            if context in self._pages:
                self._pages[context].on_event(answer["method"], parameters)


@contextmanager
def running_firefox() -> Iterator[Firefox]:
    """Starts Firefox and ends it with all that it started."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.fail(
            f"none of {', '.join(PROGRAMS)} is on PATH. "
            "Hint: install Firefox, for instance by `apt-get install firefox-esr`"
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
        Path(profile, "user.js").write_text("\n".join(lines))
        log = Path(profile, "log.txt")
        with log.open("w") as file:
            process = subprocess.Popen(
                [program, "--headless", "--profile", profile, "--remote-debugging-port", "0"],
                stdout=subprocess.DEVNULL,
                stderr=file,
                env={"HOME": profile, "PATH": "/usr/bin:/bin"},
            )
        try:
            with connect(_address(log, process), max_size=None, proxy=None) as socket:
                yield Firefox(socket)
        finally:
            process.terminate()
            process.wait(timeout=TIMEOUT_SECONDS)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Where a Firefox listens, once it does."""
    while process.poll() is None:
        if found := _ADDRESS.search(log.read_text()):
            return f"{found[1]}/session"
        time.sleep(0.05)
    raise AssertionError(f"Firefox has ended: {log.read_text()}")
