"""The command `headswap`: puts the stages' commands together, loads each only when it is called."""

from __future__ import annotations

import datetime
import functools
import importlib
import os
import pathlib
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ingest.kernel.command_line import LazyGroup, Settings

__version__ = "0.1.0"

# command: (where it is, one line of help). Where: a module that has it as `command`, or
# module:name.
COMMANDS = {
    "ingest": ("ingest.command", "run models over prompts and store their attention as Parquet"),
    "sql": ("sql.console.sql_command", "query a dataset with SQL"),
    "views": ("sql.console.views_command", "list the views that can be queried, or explain one"),
    "report": ("reports.site.report_command", "write the report pages of a dataset"),
    "figure": (
        "reports.figures.figure_command",
        "write one chart as SVG, PNG or PDF, or its numbers",
    ),
    "check": (
        "sql.console.check_command",
        "check that a dataset's rows are complete and sum to 1, and that claims hold",
    ),
    "verify": (
        "sql.console.verify_command",
        "verify a dataset file by file and row by row, and repair it",
    ),
    "schedule": (
        "reports.study.schedule",
        "print what runs a study again and again: for cron, systemd or GitHub Actions",
    ),
    "init": ("reports.study.init_command", "write a commented study file to start from"),
    "run": (
        "headswap:run",
        "ingest, check and report what a study file names, as far as it is not done",
    ),
    "demo": ("headswap:demo", "ingest the demo models and write their report"),
}
# Commands that go on where they were interrupted when they are run again.
_RESUMABLE = {"ingest", "run", "demo"}
_COMPLETION = "_HEADSWAP_COMPLETE"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    0: done. 1: failed. 2: unusable input. 130: interrupted by Ctrl-C.
    """
    from ingest.kernel.command_line import Settings, usage_errors_as_input_errors
    from ingest.kernel.errors import run_with_messages

    words = list(sys.argv[1:] if argv is None else argv)
    settings = Settings()

    def run_command() -> int:
        if _COMPLETION in os.environ:
            return complete()
        try:
            with (
                usage_errors_as_input_errors(),
                command_line().make_context("headswap", words, obj=settings) as context,
            ):
                code: int = context.command.invoke(context)
                return code
        except click.exceptions.Exit as leaving:  # after --help and --version
            return leaving.exit_code

    try:
        return run_with_messages(run_command, lambda: settings.debug)
    except KeyboardInterrupt:
        print("headswap: interrupted", file=sys.stderr)
        if next((word for word in words if word in COMMANDS), None) in _RESUMABLE:
            print("Hint: run the same command again, it goes on where it stopped", file=sys.stderr)
        return 130


@functools.cache
def command_line() -> LazyGroup:
    """The command `headswap` with all its commands, none of which is imported yet."""
    from ingest.kernel.command_line import Entry, LazyGroup, debug_option

    extensions = {"ingest": _and_write_views, "verify": _after_repair}
    group = LazyGroup(
        {name: Entry(*entry, extensions.get(name)) for name, entry in COMMANDS.items()},
        name="headswap",
        help="Turns the attention of transformers into a dataset that SQL can query.",
        epilog="`headswap COMMAND --help` explains a command.",
        params=[debug_option()],
    )
    version = click.version_option(
        __version__,
        prog_name="headswap",
        message="%(prog)s %(version)s",
        help="show the version and exit",
    )
    return version(group)


def complete() -> int:
    """Answers a shell that completes a line: click's protocol."""
    from click.shell_completion import shell_complete

    from ingest.kernel import bash_completion

    bash_completion.register()
    return shell_complete(command_line(), {}, "headswap", _COMPLETION, os.environ[_COMPLETION])


def _and_write_views(ingest: Callable[..., int]) -> Callable[..., int]:
    """After an ingest: the text of the views beside the rows, which is a matter of SQL."""

    @functools.wraps(ingest)
    def run(out: pathlib.Path, **options: Any) -> int:
        code = ingest(out=out, **options)
        if code == 0:
            importlib.import_module("sql.graph.export").write_views(out)
        return code

    return run


def _after_repair(verify: Callable[..., int]) -> Callable[..., int]:
    """Before a verification with --repair: the repair, which runs the models."""

    @functools.wraps(verify)
    def run(
        dataset: pathlib.Path, repair: bool, prompts: pathlib.Path | None, **options: Any
    ) -> int:
        if repair:
            repair_dataset(dataset, prompts)
        return verify(dataset=dataset, **options)

    return run


def repair_dataset(dataset: pathlib.Path, prompts: pathlib.Path | None) -> None:
    """Repairs a dataset where something is wrong with it.

    prompts: the file that the prompts came from, None for the 12 tasks that come with headswap.
    """
    verify = importlib.import_module("sql.console.verify_command")
    if problems := verify.problems_of(verify.run_checks(dataset)):
        made = importlib.import_module("ingest.repair").repair(dataset, problems, prompts)
        importlib.import_module("sql.graph.export").write_views(dataset)
        print(f"made again: {', '.join(made) or 'no file of rows'}", file=sys.stderr)


@click.command
@click.option(
    "--out",
    metavar="DIR",
    type=pathlib.Path,
    required=True,
    help="where the dataset and the report go",
)
@click.pass_obj
def demo(settings: Settings, out: pathlib.Path) -> int:
    """Runs the study `demo` in a folder that must be named."""
    return run_study("demo", out, settings.debug)


@click.command
@click.argument(
    "study",
    metavar="STUDY",
    help="a study file, or a study that comes with headswap: interpgpt (the released pair), demo",
)
@click.option(
    "--out",
    metavar="DIR",
    type=pathlib.Path,
    help="where its relative paths of results start (default: the file's folder; for a study that "
    "comes with headswap a folder of its name)",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="print a line of JSON for each stage, and one of the run",
)
@click.pass_obj
def run(settings: Settings, study: str, out: pathlib.Path | None, as_json: bool) -> int:
    """Runs a study."""
    return run_study(study, out, settings.debug, as_json)


def run_study(name: str, out: pathlib.Path | None, debug: bool, as_json: bool = False) -> int:
    """Runs the commands that a study stands for, stops at a failure, and records the run.

    The ingest always runs, and holds the models against their sources; the others do only where
    something changed since the last run.
    """
    from ingest.dataset.reader import open_dataset
    from reports.study import basis, runs, study_run
    from reports.study.study import read_study

    began = datetime.datetime.now(datetime.UTC)
    study = read_study(name, out)
    common = [*(["--debug"] if debug else []), *(["--json"] if as_json else [])]
    earlier = runs.read_runs(study.report)
    if code := run_stages(common, study.ingest_words()):
        return code
    now = basis.basis_of(open_dataset(study.dataset), study.sha256(), __version__)
    if run := study_run.carried_over(earlier, now, study.report, began):
        code = study_run.print_unchanged(run, earlier, study.report, as_json)
    else:
        report, claims = study.report_words(), study.claim_words()
        if code := run_stages(common, study.check_words(), report):
            return code
        code = run_stages(common, claims)
        if code not in (0, 1):  # 1: a claim does not hold, which is a result
            return code
        given = [_options_of(words) for words in (report, claims) if words]
        run = study_run.measured(*given, basis=now, began=began)
    study_run.record(run, earlier, study.report, as_json)
    return code


def run_stages(common: Sequence[str], *stages: Sequence[str]) -> int:
    """Runs commands one after the other, showing each; stops at a failure.

    common: options that each of them gets and that are not shown.
    """
    for words in filter(None, stages):
        print("$", shlex.join(["headswap", *words]), file=sys.stderr)
        if code := main([*words, *common]):
            return code
    return 0


def _options_of(words: Sequence[str]) -> dict[str, Any]:
    """The values of a command's parameters, by name, as the words give them."""
    with command_line().make_context("headswap", list(words)) as context:
        name, command, rest = command_line().resolve_command(context, list(words))
        assert command
        return command.make_context(name, rest, parent=context).params


if __name__ == "__main__":
    sys.exit(main())
