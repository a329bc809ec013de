"""The command `headswap`: puts the stages' commands together, loads each only when it is called."""

from __future__ import annotations

import argparse
import functools
import importlib
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from reports.study.study import Study

__version__ = "0.1.0"

# command: (module with add_arguments and run, one line of help); without one: put together here
COMMANDS = {
    "ingest": ("ingest.command", "run models over prompts and store their attention as Parquet"),
    "sql": ("sql.console.sql_command", "ask a dataset with SQL"),
    "views": ("sql.console.views_command", "list the views that SQL can ask, or explain one"),
    "report": ("reports.site.report_command", "write the report page of a dataset"),
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
        "verify a dataset file by file and row by row, and mend it",
    ),
    "schedule": (
        "reports.study.schedule",
        "print what runs a study again and again: for cron, systemd or GitHub Actions",
    ),
    "init": ("reports.study.init_command", "write a commented study file to start from"),
    "run": ("", "ingest, check and report what a study file names, as far as it is not done"),
    "demo": ("", "ingest the demo models and write their report"),
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are as short as the others."""

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong and exits with 2."""
        print(f"headswap: {message}", file=sys.stderr)
        print(f"Hint: `{self.prog} --help` explains the usage", file=sys.stderr)
        sys.exit(2)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser; only the named command's module is imported and its options added."""
    parser = Parser(
        prog="headswap",
        description="Turns the attention of transformers into a dataset that SQL can ask.",
        epilog="`headswap COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"headswap {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error, too")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, description=_sentence(summary))
        if name != command:
            continue
        if module:
            importlib.import_module(module).add_arguments(subparser)
        elif command == "demo":
            add_demo_arguments(subparser)
        else:
            add_run_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 1 failed, 2 unusable input."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in words if not word.startswith("-")), None)
    arguments = build_parser(command).parse_args(words)
    from ingest.kernel.errors import told

    try:
        return told(lambda: run_command(arguments), arguments.debug)
    except KeyboardInterrupt:
        print("headswap: interrupted", file=sys.stderr)
        if arguments.command in ("ingest", "run", "demo"):
            print("Hint: run the same command again, it goes on where it stopped", file=sys.stderr)
        return 130


def run_command(arguments: argparse.Namespace) -> int:
    """Runs the command that the arguments name, and what belongs to it in another stage."""
    module = COMMANDS[arguments.command][0]
    if not module:
        return run_study(arguments.study, arguments.out, arguments.json)
    if arguments.command == "verify" and arguments.repair:
        repair(arguments)
    code: int = importlib.import_module(module).run(arguments)
    if arguments.command == "ingest" and code == 0:
        importlib.import_module("sql.graph.export").write_views(pathlib.Path(arguments.out))
    return code


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap demo`: `headswap run demo` with a folder that must be named."""
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=pathlib.Path,
        required=True,
        help="where the dataset and the report go",
    )
    parser.set_defaults(study="demo", json=False)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap run`."""
    parser.add_argument(
        "study",
        metavar="STUDY",
        help="a study file, or a study that comes with headswap: interpgpt (the released pair), "
        "demo",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=pathlib.Path,
        help="where its relative paths of results start (default: the file's folder; for a study "
        "that comes with headswap a folder of its name)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print a line of JSON for each stage, and one of the run",
    )


def run_study(name: str, out: pathlib.Path | None = None, as_json: bool = False) -> int:
    """Runs a study by its file or name, and returns the exit code.

    out: where its relative paths of results start, None for the folder that `read_study` states.
    as_json: print a line of JSON for each stage, and one of the run.
    """
    from reports.study import study_run
    from reports.study.study import read_study

    ingest = functools.partial(ingest_study, as_json=as_json)
    return study_run.run_study(read_study(name, out), ingest, __version__, as_json)


def ingest_study(study: Study, as_json: bool = False) -> None:
    """Ingests the models of a study that its dataset lacks, and prints what was done.

    What the study leaves open is left to the defaults of ingest.
    """
    from ingest.command import ingest_and_print
    from ingest.models.options import LoadOptions
    from ingest.models.source import ModelSource
    from ingest.prompts.prompt_set import PAIRED_TASKS, read_prompts
    from sql.graph.export import write_views

    file = study.prompts.file
    ingest_and_print(
        [ModelSource(model, source) for model, source in study.models.items()],
        study.dataset,
        read_prompts(
            pathlib.Path(file) if file else PAIRED_TASKS, **study.prompts.given("variant")
        ),
        study.prompts.structural,
        LoadOptions(**study.run.given("device", "dtype", "precision", "trust_remote_code")),
        as_json,
    )
    write_views(study.dataset)


def repair(arguments: argparse.Namespace) -> None:
    """Mends a dataset where something is wrong with it."""
    dataset = pathlib.Path(arguments.dataset)
    verify = importlib.import_module("sql.console.verify_command")
    if problems := verify.problems_of(verify.find(dataset)):
        mend = importlib.import_module("ingest.repair").repair
        made = mend(dataset, problems, arguments.prompts)
        importlib.import_module("sql.graph.export").write_views(dataset)
        print(f"made again: {', '.join(made) or 'no file of rows'}", file=sys.stderr)


def _sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:] + "."


if __name__ == "__main__":
    sys.exit(main())
