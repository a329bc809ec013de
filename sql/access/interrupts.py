"""Ctrl-C while DuckDB runs a query.

Python calls the handler of a signal between two of its own instructions, so often not before DuckDB
is done. The system, though, writes to a file descriptor at once (`signal.set_wakeup_fd`): a thread
that waits for it asks DuckDB to stop.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import duckdb

# A query that is only about to begin forgets that it was asked to stop, so it is asked again.
_ASK_AGAIN_SECONDS = 0.05
_END = b"\0"  # no signal has this number


@contextmanager
def interruptible(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Lets Ctrl-C stop what a connection does, within, and at its second press the program.

    Does nothing outside of the main thread, and where Ctrl-C is ignored.

    Raises: KeyboardInterrupt after Ctrl-C.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    is_interrupted = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        raise KeyboardInterrupt

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watcher = threading.Thread(target=_watch, args=(reading, connection), daemon=True)
    watcher.start()
    signal.signal(signal.SIGINT, on_signal)
    previous = signal.set_wakeup_fd(writing)
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        # DuckDB calls the handler as well, and makes an error of its own of what it raises.
        if not is_interrupted:
            raise
        failure = error
    finally:
        signal.set_wakeup_fd(previous)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(writing, _END)
        watcher.join()
        os.close(reading)
        os.close(writing)
    if is_interrupted:
        if failure:
            # Generators of DuckDB's that were left half done end now, while they still can.
            traceback.clear_frames(failure.__traceback__)
        raise KeyboardInterrupt from failure


def _watch(reading: int, connection: duckdb.DuckDBPyConnection) -> None:
    """Asks a connection to stop from the first signal on, and leaves the program at the second."""
    n_signals = 0
    while True:
        is_ready = select.select([reading], [], [], _ASK_AGAIN_SECONDS if n_signals else None)[0]
        received = os.read(reading, 1024) if is_ready else b""
        if _END in received:
            return
        n_signals += received.count(signal.SIGINT)
        if n_signals > 1:
            os._exit(130)
        if n_signals:
            connection.interrupt()
