"""The runs of a study, remembered: one line of JSON each in `runs.jsonl`, beside the pages.

A line is written in one piece and never changed. A process that was killed, or a full disk, may
leave a torn line at the end: it stays in the file, the line after it says so, and it counts as no
run.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.files import writing_to
from ingest.kernel.typed import decode_json

RUNS_NAME = "runs.jsonl"
HISTORY_NAME = "history.html"


@dataclass(frozen=True)
class PairNumbers:
    """The published criterion, asked of the reference head and one other model.

    match: the head with the most alike profile, as in adhd:L3H0; None, as its cosine, where
    profiles are undefined. p_value: of the reference head's counterpart by the test of `verdicts`,
    None where nothing was tested.
    """

    model: str
    match: str | None
    cosine: float | None
    same_index_reference: float | None
    same_index_match: float | None
    p_value: float | None
    holds: bool


@dataclass(frozen=True)
class ClaimNumbers:
    """A claim of the study, with the columns of the view `claims`; None for what is undefined."""

    claim: str
    model_a: str
    layer_a: int
    head_a: int
    model_b: str
    layer_b: int
    head_b: int
    test: str
    similarity: str | None
    value: float | None
    bound: float | None
    p_family: float | None
    holds: bool


@dataclass(frozen=True)
class Run:
    """A run that came to its end, whether its claims held or not.

    time: when it began, UTC, ISO 8601 with seconds. headswap: the version. dataset: the manifest's
    SHA-256. fingerprint, row_files: as `reports.study.basis` makes them. page, files: the page that
    the run named, and the SHA-256 of every page by name. unchanged: nothing was made anew, and the
    numbers are those of the run before. reference: the head, as in standard:L2H2.
    """

    time: str
    headswap: str
    dataset: str
    fingerprint: str
    row_files: str
    page: str
    files: dict[str, str]
    unchanged: bool
    seconds: float
    models: tuple[str, ...]
    n_prompts: int
    reference: str
    pairs: tuple[PairNumbers, ...]
    claims: tuple[ClaimNumbers, ...]


@dataclass(frozen=True)
class _Line:
    """What a line says of the file. after_torn_line: the line before it was torn."""

    after_torn_line: bool = False


@dataclass(frozen=True)
class Change:
    """A verdict that is not that of the run before. time, since: of this run and of that.

    kind: claim (of the study) or swap (the published claim, asked of the reference head and one
    other model). holds: what this run says; the run before said the opposite.
    """

    time: str
    since: str
    kind: str
    subject: str
    holds: bool

    def __str__(self) -> str:
        turn = "failed, now holds" if self.holds else "held, now fails"
        return f'{self.kind} changed since {self.since}: "{self.subject}" {turn}'


def changes(runs: Sequence[Run]) -> tuple[Change, ...]:
    """The verdicts that changed from each run to the next, in the order of the runs.

    What only one of the two runs asked, because the study was edited between them, is no change.

    >>> from dataclasses import replace
    >>> claim = ClaimNumbers(
    ...     "a:L0H0 ~ b:L0H1 best match",
    ...     "a",
    ...     0,
    ...     0,
    ...     "b",
    ...     0,
    ...     1,
    ...     "best match",
    ...     "profile",
    ...     value=0.98,
    ...     bound=0.98,
    ...     p_family=None,
    ...     holds=True,
    ... )
    >>> rest = {
    ...     "headswap": "0.1.0",
    ...     "dataset": "",
    ...     "fingerprint": "",
    ...     "row_files": "",
    ...     "page": "index.html",
    ...     "files": {},
    ...     "unchanged": False,
    ...     "seconds": 1.5,
    ...     "models": ("a", "b"),
    ...     "n_prompts": 12,
    ...     "reference": "a:L0H0",
    ...     "pairs": (),
    ... }
    >>> first = Run(time="2026-11-23T10:00:00Z", claims=(claim,), **rest)
    >>> second = Run(time="2026-11-24T10:00:00Z", claims=(replace(claim, holds=False),), **rest)
    >>> print(*changes([first, second]))
    claim changed since 2026-11-23T10:00:00Z: "a:L0H0 ~ b:L0H1 best match" held, now fails
    """
    found = []
    for before, run in itertools.pairwise(runs):
        earlier = _verdicts(before)
        for (kind, subject), holds in _verdicts(run).items():
            if earlier.get((kind, subject), holds) != holds:
                found.append(Change(run.time, before.time, kind, subject, holds))
    return tuple(found)


def _verdicts(run: Run) -> dict[tuple[str, str], bool]:
    """Whether each claim and swap holds, by kind and subject."""
    swaps = {("swap", f"{run.reference} in {pair.model}"): pair.holds for pair in run.pairs}
    return swaps | {("claim", claim.claim): claim.holds for claim in run.claims}


def run_line(run: Run) -> str:
    """A run as one line of JSON, without its end."""
    return json.dumps(asdict(run), allow_nan=False)


def append_run(folder: Path, run: Run) -> None:
    """Adds a run to those of a report folder, in one write that is on the disk when this returns.

    Raises: HeadswapError where the operating system refuses, or wrote less than the line.
    """
    path = folder / RUNS_NAME
    with writing_to(path):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            text = run_line(run)
            if _ends_torn(descriptor):
                text = "\n" + json.dumps(asdict(_Line(after_torn_line=True)) | json.loads(text))
            line = f"{text}\n".encode()
            n_written = os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    if n_written != len(line):
        raise HeadswapError(
            f"{path} took {n_written} of the {len(line)} bytes that tell of this run",
            hint="make room on its disk; the torn line counts as no run",
        )


def _ends_torn(descriptor: int) -> bool:
    """Whether a file's last line has no end."""
    size = os.fstat(descriptor).st_size
    if not size:
        return False
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) != b"\n"


def read_runs(folder: Path) -> tuple[Run, ...]:
    """The runs that a report folder remembers, the earliest first; what was torn is told on stderr.

    Raises: InputError, naming file and line, where a line that was not torn is no run;
    HeadswapError where the file cannot be read.
    """
    path = folder / RUNS_NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise HeadswapError(f"{path} cannot be read: {error.strerror or error}") from error
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    runs: list[Run] = []
    torn: list[int] = []
    # From the last line to the first: the one after a torn line says that it was torn.
    may_be_torn = not content.endswith(b"\n")
    for number, line in reversed(list(enumerate(lines, start=1))):
        try:
            run = decode_json(line, Run)
            datetime.fromisoformat(run.time)
            follows_torn = decode_json(line, _Line).after_torn_line
        except ValueError as error:
            if not may_be_torn:
                raise InputError(
                    f"{path}, line {number}: not the record of a run ({error})",
                    hint=f"remove the line, or move {RUNS_NAME} away to begin anew",
                ) from error
            torn.append(number)
        else:
            runs.append(run)
            may_be_torn = follows_torn
    if torn:
        places = ", ".join(f"line {number}" for number in reversed(torn))
        counted = f"{len(runs)} run{'s' * (len(runs) != 1)} counted"
        print(f"{path}: {places} torn, by a run that was stopped; {counted}", file=sys.stderr)
    return tuple(reversed(runs))
