"""Progress: silent while work is short, a bar on a terminal, lines elsewhere."""

from __future__ import annotations

from io import StringIO

import pytest

from ingest.kernel.progress import Progress


class Clock:
    """The time, as the work and tqdm see it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for name in ("time.monotonic", "time.time", "tqdm.std.time"):
            monkeypatch.setattr(name, lambda: self.now)


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("stream", [Screen(), StringIO()], ids=["terminal", "file"])
def test_short_work_is_silent(stream: StringIO, clock: Clock) -> None:
    with Progress("standard", 1000, "rows", stream) as progress:
        for _ in range(10):
            clock.now += 0.19
            progress.add(100)
    assert stream.getvalue() == ""


def test_elsewhere_there_is_a_line_after_2_seconds_and_each_minute(clock: Clock) -> None:
    stream = StringIO()
    with Progress("standard", 5000, "rows", stream) as progress:
        for seconds in (1.0, 1.0, 28.0, 32.5, 62.5):
            clock.now += seconds
            progress.add(1000)
    lines = stream.getvalue().splitlines()
    assert [line.split("|")[0] for line in lines] == [
        "standard:  40%",
        "standard:  80%",
        "standard: 100%",
    ]
    assert "2.00k/5.00k [00:02<00:03, 1.00k rows/s]" in lines[0]
    assert "4.00k/5.00k [01:02<00:15, 64.0 rows/s]" in lines[1]


def test_on_a_terminal_one_line_is_redrawn_and_goes(clock: Clock) -> None:
    screen = Screen()
    with Progress("standard", 100, "pages", screen) as progress:
        for _ in range(100):
            clock.now += 0.1
            progress.add(1)
    assert "\n" not in screen.getvalue()
    drawn = screen.getvalue().split("\r")
    assert 30 < len([line for line in drawn if "pages/s" in line]) < 60
    assert drawn[-1] == ""
    assert drawn[-2].strip() == ""


def test_what_an_interrupted_run_had_done_counts_and_not_as_speed(clock: Clock) -> None:
    stream = StringIO()
    with Progress("standard", 10_000, "rows", stream) as progress:
        progress.skip(8000)
        for _ in range(2):
            clock.now += 2.0
            progress.add(1000)
    (line,) = stream.getvalue().splitlines()
    assert "90%" in line
    assert "500 rows/s, 8,000 from an interrupted run" in line
    assert progress.summary() == (
        "standard  100%  10,000 of 10,000 rows  500 rows/s  4.0 s  (8,000 from an interrupted run)"
    )


def test_a_total_may_be_unknown(clock: Clock) -> None:
    stream = StringIO()
    with Progress("verifying", None, "rows", stream) as progress:
        clock.now += 3.0
        progress.add(3000)
    assert "3.00k rows [00:03, 1.00k rows/s]" in stream.getvalue()
    assert progress.summary() == "verifying  100%  3,000 of 3,000 rows  1,000 rows/s  3.0 s"
