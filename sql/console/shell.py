"""`headswap sql DATASET` without a query: a prompt with history, completion and a few commands."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ingest.kernel.errors import HeadswapError, InputError, print_error
from ingest.kernel.user_folders import state_folder
from sql.access.interrupts import interruptible
from sql.console.examples import examples
from sql.console.output import SHOWN_ROWS, parse_rows, print_table
from sql.console.views_command import view_list, view_text
from sql.graph.catalog import relations
from sql.session import Session

_PROMPT, _MORE = "headswap> ", "     ...> "
_HELP = """\
A query ends with a semicolon. Commands:
.views          the views, a line each
.describe VIEW  what a view is for, its grain and its columns
.examples       questions with the queries that answer them
.rows N         show at most N rows of an answer, or all (50 at first)
.quit           leave (or the end of input)"""
_KEYWORDS = ("select", "from", "where", "group by", "order by", "inner join", "limit", "describe")
_HISTORY_LINES = 1000


def run_shell(session: Session, read: Callable[[str], str] = input) -> None:
    """Reads queries and commands until the input ends, and prints their answers.

    A query that fails prints one line on stderr, one that Ctrl-C stops as well, and the prompt goes
    on.
    """
    n_shown: int | None = SHOWN_ROWS
    print(f"{session.dataset.name}: .help lists the commands", file=sys.stderr)
    lines: list[str] = []
    while True:
        try:
            line = read(_MORE if lines else _PROMPT)
        except EOFError:
            print(file=sys.stderr)
            return
        except KeyboardInterrupt:  # as in every shell: forget the line, stay
            print(file=sys.stderr)
            lines = []
            continue
        if not lines and line.lstrip().startswith("."):
            name, _, argument = line.strip().partition(" ")
            if name in (".quit", ".exit"):
                return
            with _staying():
                if name == ".rows":
                    n_shown = _rows_from(argument, n_shown)
                else:
                    _command(name, argument.strip())
        elif line.strip() or lines:
            lines.append(line)
            if line.rstrip().endswith(";"):
                with _staying():
                    _answer(session, "\n".join(lines), n_shown)
                lines = []


@contextlib.contextmanager
def line_editing() -> Iterator[None]:
    """History and completion for `input`, kept in the user's state folder."""
    try:
        import readline
    except ImportError:  # Python without it reads plain lines
        print("this Python has no readline: no history, no completion", file=sys.stderr)
        yield
        return
    history = history_file()
    readline.set_completer_delims(" \t\n,()=<>;")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_HISTORY_LINES)
    if history is None:
        print("headswap: the history is not kept: this user has no home folder", file=sys.stderr)
        yield
        return
    with contextlib.suppress(FileNotFoundError):  # the first time there is none
        readline.read_history_file(history)
    try:
        yield
    finally:
        try:
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)
        except OSError as error:
            print(f"headswap: the history is not kept: {error}", file=sys.stderr)


def history_file() -> Path | None:
    """Where the history is kept; None for a user without a home."""
    folder = state_folder()
    return folder and folder / "history"


def complete(text: str, state: int) -> str | None:
    """The state-th word that starts with text: commands, views, columns, a few keywords."""
    prefix, dot, _ = text.rpartition(".")
    if dot and prefix in relations():
        words = [f"{prefix}.{column.name}" for column in relations()[prefix].columns]
    elif text.startswith("."):
        words = [".views", ".describe", ".examples", ".rows", ".help", ".quit"]
    else:
        columns = {column.name for view in relations().values() for column in view.columns}
        words = [*relations(), *sorted(columns - relations().keys()), *_KEYWORDS]
    found = [word for word in words if word.startswith(text)]
    return found[state] if state < len(found) else None


def _command(name: str, argument: str) -> None:
    view = relations().get(argument)
    if name == ".views":
        print(view_list())
    elif name == ".describe" and view:
        print(view_text(view))
    elif name == ".describe":
        print(f"there is no relation {argument!r}: .views lists them", file=sys.stderr)
    elif name == ".examples":
        print("\n\n".join(f"-- {example.question}\n{example.query};" for example in examples()))
    elif name == ".help":
        print(_HELP)
    else:
        print(f"there is no command {name}: .help lists them", file=sys.stderr)


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """Ends what is being done at Ctrl-C, and not the prompt."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)


def _rows_from(argument: str, before: int | None) -> int | None:
    """The number of rows to show from now on; the one before where this is not a number."""
    try:
        return parse_rows(argument.strip())
    except InputError as error:
        print_error(error)
        return before


def _answer(session: Session, query: str, n_shown: int | None) -> None:
    try:
        at_most = None if n_shown is None else n_shown + 1
        with interruptible(session.connection), session.ask(query, at_most) as relation:
            print_table(relation, n_shown, ".rows N or .rows all shows more")
    except HeadswapError as error:
        print_error(error)
