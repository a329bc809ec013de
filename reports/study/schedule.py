"""The command `headswap schedule`: a study run again and again, by a scheduler already at hand.

Each form is a function from a `Schedule` to files by name. What runs is `headswap run`, which does
only what is missing, with absolute paths: schedulers start in folders and with PATHs of their own.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ingest.kernel.command_line import gathered, json_option

FORMS = {
    "cron": "a line of a crontab (local time)",
    "systemd": "a service and its timer, for one user (local time)",
    "github-actions": "a workflow of GitHub Actions (UTC); keeps dataset and runs between them",
    "slurm": "a script that submits it to a cluster: the ingest in shards, then the run; it has no "
    "times",
}
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_INSTALLED = "headswap[models]"
_N_SHARDS = 16


@dataclass(frozen=True)
class Schedule:
    """A study and when it is run.

    study: its file, absolute. name: of the files and units. hour: 0 to 23, None for every hour;
    minute: 0 to 59. weekly: on Mondays only. dataset, report: folders, absolute. installed: what
    pip installs where headswap is not there yet. ingest: the words after `headswap ingest` that
    ingest its models. n_shards: parts of the prompts that are ingested at the same time.
    """

    study: Path
    name: str
    dataset: Path
    report: Path
    hour: int | None = 6
    minute: int = 0
    weekly: bool = False
    installed: str = _INSTALLED
    ingest: tuple[str, ...] = ()
    n_shards: int = _N_SHARDS

    @property
    def cron(self) -> str:
        """The five fields of crontab(5).

        >>> Schedule(Path("/s.toml"), "s", Path("/d"), Path("/r"), 6, 30, weekly=True).cron
        '30 6 * * 1'
        """
        hour = "*" if self.hour is None else self.hour
        return f"{self.minute} {hour} * * {1 if self.weekly else '*'}"

    @property
    def calendar(self) -> str:
        """The calendar event of systemd.time(7).

        >>> Schedule(Path("/s.toml"), "s", Path("/d"), Path("/r"), 6, 30, weekly=True).calendar
        'Mon *-*-* 06:30:00'
        """
        hour = "*" if self.hour is None else f"{self.hour:02}"
        return f"{'Mon ' if self.weekly else ''}*-*-* {hour}:{self.minute:02}:00"


def cron_files(schedule: Schedule) -> dict[str, str]:
    """A line for a crontab; what the study says is appended to a file beside it."""
    log = schedule.study.with_suffix(".log")
    words = f"{shlex.join([*_headswap(), 'run', str(schedule.study)])} >> {shlex.quote(str(log))}"
    # crontab(5): a % that is not escaped ends the command.
    line = f"{schedule.cron} {words} 2>&1".replace("%", r"\%")
    return {f"{schedule.name}.cron": f"# Made by `headswap schedule`.\n{line}\n"}


def systemd_files(schedule: Schedule) -> dict[str, str]:
    """A service and a timer, as systemd.service(5) and systemd.timer(5) have them."""
    command = " ".join(map(_systemd_quoted, [*_headswap(), "run", str(schedule.study)]))
    description = f"Description=headswap run {_systemd_plain(schedule.study.name)}"
    service = (
        f"# Made by `headswap schedule`.\n[Unit]\n{description}\n\n[Service]\nType=oneshot\n"
        f"WorkingDirectory={_systemd_plain(str(schedule.study.parent))}\nExecStart={command}\n"
    )
    # Persistent: a run that was due while the machine was off is made up for.
    timer = (
        f"# Made by `headswap schedule`.\n[Unit]\n{description}\n\n[Timer]\n"
        f"OnCalendar={schedule.calendar}\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
    )
    return {f"{schedule.name}.service": service, f"{schedule.name}.timer": timer}


def github_files(schedule: Schedule) -> dict[str, str]:
    """A workflow that installs headswap, takes over the last run's dataset and report, keeps both.

    Raises: InputError where the study or its folders are not within one repository.
    """
    from ingest.kernel.errors import InputError

    folders = schedule.study.resolve().parents
    root = next((folder for folder in folders if (folder / ".git").exists()), None)
    if root is None:
        raise InputError(
            f"{schedule.study} is in no git repository",
            hint="GitHub Actions runs what a repository holds: put the study into one",
        )
    paths = []
    for given in (schedule.study, schedule.dataset, schedule.report):
        path = given.resolve()
        if not path.is_relative_to(root) or "${{" in str(path):
            raise InputError(
                f"{path} cannot be named in a workflow of the repository {root}",
                hint="name folders within the repository, as text without ${{",
            )
        paths.append(path.relative_to(root).as_posix())
    study, dataset, report = paths
    install = shlex.join(["python", "-m", "pip", "install", schedule.installed])
    kept = _yaml(f"{dataset}\n{report}")
    # A cache is never changed: each attempt saves one of its own, and takes over the newest.
    key = _yaml(schedule.name + "-${{ github.run_id }}-${{ github.run_attempt }}")
    text = f"""\
# Made by `headswap schedule`.
name: {_yaml(schedule.name)}
on:
  schedule:
    - cron: {_yaml(schedule.cron)}
  workflow_dispatch:
permissions:
  contents: read
concurrency:
  group: {_yaml(schedule.name)}
jobs:
  study:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: {_yaml(install)}
      # Rows that an earlier run wrote are not computed again, and the runs are remembered.
      - uses: actions/cache/restore@v4
        with:
          path: {kept}
          key: {key}
          restore-keys: {_yaml(schedule.name + "-")}
      - run: {_yaml(shlex.join(["headswap", "run", study]))}
      # Also where a claim of the study no longer holds, which ends the step before with an error.
      - uses: actions/cache/save@v4
        if: ${{{{ !cancelled() }}}}
        with:
          path: {kept}
          key: {key}
      - uses: actions/upload-artifact@v4
        if: ${{{{ !cancelled() }}}}
        with:
          name: {_yaml(schedule.name)}
          path: {_yaml(report)}
"""
    return {f"{schedule.name}.yml": text}


def slurm_files(schedule: Schedule) -> dict[str, str]:
    """A script that submits the jobs of a study."""
    from reports.study.slurm import slurm_script

    words = (schedule.name, _headswap(), schedule.study, schedule.ingest, schedule.n_shards)
    return {f"{schedule.name}.sh": slurm_script(*words)}


_FILES = {
    "cron": cron_files,
    "systemd": systemd_files,
    "github-actions": github_files,
    "slurm": slurm_files,
}


def _schedule_from(options: Mapping[str, Any]) -> tuple[str, Schedule]:
    """The form and the schedule that the options state.

    Raises: InputError where they state none.
    """
    from ingest.kernel.errors import InputError
    from reports.study.commands import ingest_command
    from reports.study.study import read_study

    chosen = [form for form in FORMS if options[form.replace("-", "_")]]
    if len(chosen) != 1:
        forms = ", ".join(f"--{form}" for form in FORMS)
        raise InputError(
            f"{len(chosen)} forms of a schedule are chosen, not one", hint=f"give one of {forms}"
        )
    at = _TIME.fullmatch(options["at"])
    if not at:
        raise InputError(
            f"--at {options['at']!r} is not a time of day", hint="write HH:MM, as in 06:30"
        )
    path = Path.cwd() / options["study"]
    study = read_study(str(path))
    if not str(path).isprintable():
        raise InputError(f"{str(path)!r} has characters that no scheduler takes in a command")
    slug = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-").lower()
    return chosen[0], Schedule(
        study=path,
        name=f"headswap-{slug}" if slug else "headswap",
        dataset=study.dataset,
        report=study.report,
        hour=None if options["every"] == "hour" else int(at[1]),
        minute=int(at[2]),
        weekly=options["every"] == "week",
        installed=options["install"],
        ingest=tuple(ingest_command(study)[2:]),
        n_shards=options["shards"],
    )


@click.command
@gathered(
    "form_and_schedule",
    _schedule_from,
    click.argument("study", metavar="STUDY", type=Path, help="a study file"),
    *(click.option(f"--{form}", is_flag=True, help=summary) for form, summary in FORMS.items()),
    click.option(
        "--every",
        type=click.Choice(("hour", "day", "week")),
        default="day",
        help="how often; a week's run is on Monday (default: day)",
    ),
    click.option(
        "--at",
        metavar="HH:MM",
        default="06:00",
        help="when; of an hourly run only the minutes count (default: 06:00)",
    ),
    click.option(
        "--install",
        metavar="REQUIREMENT",
        default=_INSTALLED,
        help=f"what pip installs in a workflow, for instance a git+https address "
        f"(default: {_INSTALLED})",
    ),
    click.option(
        "--shards",
        metavar="N",
        type=click.IntRange(1, 1000),
        default=_N_SHARDS,
        help="parts of the prompts, each a task of a job array, at most as many as there are "
        f"prompts (default: {_N_SHARDS})",
    ),
)
@click.option(
    "-o",
    "--out",
    metavar="DIR",
    type=Path,
    help="write the files into this folder, in place of printing them",
)
@json_option("the files, by name,")
def command(form_and_schedule: tuple[str, Schedule], out: Path | None, as_json: bool) -> int:
    """Prints the files, or writes them and prints their paths; on stderr how to install them."""
    from ingest.kernel.files import write_texts_aside

    form, schedule = form_and_schedule
    files = _FILES[form](schedule)
    if out is not None:
        written = {out / name: text for name, text in files.items()}
        write_texts_aside(written)
        paths = list(map(str, written))
        print(json.dumps({"files": paths}) if as_json else "\n".join(paths))
    elif as_json:
        print(json.dumps({"files": files}))
    elif len(files) == 1:
        print(*files.values(), end="")
    else:
        print("\n".join(f"# {name}\n{text}" for name, text in files.items()), end="")
    print(_advice(form, list(files)), file=sys.stderr)
    return 0


def _headswap() -> Sequence[str]:
    """The command of this installation, found without a PATH."""
    script = Path(sys.executable).with_name("headswap")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "headswap"]


def _systemd_plain(text: str) -> str:
    return text.replace("%", "%%")


def _systemd_quoted(word: str) -> str:
    """A word of a command as systemd.service(5) quotes it."""
    escaped = word.replace("\\", r"\\").replace('"', r"\"")
    return f'"{_systemd_plain(escaped).replace("$", "$$")}"'


def _yaml(text: str) -> str:
    """A text as YAML writes it in double quotes: as JSON does."""
    return json.dumps(text, ensure_ascii=False)


def _advice(form: str, names: Sequence[str]) -> str:
    if form == "cron":
        return "add the line to your crontab: crontab -e"
    if form == "systemd":
        timer = names[-1]
        return (
            "put both into ~/.config/systemd/user (-o DIR), then: "
            f"systemctl --user daemon-reload && systemctl --user enable --now {timer}"
        )
    if form == "slurm":
        return f"write it to a file (-o DIR) that all nodes see, then: bash {names[0]}"
    return f"commit it as .github/workflows/{names[0]}"
