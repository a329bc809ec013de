"""A real Chromium, without a network, driven over the DevTools protocol through two pipes."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
# Where the set-up installs npm's packages, beside those of Python.
NPM = Path(sys.prefix) / "npm"
AXE = NPM / "node_modules" / "axe-core" / "axe.min.js"
# A loaded machine with two slow cores takes its time.
TIMEOUT_SECONDS = 120.0
# What a page of a report says of itself: all its charts stand.
CHARTS_DRAWN = "document.documentElement?.dataset.charts === 'drawn'"


class Page:
    """One tab. errors: what its console reported as an error; requests: addresses it asked for.

    n_loads: documents that were loaded.
    """

    def __init__(self, browser: Browser, session_id: str, target_id: str, context_id: str) -> None:
        self.target_id, self.context_id = target_id, context_id
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.n_loads = 0
        self._browser, self._session_id = browser, session_id
        self._width, self._theme = 0, "light"

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends one DevTools command and returns its result."""
        return self._browser.command(method, parameters, self._session_id)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, promises awaited."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Waits until a JavaScript expression is true."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}; {self.errors}"
            time.sleep(0.1)

    def loads(self, expression: str) -> None:
        """Evaluates what loads another document, or this one again, and waits until it is drawn."""
        n_loads = self.n_loads
        self.evaluate(f"setTimeout(() => {{ {expression} }}, 0)")
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.n_loads == n_loads:
            assert time.monotonic() < deadline, f"nothing loaded: {expression}"
            time.sleep(0.05)
            # While a document gives way to the next, nothing can be asked of either; the browser
            # answers, and what has happened comes with its answer.
            self._browser.command("Browser.getVersion", {})
        self.wait_for(CHARTS_DRAWN)

    def click(self, x: float, y: float) -> None:
        """Clicks at a place in the window."""
        self.move_mouse(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            place: dict[str, Any] = {"x": x, "y": y, "button": "left", "clickCount": 1}
            self.command("Input.dispatchMouseEvent", type=kind, **place)

    def reload(self) -> None:
        """Loads the page anew and waits until its charts are drawn."""
        self.loads("location.reload()")

    def move_mouse(self, x: float, y: float) -> None:
        """Moves the mouse to a place in the window."""
        self.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def choose(self, selector: str, value: object) -> None:
        """Sets a control as a person would, with its events."""
        self.evaluate(
            f"(control => {{ control.value = {json.dumps(value)};"
            " for (const kind of ['input', 'change'])"
            " control.dispatchEvent(new Event(kind, {bubbles: true})); })"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def middle_of(self, selector: str, at: int = 0) -> list[float]:
        """Where in the window an element's middle is, after scrolling to it."""
        place: list[float] = self.evaluate(
            f"(element => {{ element.scrollIntoView({{block: 'center'}});"
            " const box = element.getBoundingClientRect();"
            " return [box.left + box.width / 2, box.top + box.height / 2]; })"
            f"(document.querySelectorAll({json.dumps(selector)})[{at}])"
        )
        return place

    def show_in(self, width: int, theme: str) -> None:
        """Makes the window so wide and the reader's system `light` or `dark`; charts are drawn."""
        if width != self._width:
            self._draws_again(lambda: self.set_width(width))
        if theme != self._theme:
            self._draws_again(lambda: self.set_theme(theme))

    def _draws_again(self, change: Callable[[], None]) -> None:
        self.evaluate("delete document.documentElement.dataset.charts")
        change()
        self.wait_for(CHARTS_DRAWN)

    def set_width(self, width: int, height: int = 900) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        self._width = width

    def set_theme(self, theme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.command("Emulation.setEmulatedMedia", features=features)
        self._theme = theme

    def picture(self, path: Path, width: int, height: int | None = None) -> None:
        """Saves the whole page, or its top, as PNG."""
        self.set_width(width, height or 900)
        time.sleep(1)
        answer = self.command("Page.captureScreenshot", captureBeyondViewport=height is None)
        path.write_bytes(base64.b64decode(answer["data"]))

    def on_event(self, method: str, parameters: dict[str, Any]) -> None:
        """Notes what the page did."""
        if method == "Page.loadEventFired":
            self.n_loads += 1
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "warning"}:
            self.errors.append(" ".join(str(a.get("value", a)) for a in parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in {"error", "warning"}:
            self.errors.append(parameters["entry"]["text"])


class Browser:
    """A running Chromium; messages are JSON ended by a zero byte."""

    def __init__(self, read_end: int, write_end: int) -> None:
        self._read_end, self._write_end = read_end, write_end
        self._buffer = b""
        self._last_id = 0
        self._pages: dict[str, Page] = {}

    def open(
        self,
        place: Path | str,
        width: int = 1280,
        height: int = 900,
        ready: str = CHARTS_DRAWN,
        theme: str = "light",
    ) -> Page:
        """Opens a file, or an address, in a new tab and waits until it is ready: charts drawn.

        theme: what the reader's system has. Nothing is remembered there of other tabs: it is a
        reader's first visit.
        """
        context = self.command("Target.createBrowserContext", {})["browserContextId"]
        target = self.command(
            "Target.createTarget", {"url": "about:blank", "browserContextId": context}
        )
        session = self.command(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        page = Page(self, session["sessionId"], target["targetId"], context)
        self._pages[session["sessionId"]] = page
        for domain in ("Network", "Runtime", "Log", "Page"):
            page.command(f"{domain}.enable")
        page.set_width(width, height)
        page.set_theme(theme)
        address = place if isinstance(place, str) else place.resolve().as_uri()
        page.command("Page.navigate", url=address)
        page.wait_for(ready)
        return page

    def close(self, page: Page) -> None:
        """Closes a tab, which goes on taking time otherwise."""
        self.command("Target.closeTarget", {"targetId": page.target_id})

    def command(
        self, method: str, parameters: dict[str, Any], session_id: str | None = None
    ) -> dict[str, Any]:
        """Sends one command and handles what arrives until its answer does."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        if session_id:
            message["sessionId"] = session_id
        os.write(self._write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            page = self._pages.get(answer.get("sessionId", ""))
            # An answer that comes too late, to a command of a test that has failed, is no event.
            if page and "method" in answer:
                page.on_event(answer["method"], answer["params"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read_end], [], [], TIMEOUT_SECONDS)
            part = os.read(self._read_end, 1 << 20) if ready else b""
            assert part, "Chromium has ended or does not answer"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Starts Chromium and ends it with all that it started."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.fail(
            f"none of {', '.join(PROGRAMS)} is on PATH. "
            "Hint: install Chromium, for instance by `apt-get install chromium`"
        )
    commands, answers = os.pipe(), os.pipe()

    def take_pipes() -> None:
        # Chromium reads commands from descriptor 3 and writes answers to 4. The pipes may have
        # these very numbers, so they are first copied out of the way.
        read_end, write_end = (os.dup2(end, 100 + end) for end in (commands[0], answers[1]))
        os.dup2(read_end, 3)
        os.dup2(write_end, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}"],
            # Python's own descriptors are closed on exec anyhow; 3 and 4 must not be.
            close_fds=False,
            preexec_fn=take_pipes,  # noqa: PLW1509 - tests start no threads beside it
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands[0])
        os.close(answers[1])
        browser = Browser(answers[0], commands[1])
        try:
            yield browser
            browser.command("Browser.close", {})
        finally:
            os.close(commands[1])
            os.close(answers[0])
            process.terminate()
            process.wait(timeout=TIMEOUT_SECONDS)
