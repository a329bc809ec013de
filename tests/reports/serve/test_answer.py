"""What a question's process that fails is told as."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.kernel.errors import HeadswapError
from reports.serve.answer import Answering, Asking
from sql.access.limits import SANDBOX
from sql.parameters import Parameters

ASK = "select sum(a.range * b.range) from range(100_000_000) as a, range(100) as b"


def test_a_bug_is_not_told_as_lack_of_memory(small: Path) -> None:
    without_bound = Asking(small, Parameters(), replace(SANDBOX, memory=None))
    with pytest.raises(HeadswapError, match="was not answered: its process failed"):
        Answering(without_bound, "select 1").wait()


def test_a_process_that_is_killed_is_told_as_lack_of_memory(small: Path) -> None:
    asked = Answering(Asking(small, Parameters(), SANDBOX), ASK)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(HeadswapError, match="took more memory than it may"):
        asked.wait()


def test_a_question_that_is_ended_is_told_as_stopped(small: Path) -> None:
    asked = Answering(Asking(small, Parameters(), SANDBOX), ASK)
    asked.end()
    with pytest.raises(HeadswapError, match="the question was stopped"):
        asked.wait()
