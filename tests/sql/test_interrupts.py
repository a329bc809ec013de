"""Ctrl-C in a real terminal: while a query runs, while a table is printed, while typing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.services.terminal import CTRL_C, CTRL_D, Terminal, terminal
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

# Each runs for minutes: in one long step, in steps of a recursion, and while rows are written.
ENDLESS = {
    "one step": "select count(*) from range(100000000) a, range(100000) b "
    "where (a.range + b.range) % 7 = 8",
    "recursion": "with recursive r as (select 1::hugeint as n union all select n + 1 from r) "
    "select count(*) from r",
    "sort": "select * from range(100000000000) order by hash(range)",
}
_SECONDS_TO_STOP = 10


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("standard"), SyntheticModel("adhd", seed=1)]
    return write_synthetic_dataset(tmp_path_factory.mktemp("interrupts") / "dataset", models)


def command(dataset: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "headswap", "sql", str(dataset), *words]


@pytest.fixture(params=["default", "sandbox"])
def shell(request: pytest.FixtureRequest, dataset: Path, tmp_path: Path) -> Iterator[Terminal]:
    options = ["--sandbox"] if request.param == "sandbox" else []
    with terminal(command(dataset, *options), {"XDG_STATE_HOME": str(tmp_path)}) as opened:
        opened.read_until("headswap> ")
        yield opened
        # Whatever was interrupted, the prompt is as good as before.
        opened.type("select 40 + 2 as n;\n")
        assert "42" in opened.read_until("headswap> ")
        opened.type(CTRL_D)
        assert opened.wait() == 0


@pytest.mark.parametrize("query", ENDLESS.values(), ids=ENDLESS)
def test_a_query_stops_and_the_prompt_stays(query: str, shell: Terminal) -> None:
    shell.type(f"{query};\n")
    shell.read_until(";")
    time.sleep(1)
    began = time.monotonic()
    shell.type(CTRL_C)
    assert "Traceback" not in shell.read_until("interrupted")
    shell.read_until("headswap> ")
    assert time.monotonic() - began < _SECONDS_TO_STOP


def test_a_table_stops_and_the_prompt_stays(shell: Terminal) -> None:
    shell.type(".rows all\n")
    shell.read_until("headswap> ")
    shell.type("select range as n from range(90000);\n")
    shell.read_until("1000\r\n")
    shell.type(CTRL_C)
    assert "Traceback" not in shell.read_until("interrupted")
    assert "89999" not in shell.read_until("headswap> ")


def test_typing_is_forgotten_and_the_prompt_stays(shell: Terminal) -> None:
    shell.type("select nonsense\n")
    shell.read_until("...> ")
    shell.type("and more")
    shell.read_until("and more")
    # A signal between Python's look for signals and readline's wait for a key is seen only at the
    # next key: a window that a program typing at once can hit, and a person cannot.
    time.sleep(0.5)
    shell.type(CTRL_C)
    shell.read_until("headswap> ")


@pytest.mark.parametrize("options", [[], ["--sandbox"], ["--format=csv"]], ids=str)
@pytest.mark.parametrize("query", ENDLESS.values(), ids=ENDLESS)
def test_a_single_query_ends_with_130(
    query: str, options: list[str], dataset: Path, tmp_path: Path
) -> None:
    with terminal(command(dataset, query, *options)) as program:
        time.sleep(2)
        began = time.monotonic()
        program.type(CTRL_C)
        assert program.wait() == 130
        assert time.monotonic() - began < _SECONDS_TO_STOP
        assert "headswap: interrupted" in program.seen
        assert "Traceback" not in program.seen


def test_a_single_table_ends_with_130(dataset: Path) -> None:
    query = "select range as n from range(90000)"
    with terminal(command(dataset, query, "--rows=all")) as program:
        program.read_until("1000\r\n")
        program.type(CTRL_C)
        assert program.wait() == 130
        assert "headswap: interrupted" in program.seen
        assert "Traceback" not in program.seen
        assert "89999" not in program.seen
