"""The site over HTTP: its pages, and the questions of the page Ask, to whoever has the address.

The first part of every path is a token, so that nothing is told and nothing asked by a page of
another site, which does not know it. A cookie would be sent by such a page, too, and to every
program on this machine that listens on another port.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import FrameType
from typing import TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from ingest.kernel.errors import HeadswapError, InputError
from reports.serve.answer import Answering, Asking
from reports.serve.live_site import LiveSite
from reports.site.rendering import MENU

# Questions that are answered at a time; a further one waits.
AT_ONCE = 2
# Characters; no person writes a longer one.
MOST_OF_A_QUESTION = 100_000
# How soon it is seen that whoever asked has gone.
_LOOK_SECONDS = 0.1
# How long the end waits for what is being answered, which was ended: for a page, at most.
_PATIENCE_SECONDS = 20
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


T = TypeVar("T")
# What answers a request of ours.
Answer = Callable[[Request], Awaitable[Response]]


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Yields a socket that listens. port: 0 for one that is free.

    Raises: InputError where there is no such address here, or another program has the port.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        opened = socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            hint="choose another --port, or none for one that is free; --host is an address of "
            "this machine",
        ) from error
    with opened:
        yield opened


def address_of(host: str, opened: socket.socket) -> str:
    """What a browser calls a socket."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{opened.getsockname()[1]}"


def serve(opened: socket.socket, server: Server) -> None:
    """Answers requests until Ctrl-C, or until the system ends the program."""
    config = uvicorn.Config(
        server.app(),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_PATIENCE_SECONDS,
    )
    _Program(config, server).run(sockets=[opened])


class _Program(uvicorn.Server):
    """Uvicorn, which as it ends waits for what is being answered."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._server = server

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends at a signal."""
        self._server.end()
        super().handle_exit(sig, frame)


class Server:
    """Answers the requests of a session. host: the address that it listens on."""

    def __init__(self, site: LiveSite, asking: Asking, token: str, host: str) -> None:
        self._site, self._asking, self._token = site, asking, token
        # Whoever listens to others is reached by names that only they know.
        self._is_local = is_loopback(host)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._running: set[Answering] = set()
        self._is_ending = False

    def end(self) -> None:
        """Ends what is being answered, and at once what is asked from now on."""
        self._is_ending = True
        for answering in self._running:
            answering.end()

    def app(self) -> Starlette:
        """The program that uvicorn runs."""
        routes = [
            Route("/{token}", self._guarded(self._first)),
            Route("/{token}/", self._guarded(self._first)),
            Route("/{token}/query", self._guarded(self._query), methods=["POST"]),
            Route("/{token}/{name}.html", self._guarded(self._page)),
        ]
        return Starlette(
            routes=routes, exception_handlers={HTTPException: _refused, HeadswapError: _failed}
        )

    def _guarded(self, answer: Answer) -> Answer:
        async def guarded(request: Request) -> Response:
            self._check(request)
            response = await answer(request)
            response.headers.update(_HEADERS)
            return response

        return guarded

    def _check(self, request: Request) -> None:
        """Raises: HTTPException where the request is not from a page of this session."""
        given = request.path_params["token"]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            raise HTTPException(404, "there is nothing here: the address lacks the session's token")
        # A name that leads here though its owner is another site (DNS rebinding).
        if self._is_local and not is_loopback(request.url.hostname or ""):
            raise HTTPException(403, "this is only for addresses of this machine")
        origin = request.headers.get("origin")
        if origin is not None and origin != f"{request.url.scheme}://{request.headers['host']}":
            raise HTTPException(403, "this is not for pages of other sites")
        # A link that a person follows may stand anywhere.
        is_followed = (
            request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
        )
        comes_from = request.headers.get("sec-fetch-site", "none")
        if comes_from not in ("none", "same-origin") and not is_followed:
            raise HTTPException(403, "this is not for pages of other sites")

    async def _first(self, request: Request) -> Response:
        return RedirectResponse(f"/{self._token}/index.html")

    async def _page(self, request: Request) -> Response:
        name = request.path_params["name"]
        text = await _aside(partial(self._site.page, name)) if name in MENU else None
        if text is None:
            raise HTTPException(404, "this dataset has no such page")
        return HTMLResponse(text)

    async def _query(self, request: Request) -> Response:
        sql = await _question(request)
        async with self._turns:
            answering = await asyncio.to_thread(Answering, self._asking, sql)
            self._running.add(answering)
            try:
                if self._is_ending:
                    answering.end()
                async with _ended_with(request, answering):
                    content = await asyncio.to_thread(answering.wait)
            finally:
                self._running.remove(answering)
        return Response(content, media_type="application/json")


async def _question(request: Request) -> str:
    """The question that a request asks.

    Raises: HTTPException where it asks none, or another than a page of ours would.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, 'a question is JSON: {"sql": "select 1"}')
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_OF_A_QUESTION:
            raise HTTPException(413, f"a question has at most {MOST_OF_A_QUESTION:,} characters")
    try:
        sql = json.loads(body)["sql"]
    except (ValueError, KeyError, TypeError) as error:
        raise HTTPException(400, 'a question is JSON: {"sql": "select 1"}') from error
    if not isinstance(sql, str):
        raise HTTPException(400, 'a question is JSON: {"sql": "select 1"}')
    return sql


async def _aside(function: Callable[[], T]) -> T:
    """What a function returns, in a thread that the end of the program does not wait for."""
    found: Future[T] = Future()

    def run() -> None:
        found.set_running_or_notify_cancel()
        try:
            found.set_result(function())
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(found)


@asynccontextmanager
async def _ended_with(request: Request, answering: Answering) -> AsyncIterator[None]:
    """Ends what is being answered, within, as soon as whoever asked has gone."""

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(_LOOK_SECONDS)
        answering.end()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        answering.end()


async def _refused(request: Request, error: Exception) -> PlainTextResponse:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"headswap: {error.detail}\n", error.status_code, headers=_HEADERS)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HeadswapError)
    status = 400 if isinstance(error, InputError) else 503
    return JSONResponse({"error": str(error), "hint": error.hint}, status, headers=_HEADERS)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is of this machine alone.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "a.org")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
