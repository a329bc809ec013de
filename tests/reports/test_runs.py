"""The file that remembers runs: appended to, read, torn, malformed; and what changed in it."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.kernel.errors import HeadswapError, InputError
from reports.study.runs import (
    ClaimNumbers,
    PairNumbers,
    Run,
    append_run,
    changes,
    read_runs,
    run_line,
)

CLAIM = ClaimNumbers(
    claim="a:L0H0 ~ b:L0H1 best match",
    model_a="a",
    layer_a=0,
    head_a=0,
    model_b="b",
    layer_b=0,
    head_b=1,
    test="best match",
    similarity="profile",
    value=0.98,
    bound=0.98,
    p_family=None,
    holds=True,
)
PAIR = PairNumbers("b", "b:L0H1", 0.98, 0.9, None, 0.5, holds=True)
REMEMBERED = Run(
    time="2026-11-23T10:00:00Z",
    headswap="0.1.0",
    dataset="0" * 64,
    fingerprint="1" * 64,
    row_files="2" * 64,
    page="index.html",
    files={"index.html": "3" * 64},
    unchanged=False,
    seconds=2.0,
    models=("a", "b"),
    n_prompts=3,
    reference="a:L0H0",
    pairs=(PAIR,),
    claims=(CLAIM,),
)


def test_runs_are_read_as_they_were_appended(tmp_path: Path) -> None:
    assert read_runs(tmp_path / "nowhere") == ()
    later = replace(REMEMBERED, time="2026-11-24T10:00:00Z", pairs=(), claims=(), seconds=0.3)
    for run in (REMEMBERED, later):
        append_run(tmp_path / "made" / "for it", run)
    assert read_runs(tmp_path / "made" / "for it") == (REMEMBERED, later)


def test_what_a_later_headswap_adds_is_passed_over(tmp_path: Path) -> None:
    record = json.loads(run_line(REMEMBERED)) | {"mood": "good"}
    (tmp_path / "runs.jsonl").write_text(json.dumps(record) + "\n")
    assert read_runs(tmp_path) == (REMEMBERED,)


def test_a_torn_line_stays_and_counts_as_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    append_run(tmp_path, REMEMBERED)
    file = tmp_path / "runs.jsonl"
    whole = file.read_bytes()
    for n_bytes in (1, len(whole) // 2, len(whole) - 2):
        file.write_bytes(whole + whole[:n_bytes])
        assert read_runs(tmp_path) == (REMEMBERED,)
        assert f"{file}: line 2 torn, by a run that was stopped; 1 run counted" in _told(capsys)
    later = replace(REMEMBERED, time="2026-11-24T10:00:00Z")
    append_run(tmp_path, later)
    assert file.read_bytes().startswith(whole + whole[:n_bytes] + b"\n")
    assert read_runs(tmp_path) == (REMEMBERED, later)
    assert "line 2 torn, by a run that was stopped; 2 runs counted" in _told(capsys)
    # Twice in a row: the line that would say that one was torn is torn itself.
    file.write_bytes(whole + whole[:50] + b"\n" + whole[:70])
    assert read_runs(tmp_path) == (REMEMBERED,)
    assert "line 2, line 3 torn" in _told(capsys)


def test_a_line_that_lacks_only_its_end_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    append_run(tmp_path, REMEMBERED)
    file = tmp_path / "runs.jsonl"
    file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    append_run(tmp_path, REMEMBERED)
    assert read_runs(tmp_path) == (REMEMBERED, REMEMBERED)
    assert _told(capsys) == ""


def test_a_disk_without_room_is_told_and_leaves_a_torn_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    append_run(tmp_path, REMEMBERED)
    size = (tmp_path / "runs.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
    try:
        with pytest.raises(HeadswapError, match=r"took 20 of the \d+ bytes"):
            append_run(tmp_path, REMEMBERED)
        with pytest.raises(HeadswapError, match=r"cannot write .*runs\.jsonl"):
            append_run(tmp_path, REMEMBERED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    append_run(tmp_path, REMEMBERED)
    assert read_runs(tmp_path) == (REMEMBERED, REMEMBERED)
    assert "line 2 torn" in _told(capsys)


def _without(name: str) -> str:
    record = json.loads(run_line(REMEMBERED))
    del record[name]
    return json.dumps(record)


MALFORMED = {
    "no JSON": ("nothing", "JSON is malformed: invalid character (byte 4)"),
    "empty": ("", "Input data was truncated"),
    "no object": ("[]", "the value is a list, not a table of keys"),
    "a key missing": (_without("fingerprint"), "'fingerprint' is missing"),
    "a text for a number": (
        run_line(REMEMBERED).replace("2.0", '"2.0"'),
        "'seconds' is a text, not a number",
    ),
    "a number for a verdict": (
        run_line(REMEMBERED).replace("true", "1"),
        "'pairs[0].holds' is a whole number, not",
    ),
    "a number for a hash": (
        run_line(REMEMBERED).replace(json.dumps("3" * 64), "3"),
        "'files.index.html' is a whole number, not a text",
    ),
    "no finite number": (run_line(REMEMBERED).replace("2.0", "NaN"), "JSON is malformed"),
    "nested too deeply": ('{"mood": ' + "[" * 100_000, "JSON is nested too deeply"),
    "no UTF-8": (run_line(REMEMBERED).replace("0.1.0", "\udcff"), "'utf-8' codec can't decode"),
    "no time": (run_line(REMEMBERED).replace("2026-", "last "), "Invalid isoformat"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_line_is_named(case: str, tmp_path: Path) -> None:
    line, message = MALFORMED[case]
    file = tmp_path / "runs.jsonl"
    file.write_text(
        f"{run_line(REMEMBERED)}\n{line}\n{run_line(REMEMBERED)}\n", errors="surrogateescape"
    )
    with pytest.raises(InputError) as raised:
        read_runs(tmp_path)
    assert f"{file}, line 2: not the record of a run ({message}" in str(raised.value)
    assert raised.value.hint


def test_changes_are_those_between_neighbours() -> None:
    def at(hour: int, claim: bool, swap: bool, reference: str = "a:L0H0") -> Run:
        return replace(
            REMEMBERED,
            time=f"2026-11-23T{hour}:00:00Z",
            reference=reference,
            claims=(replace(CLAIM, holds=claim),),
            pairs=(replace(PAIR, holds=swap),),
        )

    runs = [at(10, True, True), at(11, False, True), at(12, False, False), at(13, True, False)]
    assert [str(change) for change in changes(runs)] == [
        f'claim changed since 2026-11-23T10:00:00Z: "{CLAIM.claim}" held, now fails',
        'swap changed since 2026-11-23T11:00:00Z: "a:L0H0 in b" held, now fails',
        f'claim changed since 2026-11-23T12:00:00Z: "{CLAIM.claim}" failed, now holds',
    ]
    assert [change.time[11:13] for change in changes(runs)] == ["11", "12", "13"]
    # Another question is no other answer.
    assert changes([at(10, True, True), at(11, True, False, reference="a:L0H1")]) == ()
    assert changes([at(10, True, True), replace(at(11, False, True), claims=())]) == ()
    assert changes(runs[:1]) == changes([]) == ()


def _told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err
