"""The command `headswap`: puts the stages' commands together, loads each only when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

__version__ = "0.1.0"

# command: (module with add_arguments and run, one line of help)
COMMANDS = {
    "ingest": ("ingest.commands", "run models over prompts and store their attention as Parquet"),
    "sql": ("sql.commands", "ask a dataset with SQL"),
    "report": ("reports.commands", "write the report page of a dataset"),
    "demo": ("reports.demo", "ingest, query and report the demo models"),
}


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
        if name == command:
            importlib.import_module(module).add_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 1 failed, 2 unusable input."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in words if not word.startswith("-")), None)
    arguments = build_parser(command).parse_args(words)
    from ingest.dataset.errors import HeadswapError

    try:
        code: int = importlib.import_module(COMMANDS[arguments.command][0]).run(arguments)
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


def _sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:] + "."


if __name__ == "__main__":
    sys.exit(main())
