"""Starting Spark, or taking the Spark that this program already has."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import tempfile
import threading
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.kernel.errors import HeadswapError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_STANDALONE = "spark://"
_PATIENCE = 10.0  # seconds
_PACKAGES = ("pyspark", "sqlglot")
# Beside those of Spark's own configuration, spark-defaults.conf.
_SETTINGS = {
    "spark.app.name": "headswap",
    "spark.ui.showConsoleProgress": "false",
    # A query that was stopped gives its cores back: one deep in a join does not hear of it, so that
    # its executor is ended, and the cluster starts another.
    "spark.task.reaper.enabled": "true",
    "spark.task.reaper.pollingInterval": "1s",
    "spark.task.reaper.killTimeout": "5s",
}


def spark_errors() -> tuple[type[Exception], ...]:
    """What a call of Spark raises: that of work that failed, or of a Java process that died."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return PySparkException, Py4JError, OSError


def check_installed() -> None:
    """Raises: InputError where a package or Java is missing, with what to install."""
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"the engine spark needs packages that are not installed: {', '.join(missing)}",
            hint="pip install 'headswap[spark]'",
        )
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else shutil.which("java")
    if java is None or not Path(java).exists():
        where = f"none in JAVA_HOME, {home}" if home else "no program java on PATH"
        raise InputError(
            f"the engine spark needs Java, and there is {where}",
            hint="install Java 17 or 21, for instance by `apt-get install openjdk-17-jre-headless`",
        )


def start_spark(master: str | None) -> tuple[Any, Callable[[], None]]:
    """A Spark session of its own, and what ends it.

    A program that has a Spark already, a notebook for instance, keeps it: the session is one more
    of its, and ends without it.

    Raises: InputError where Spark runs on another master than the one asked for; HeadswapError
    where it does not start.
    """
    with warnings.catch_warnings():
        # Of pandas, which may be there and is not used.
        warnings.simplefilter("ignore", FutureWarning)
        import pyspark.testing.utils  # noqa: F401 - else imported where it cannot be seen
    from pyspark import SparkContext
    from pyspark.logger import PySparkLogger
    from pyspark.sql import SparkSession

    # It repeats on stderr what is raised.
    PySparkLogger.getLogger("SQLQueryContextLogger").disabled = True
    running = SparkContext._active_spark_context
    if running is not None:
        if master is not None and running.master != master:
            raise InputError(
                f"this program already runs Spark on {running.master}, not on {master}",
                hint="leave the master out, or stop that Spark first",
            )
        return SparkSession.builder.getOrCreate().newSession(), lambda: None
    if master is not None and master.startswith(_STANDALONE):
        _check_answers(master)
    context = _started(master)
    return SparkSession(context), partial(_stop, context)


def _stop(context: Any) -> None:
    with suppress(OSError):  # its Java process has died
        context.stop()


def _check_answers(master: str) -> None:
    """Raises: HeadswapError where no master is there, for which Spark would wait for a minute."""
    for place in master.removeprefix(_STANDALONE).split(","):
        host, _, port = place.rpartition(":")
        if not host or not port.isascii() or not port.isdigit():
            raise InputError(f"{master!r} is no master", hint="write it as spark://HOST:7077")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
        except (OSError, OverflowError):
            continue
        return
    raise HeadswapError(
        f"no Spark master answers at {master}", hint="check the address, and that the cluster runs"
    )


def _started(master: str | None) -> Any:
    """A new context, whose Java process says what it says into a file."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    handler = signal.getsignal(signal.SIGINT)
    settings = SparkConf(loadDefaults=False)
    for name, value in _SETTINGS.items():
        settings.set(name, value)
    if master is not None:
        settings.set("spark.master", master)
    with tempfile.TemporaryFile() as log:
        try:
            # One Java process serves a program to its end, whatever Spark it starts.
            gateway = SparkContext._gateway or launch_gateway(settings, {"stderr": log})
            return SparkContext(conf=settings, gateway=gateway)
        except spark_errors() as error:
            raise HeadswapError(
                f"Spark did not start: {_reason(error, log)}",
                hint="check the master's address, and that Java is 17 or 21",
            ) from error
        finally:
            # Ctrl-C stays with this program, which ends what Spark does itself.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)


def _reason(error: Exception, log: Any) -> str:
    """The line in which Spark says it: of the exception, else the last of what it printed."""
    java = getattr(error, "java_exception", None)
    text = str(java.toString() if java is not None else error)
    log.seek(0)
    printed = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    if "JAVA_GATEWAY_EXITED" in text and printed:
        text = next(
            (line for line in printed if "Exception" in line or "Error" in line), printed[-1]
        )
    return " ".join(text.splitlines()[0].split())
