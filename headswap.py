"""The command `headswap`: puts the stages' commands together, loads each only when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import pathlib
import shlex
import sys
import traceback
from collections.abc import Sequence

__version__ = "0.1.0"

# command: (module with add_arguments and run, one line of help); demo is put together here
COMMANDS = {
    "ingest": ("ingest.commands", "run models over prompts and store their attention as Parquet"),
    "sql": ("sql.commands", "ask a dataset with SQL"),
    "report": ("reports.commands", "write the report page of a dataset"),
    "demo": ("", "ingest the demo models and write their report"),
}


# The first is the reference model; the twin shows what another seed alone changes.
DEMO_MODELS = ("standard", "adhd", "standard-twin")


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser; only the named command's module is imported and its options added."""
    parser = argparse.ArgumentParser(
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
        else:
            add_demo_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 1 failed, 2 unusable input."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in words if not word.startswith("-")), None)
    arguments = build_parser(command).parse_args(words)
    from ingest.dataset.errors import HeadswapError

    try:
        module = COMMANDS[arguments.command][0]
        run = importlib.import_module(module).run if module else run_demo
        code: int = run(arguments)
        sys.stdout.flush()
        return code
    except HeadswapError as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"headswap: {error}", file=sys.stderr)
        if error.hint:
            print(f"Hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has stopped (`| head`); that is no failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("headswap: interrupted", file=sys.stderr)
        return 130


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap demo`."""
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="where the dataset and the report go"
    )
    parser.add_argument(
        "--reference",
        metavar="HEAD",
        help="the head of the standard model to follow, for instance L3H0 (default: the one with "
        "the highest mean structural mass over the later half of its profile)",
    )


def run_demo(arguments: argparse.Namespace) -> int:
    """Runs `headswap ingest` and `headswap report` as a user would, showing the commands."""
    dataset = str(pathlib.Path(arguments.out) / "dataset")
    models = [f"--model={name}=demo:{name}" for name in DEMO_MODELS]
    reference = [f"--reference={arguments.reference}"] if arguments.reference else []
    debug = ["--debug"] if arguments.debug else []
    for words in (
        ["ingest", *models, "--out", dataset],
        ["report", dataset, "--out", arguments.out, *reference],
    ):
        print("$", shlex.join(["headswap", *words]), file=sys.stderr)
        if code := main([*debug, *words]):
            return code
    return 0


def _sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:] + "."


if __name__ == "__main__":
    sys.exit(main())
