"""The command line: puts the stages' commands together, loads each only when it is called."""

from __future__ import annotations

import functools
import importlib
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ingest.kernel.command_line import LazyGroup

__version__ = "0.1.0"

# command: (where it is, one line of help). Where: a module that has it as `command`, or
# module:name.
COMMANDS = {
    "ingest": ("ingest.command", "run models over prompts and store their attention as Parquet"),
    "ablate": (
        "ingest.ablation.command",
        "ablate heads one by one, and store what changes in a model's predictions",
    ),
    "top-tokens": (
        "ingest.ablation.top_tokens_command",
        "show the most probable next tokens before and after a head is ablated",
    ),
    "generate": (
        "ingest.generation.command",
        "let models write, whole and with heads ablated, and store the texts",
    ),
    "readout": (
        "ingest.readout.command",
        "store what each layer predicts and what each head writes",
    ),
    "import": (
        "ingest.transfer.imports.import_command",
        "make a dataset of attention that others computed: arrays or tables",
    ),
    "merge": ("ingest.transfer.combine.merge_command", "make one dataset of shards of a study"),
    "extract": (
        "ingest.transfer.combine.extract_command",
        "make a smaller dataset of some models, prompts or layers of one",
    ),
    "sql": ("sql.console.sql_command", "query a dataset with SQL"),
    "export": (
        "sql.graph.export_command",
        "write all views as SQL, with Parquet of what SQL cannot compute, for any DuckDB client",
    ),
    "views": ("sql.console.views_command", "list the views that can be queried, or explain one"),
    "report": ("reports.site.report_command", "write the report pages of a dataset"),
    "serve": (
        "reports.serve.serve_command",
        "show the report pages of a dataset live, with questions answered in the sandbox",
    ),
    "figure": (
        "reports.figures.figure_command",
        "write one chart as SVG, PNG or PDF, or its numbers",
    ),
    "look": (
        "headswap.look_command",
        "draw what heads attend to on a sentence of yours: from words to a picture",
    ),
    "verify": (
        "sql.console.verify_command",
        "verify a dataset's data, file by file and row by row, and repair it",
    ),
    "claims": ("sql.console.claims_command", "say whether claims about heads hold in a dataset"),
    "push": ("ingest.transfer.push", "send a dataset to the hub, for others to query and pull"),
    "pull": ("ingest.transfer.pull", "fetch a dataset from the hub, or a part of it"),
    "schedule": (
        "reports.study.schedule",
        "print what runs a study again and again: for cron, systemd, GitHub Actions or Slurm",
    ),
    "init": ("reports.study.init_command", "write a commented study file to start from"),
    "run": (
        "headswap.study:run",
        "ingest, verify and report what a study file names, as far as it is not done",
    ),
    "demo": ("headswap.study:demo", "ingest the demo models and write their report"),
}
# Commands that go on where they were interrupted when they are run again.
_RESUMABLE = {"ingest", "ablate", "generate", "readout", "push", "pull", "run", "demo"}
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

    extensions = {
        "ingest": _and_write_views("out"),
        "ablate": _and_show_agreement,
        "generate": _and_write_views("dataset"),
        "readout": _and_write_views("dataset"),
        "import": _and_write_views("out"),
        "merge": _and_write_views("out"),
        "extract": _and_write_views("out"),
        "verify": _after_repair,
        "push": _with_views,
        "pull": _and_write_views_there,
    }
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


def _and_write_views(folder: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """After rows were added: the text of the views beside them, which is a matter of SQL.

    folder: the parameter of the command that names the dataset.
    """

    def extend(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def run(**options: Any) -> int:
            code = command(**options)
            if code == 0:
                importlib.import_module("sql.graph.export").write_views(options[folder])
            return code

        return run

    return extend


def _and_show_agreement(ablate: Callable[..., int]) -> Callable[..., int]:
    """After an ablation the text of the views; after estimates how far they agree with it, too."""
    showing = importlib.import_module("sql.console.agreement").showing_agreement
    shown: Callable[..., int] = showing(_and_write_views("dataset")(ablate))
    return shown


def _with_views(push: Callable[..., int]) -> Callable[..., int]:
    """Before a push: the licence is noted; views and, where asked for, findings travel along."""

    @functools.wraps(push)
    def run(
        dataset: pathlib.Path,
        repository: str,
        revision: str,
        licence: str | None,
        findings: bool,
        **options: Any,
    ) -> int:
        prepare = importlib.import_module("ingest.transfer.push").prepare
        prepare(dataset, repository, revision, licence)
        views = importlib.import_module("sql.graph.export")
        if findings:
            importlib.import_module("reports.site.findings").write_findings(dataset)
        views.write_portable_views(dataset)
        try:
            return push(dataset=dataset, repository=repository, revision=revision, **options)
        finally:
            views.write_views(dataset)

    return run


def _and_write_views_there(pull: Callable[..., int]) -> Callable[..., int]:
    """After a pull: the text of the views, made here. Statements of others are not fetched."""

    @functools.wraps(pull)
    def run(**options: Any) -> int:
        code = pull(**options)
        if code == 0:
            folder = importlib.import_module("ingest.transfer.pull").folder_of(**options)
            importlib.import_module("sql.graph.export").write_views(folder)
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
        done = importlib.import_module("ingest.repair").repair(dataset, problems, prompts)
        importlib.import_module("sql.graph.export").write_views(dataset)
        made = f"made again: {', '.join(done.made) or 'no file of rows'}"
        print(made, *done.set_aside, sep="\n", file=sys.stderr)
