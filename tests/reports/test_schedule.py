"""`headswap schedule`: each printed file before its own checker, and the command in it run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from croniter import croniter

from tests.support.running import REFERENCE, Run

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
# option: the next three runs
TIMES = {
    "--every=hour --at=00:15": ["23 12:15", "23 13:15", "23 14:15"],
    "--every=day --at=06:30": ["24 06:30", "25 06:30", "26 06:30"],
    "--every=week --at=23:59": ["23 23:59", "30 23:59", "07 23:59"],
}


@pytest.fixture
def study(reference_dataset: Path, tmp_path: Path) -> Path:
    """A study whose dataset is complete, at a path that every scheduler must be told with care."""
    folder = tmp_path / 'it\'s "100%" $HOME'
    folder.mkdir()
    models = "".join(f'{name} = "{REFERENCE / name}"\n' for name in ("standard", "adhd"))
    path = folder / "My study.toml"
    path.write_text(f'dataset = "{reference_dataset}"\nreport = "page"\n[models]\n{models}')
    return path


def test_cron_runs_the_study(study: Path, run: Run) -> None:
    outcome = run("schedule", study, "--cron", "--at=06:30")
    assert outcome.code == 0
    _, line = outcome.out.splitlines()
    fields, command = re.fullmatch(r"((?:\S+ ){5})(.*)", line).groups()  # type: ignore[union-attr]
    assert croniter.is_valid(fields.strip())
    # As cron does: `\%` is a percent sign, the rest is the shell's, in a folder and PATH of cron's.
    subprocess.run(
        ["/bin/sh", "-c", command.replace(r"\%", "%")],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        check=True,
    )
    said = study.with_suffix(".log").read_text()
    page = study.parent / "page" / "index.html"
    assert str(page) in said
    assert page.is_file()


@pytest.mark.parametrize("options", TIMES)
def test_cron_and_systemd_mean_the_same_times(
    options: str, study: Path, run: Run, tmp_path: Path
) -> None:
    line = run("schedule", study, "--cron", *options.split()).out.splitlines()[1]
    times = croniter(" ".join(line.split()[:5]), NOW)
    assert [times.get_next(datetime).strftime("%d %H:%M") for _ in range(3)] == TIMES[options]
    assert run("schedule", study, "--systemd", "-o", tmp_path, *options.split()).code == 0
    timer = (tmp_path / "headswap-my-study.timer").read_text()
    event = re.findall(r"^OnCalendar=(.*)$", timer, re.M)[0]
    shown = subprocess.run(
        ["systemd-analyze", "calendar", event, "--iterations=3", f"--base-time={NOW:%F %T} UTC"],
        env={"PATH": "/usr/bin:/bin", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.findall(r"\d{4}-\d\d-(\d\d \d\d:\d\d):00", shown)[-3:] == TIMES[options]


def test_systemd_takes_the_units(study: Path, run: Run, tmp_path: Path) -> None:
    outcome = run("schedule", study, "--systemd", "-o", tmp_path / "units")
    files = list(map(Path, outcome.out.splitlines()))
    assert [file.name for file in files] == ["headswap-my-study.service", "headswap-my-study.timer"]
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    command = re.findall(r"^ExecStart=(.*)$", files[0].read_text(), re.M)[0]
    # As systemd.service(5) unquotes: C's escapes within double quotes, %% and $$ doubled.
    words = [
        re.sub(r"\\(.)", r"\1", word).replace("%%", "%").replace("$$", "$")
        for word in re.findall(r'"((?:[^"\\]|\\.)*)"', command)
    ]
    assert Path(words[0]).is_file()
    assert words[1:] == ["run", str(study)]
    assert run(*words[1:]).code == 0


def test_a_workflow_is_one_by_its_schema(study: Path, run: Run, tmp_path: Path) -> None:
    (study.parent / ".git").mkdir()
    text = study.read_text()
    study.write_text(re.sub(r'dataset = ".*"', 'dataset = "rows"', text))
    outcome = run("schedule", study, "--github-actions", "-o", tmp_path, "--install=headswap @ x")
    (file,) = map(Path, outcome.out.splitlines())
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema=vendor.github-workflows"]
    subprocess.run([*checker, str(file)], check=True)
    commands = [json.loads(line) for line in re.findall(r"- run: (.*)", file.read_text())]
    assert [shlex.split(command) for command in commands] == [
        ["python", "-m", "pip", "install", "headswap @ x"],
        ["headswap", "run", "My study.toml"],
    ]
    kept = [json.loads(line) for line in re.findall(r"path: (.*)", file.read_text())]
    assert kept == ["rows\npage", "rows\npage", "page"]
    broken = file.with_name("broken.yml")
    broken.write_text(file.read_text().replace("runs-on", "runs"))
    assert subprocess.run([*checker, str(broken)], check=False, capture_output=True).returncode == 1


def test_the_command_of_a_workflow_was_run(
    study: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study.parent)
    assert run("run", "My study.toml").code == 0


def test_files_are_printed_alike(study: Path, run: Run, tmp_path: Path) -> None:
    told = json.loads(run("schedule", study, "--systemd", "--json").out)["files"]
    assert run("schedule", study, "--systemd", "-o", tmp_path).code == 0
    assert told == {name: (tmp_path / name).read_text() for name in told}
    printed = run("schedule", study, "--systemd").out
    assert all(text in printed for text in told.values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cron", "--at=25:00"], "--at '25:00' is not a time of day"),
        (["--cron", "--at=6"], "--at '6' is not a time of day"),
        (["--github-actions"], "is in no git repository"),
        (["--cron", "-o", "/proc/x"], "/proc/x"),
    ],
)
def test_what_cannot_be_scheduled_is_said(
    words: list[str], message: str, study: Path, run: Run
) -> None:
    outcome = run("schedule", study, *words)
    assert outcome.code in (1, 2)
    assert message in outcome.err
    assert outcome.out == ""


def test_a_dataset_outside_of_the_repository_is_refused(study: Path, run: Run) -> None:
    (study.parent / ".git").mkdir()
    outcome = run("schedule", study, "--github-actions")
    assert outcome.code == 2
    assert "cannot be named in a workflow of the repository" in outcome.err
