"""Ingests that are killed, interrupted or run side by side: each in a process of its own.

`python -m tests.support.interrupted 100 20 10` kills 100 ingests at random moments and runs them
again, runs 20 times two at once, and presses Ctrl-C in 10. It prints how many did not end like an
undisturbed one, and how long it took from Ctrl-C to the end.
"""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import headswap
from ingest.dataset.reader import open_dataset
from ingest.dataset.verification import verify
from ingest.dataset.writer import AttentionFile
from ingest.kernel.errors import DatasetError
from ingest.kernel.files import sha256_of
from ingest.producers import attention
from ingest.producers.batches import plan_batches
from ingest.prompts.prompt_set import PAIRED_TASKS
from sql.graph.export import VIEWS_FILE
from tests.support.running import REFERENCE

# One prompt a batch, so that a small ingest has many files and many moments to die in.
_TOKENS_PER_BATCH = 1
_N_PROMPTS = 5
_PATIENCE = 600.0  # seconds
# What an ingest would import at its first use, too: each process would do it for itself.
_IMPORTED = (
    "ingest.command",
    "ingest.models.load",
    "ingest.pipeline",
    "ingest.repair",
    "sql.console.sql_command",
    "sql.graph.export",
    "sql.console.output",
    "sql.session",
    "sql.console.verify_command",
    "torch.utils.serialization.config",
    "transformer_lens.model_bridge.sources.transformers_driver",
)


class Process:
    """A process that runs `headswap` with the given words, after `prepare` where there is one.

    log: what it prints. `prepare` and its arguments are pickled.
    """

    def __init__(
        self, words: Sequence[object], log: Path, prepare: Callable[[], object] | None = None
    ) -> None:
        self.log = log
        target = [str(word) for word in words], log, prepare
        self._process = _server().Process(target=_run, args=target)
        self._process.start()

    def wait(self) -> int:
        """Waits for its end; returns the exit code, negative for a signal."""
        self._process.join(_PATIENCE)
        if self._process.exitcode is None:
            self.kill()
            raise TimeoutError(f"{self.log.read_text()}: still running after {_PATIENCE} s")
        return self._process.exitcode

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()


@cache
def _server() -> ForkServerContext:
    """Forks processes from one that imported what they need and did nothing else: none hangs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


def _run(words: list[str], log: Path, prepare: Callable[[], object] | None) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    attention.plan_batches = functools.partial(  # type: ignore[attr-defined]
        plan_batches, tokens_per_batch=_TOKENS_PER_BATCH
    )
    if prepare:
        prepare()
    sys.exit(headswap.main(words))


def ingest_words(out: Path, names: Sequence[str] = ("standard", "adhd")) -> list[str]:
    """An ingest of the reference models over a few prompts, which lie beside `out`."""
    prompts = out.parent / "prompts.jsonl"
    if not prompts.exists():
        lines = PAIRED_TASKS.read_text(encoding="utf-8").splitlines()
        standard = [line for line in lines if json.loads(line)["variant"] == "standard"]
        prompts.write_text("\n".join(standard[:_N_PROMPTS]), encoding="utf-8")
    models = [f"--model={name}={REFERENCE / name}" for name in names]
    return ["ingest", *models, f"--prompts={prompts}", "--out", str(out)]


def content(dataset: Path) -> dict[str, str]:
    """The SHA-256 of every file of a dataset; of its views without the folder that they name."""
    paths = (path for path in dataset.rglob("*") if path.is_file())
    return {
        str(path.relative_to(dataset)): hashlib.sha256(views_anywhere(path).encode()).hexdigest()
        if path.name == VIEWS_FILE
        else sha256_of(path)
        for path in paths
    }


def views_anywhere(file: Path) -> str:
    """The text of `views.sql` without the lines that say where its dataset lies."""
    folder = str(file.parent.resolve())
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(
        line
        for line in lines
        if folder not in line and not line.startswith(("-- Made from ", "); -- "))
    )


def is_complete(dataset: Path) -> bool:
    """What a reader sees: False for no dataset yet, True for a sound one.

    Raises: DatasetError or AssertionError where it sees anything else.
    """
    try:
        open_dataset(dataset)
    except DatasetError as error:
        if "is not a dataset" in str(error) or "is not a folder" in str(error):
            return False
        raise
    problems = [
        problem
        for check in verify(dataset)
        for problem in check.problems
        # The files to come, and the card, stand there before the manifest; its copy follows.
        if not problem.is_superfluous and check.name not in ("card", "manifest")
    ]
    assert not problems, problems
    return True


def kill_and_resume(out: Path, log: Path, delay: float) -> tuple[bool, int]:
    """Kills an ingest after `delay` seconds and runs it again to its end.

    Readers look all the while. Returns whether the kill came before the end, and how many files
    were taken over.
    """
    process = Process(ingest_words(out), log)
    deadline = time.monotonic() + delay
    while time.monotonic() < deadline:
        is_complete(out)
        time.sleep(0.001)
    process.kill()
    was_killed = process.wait() == -signal.SIGKILL
    is_complete(out)
    parts = len(list(out.rglob("part-*.parquet")))
    assert Process(ingest_words(out), log).wait() == 0, log.read_text()
    assert is_complete(out)
    return was_killed, parts


def race(out: Path) -> int:
    """Starts two ingests into one dataset at once; returns how many were refused.

    Raises: AssertionError where neither wins, one fails for another reason, or it is not sound.
    """
    logs = [out.parent / f"{out.name}-{side}.txt" for side in range(2)]
    processes = [Process(ingest_words(out), log) for log in logs]
    codes = [process.wait() for process in processes]
    texts = [log.read_text() for log in logs]
    assert 0 in codes, texts
    for code, text in zip(codes, texts, strict=True):
        # 0 also for one that came when the other was done: then there was nothing left to do.
        assert code == 0 or "another ingest" in text, text
    assert is_complete(out)
    return len([code for code in codes if code])


def interrupt_at(last: int, sign: Path | None = None) -> None:
    """Makes this process press its own Ctrl-C once it has written the given layer of a batch.

    sign: a file that is made at that moment.
    """
    write_layer = AttentionFile.write_layer

    def write_and_interrupt(self: AttentionFile, layer: int, weights: Any) -> None:
        write_layer(self, layer, weights)
        if layer == last:
            if sign:
                sign.touch()
            os.kill(os.getpid(), signal.SIGINT)

    AttentionFile.write_layer = write_and_interrupt  # type: ignore[method-assign]


def die_after(n_files: int) -> None:
    """Makes the process kill itself when it has written so many files and part of the next."""
    written = 0
    write_layer = AttentionFile.write_layer

    def write_and_die(self: AttentionFile, layer: int, weights: Any) -> None:
        nonlocal written
        write_layer(self, layer, weights)
        written += layer == 0
        if written > n_files:
            os.kill(os.getpid(), signal.SIGKILL)

    AttentionFile.write_layer = write_and_die  # type: ignore[method-assign]


def interrupt_and_resume(out: Path, log: Path, layer: int) -> float:
    """Presses Ctrl-C in an ingest and runs it again; returns the seconds until it had stopped."""
    sign = out.parent / f"{out.name}-interrupted"
    code = Process(ingest_words(out), log, functools.partial(interrupt_at, layer, sign)).wait()
    seconds = time.time() - sign.stat().st_mtime
    assert code == 130, log.read_text()
    assert Process(ingest_words(out), log).wait() == 0, log.read_text()
    return seconds


def main(n_kills: int, n_races: int, n_interrupts: int, seed: int = 0) -> int:
    """Does what the module's text says; returns how many ended unlike an undisturbed one."""
    generator = random.Random(seed)
    differing = n_killed = n_partial = n_refused = 0
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        assert Process(ingest_words(Path(folder) / "warm-up"), log).wait() == 0
        began = time.monotonic()
        assert Process(ingest_words(Path(folder) / "undisturbed"), log).wait() == 0
        seconds = time.monotonic() - began
        expected = content(Path(folder) / "undisturbed")
        n_parts = len([name for name in expected if "part-" in name])
        for number in range(n_kills):
            out = Path(folder) / f"killed-{number}"
            was_killed, parts = kill_and_resume(out, log, generator.uniform(0, 1.1 * seconds))
            n_killed += was_killed
            n_partial += was_killed and 0 < parts < n_parts
            differing += content(out) != expected
            print(f"{number + 1}: killed {n_killed}, differing {differing}", file=sys.stderr)
        for number in range(n_races):
            out = Path(folder) / f"raced-{number}"
            n_refused += race(out)
            differing += content(out) != expected
            print(f"raced {number + 1}, refused {n_refused}", file=sys.stderr)
        stops = []
        for number in range(n_interrupts):
            out = Path(folder) / f"interrupted-{number}"
            stops.append(interrupt_and_resume(out, log, number % 3))
            differing += content(out) != expected
    print(
        f"{n_kills} ingests of {seconds:.1f} s: {n_killed} died, {n_partial} of them with some of "
        f"{n_parts} files written. {n_races} times two at once: one refused {n_refused} times, the "
        f"others came one after the other. Not like the undisturbed one: {differing}"
    )
    if stops:
        shown = ", ".join(f"{seconds:.2f}" for seconds in sorted(stops))
        print(f"seconds from Ctrl-C to the end: {shown}")
    return differing


if __name__ == "__main__":
    sys.exit(1 if main(*map(int, sys.argv[1:4])) else 0)
