"""The command `headswap serve`."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from ingest.kernel.command_line import json_option
from sql.console.options import parameter_options, place_argument, sandbox_options

if TYPE_CHECKING:
    from sql.access.limits import Limits
    from sql.parameters import Parameters


@click.command
@place_argument
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    help="the address to listen on (default: 127.0.0.1, which only this machine reaches)",
)
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=0,
    help="the port to listen on (default: 0, one that is free)",
)
@click.option("--open", "is_opened", is_flag=True, help="open the first page in the browser")
@sandbox_options
@parameter_options
@json_option("the address")
def command(
    dataset: Path | str,
    host: str,
    port: int,
    is_opened: bool,
    limits: Limits,
    parameters: Parameters,
    as_json: bool,
) -> int:
    """Serves the pages of a dataset until Ctrl-C, and prints the address that opens them."""
    import webbrowser

    from reports.serve.answer import Asking
    from reports.serve.live_site import live_site
    from reports.serve.server import Server, address_of, is_loopback, listening, new_token, serve

    asking, token = Asking(dataset, parameters, limits), new_token()
    with _ended_by_the_system(), listening(host, port) as opened, live_site(asking) as site:
        address = f"{address_of(host, opened)}/{token}/index.html"
        print(json.dumps({"address": address}) if as_json else address, flush=True)
        if not is_loopback(host):
            print(
                f"whoever reaches {host} and has this address can query the dataset; what they "
                "ask and get is not encrypted",
                file=sys.stderr,
            )
        print("Ctrl-C ends it", file=sys.stderr, flush=True)
        if is_opened:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            serve(opened, Server(site, asking, token, host))
    return 0


@contextmanager
def _ended_by_the_system() -> Iterator[None]:
    """Within, SIGTERM ends the program as an exception does, so that nothing is left behind."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
