"""Commands run as from a terminal: each in a process that no earlier test has left threads in.

Starting Python for each would take most of the time. One process imports what `headswap sql` needs
and does nothing else; every command is a fork of it.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.running import Outcome, Run


@contextmanager
def fresh_processes(environment: dict[str, str]) -> Iterator[Run]:
    """Yields what runs `headswap` with the given words and returns its outcome."""
    command = [sys.executable, "-m", "tests.support.fresh"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin
    assert process.stdout
    questions, answers = process.stdin, process.stdout

    def run(*words: object) -> Outcome:
        questions.write(json.dumps([str(word) for word in words]) + "\n")
        questions.flush()
        return Outcome(**json.loads(answers.readline()))

    try:
        yield run
    finally:
        questions.close()
        process.wait()
        answers.close()


def main() -> None:
    """Answers a JSON line of words with a JSON line of code, out and err."""
    for name in (
        "headswap",
        "sql.console.sql_command",
        "sql.access.confine",
        "sql.console.output",
        "sql.session",
    ):
        importlib.import_module(name)  # once, for all forks
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                _run(json.loads(line), out, err)
            _, status = os.waitpid(pid, 0)
            texts = {"out": _text(out), "err": _text(err)}
        answer = {"code": os.waitstatus_to_exitcode(status), **texts}
        print(json.dumps(answer), flush=True)


def _run(words: list[str], out: IO[bytes], err: IO[bytes]) -> None:
    """What a fork does: it never returns into the program that it is a copy of."""
    import traceback

    import headswap

    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    code = 1
    try:
        code = headswap.main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


if __name__ == "__main__":
    main()
