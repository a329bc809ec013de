"""`headswap sql DATASET` without a query: a prompt with history, completion and a few commands."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from ingest.kernel.errors import HeadswapError, InputError, print_error
from ingest.kernel.meant import meant
from ingest.kernel.user_folders import state_folder
from sql.access.statements import split_statements
from sql.console.examples import examples
from sql.console.output import SHOWN_ROWS, parse_rows, print_answer
from sql.console.views_command import view_list, view_text
from sql.graph.catalog import relation_hint, relations
from sql.session import Session

_PROMPT, _MORE = "headswap> ", "     ...> "
_HELP = """\
A query ends with a semicolon. Commands:
.views          the views, a line each
.describe VIEW  what a view is for, its grain and its columns
.examples       questions with the queries that answer them
.rows N         show at most N rows of an answer, or all (50 at first)
.help           this text (or: help)
.quit           leave (or: quit, exit, the end of input)
The tab key completes views, columns, models and heads. Ctrl-C stops a query."""
_COMMANDS = (".views", ".describe", ".examples", ".rows", ".help", ".quit", ".exit")
# What people type in other programs.
_WORDS = {"help": ".help", "quit": ".quit", "exit": ".quit"}
_KEYWORDS = ("select", "from", "where", "group by", "order by", "inner join", "limit", "describe")
_HISTORY_LINES = 1000


def run_shell(session: Session, read: Callable[[str], str] = input) -> None:
    """Reads queries and commands until the input ends, and prints their answers.

    A query that fails prints one line on stderr, one that Ctrl-C stops as well, and the prompt goes
    on.
    """
    n_shown: int | None = SHOWN_ROWS
    greeting = "a query ends with a semicolon, help lists the commands, the tab key completes"
    print(f"{session.dataset.name}: {greeting}", file=sys.stderr)
    begun = ""
    while True:
        try:
            line = read(_MORE if begun else _PROMPT)
        except EOFError:
            print(file=sys.stderr)
            return
        except KeyboardInterrupt:  # as in every shell: forget the line, stay
            print(file=sys.stderr)
            begun = ""
            continue
        if not begun and (command := _command_in(line)):
            name, _, argument = command.partition(" ")
            if name in (".quit", ".exit"):
                return
            with _staying():
                if name == ".rows":
                    n_shown = _rows_from(argument, n_shown)
                else:
                    _command(name, argument.strip())
            continue
        statements, begun = split_statements(f"{begun}{line}\n")
        with _staying():
            for statement in statements:
                _answer(session, statement, n_shown)


def _command_in(line: str) -> str | None:
    """The command that a line is, as it is written with its dot; None where it is none."""
    text = line.strip().rstrip(";").rstrip()
    return text if text.startswith((".", "\\")) else _WORDS.get(text.lower())


@contextlib.contextmanager
def line_editing(session: Session) -> Iterator[None]:
    """History and completion for `input`, kept in the user's state folder."""
    try:
        import readline
    except ImportError:  # Python without it reads plain lines
        print("this Python has no readline: no history, no completion", file=sys.stderr)
        yield
        return
    history = history_file()
    readline.set_completer_delims(" \t\n,()=<>;")
    readline.set_completer(Completer(session))
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


class Completer:
    """What the tab key offers: commands, views, columns, models, heads, a few keywords.

    A model or a head is offered as the text that it is in SQL, in quotes, whether these were typed
    or not.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, text: str, state: int) -> str | None:
        """The state-th word that a text is the beginning of."""
        prefix, dot, _ = text.rpartition(".")
        if dot and prefix in relations():
            words = [f"{prefix}.{column.name}" for column in relations()[prefix].columns]
        elif text.startswith("."):
            words = list(_COMMANDS)
        else:
            columns = {column.name for view in relations().values() for column in view.columns}
            words = [*relations(), *sorted(columns - relations().keys()), *_KEYWORDS]
        found = [word for word in words if word.startswith(text)]
        if text:
            found += [f"'{name}'" for name in self._values if name.startswith(text.lstrip("'"))]
        return found[state] if state < len(found) else None

    @cached_property
    def _values(self) -> list[str]:
        rows = self._session.rows("select model, n_layers, n_heads from models order by model")
        heads = {
            f"L{layer}H{head}": None
            for row in rows
            for layer in range(row["n_layers"])
            for head in range(row["n_heads"])
        }
        return [*(row["model"] for row in rows), *heads]


def _command(name: str, argument: str) -> None:
    view = relations().get(argument)
    if name == ".views":
        print(view_list())
    elif name == ".describe" and view:
        print(view_text(view))
    elif name == ".describe":
        print_error(InputError(f"there is no relation {argument!r}", hint=relation_hint(argument)))
    elif name == ".examples":
        print("\n\n".join(f"-- {example.question}\n{example.query};" for example in examples()))
    elif name == ".help":
        print(_HELP)
    else:
        guess = meant(name, _COMMANDS)
        start = f"did you mean {guess}? " if guess else ""
        print_error(InputError(f"there is no command {name}", hint=f"{start}.help lists them"))


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
        print_answer(session, query, n_shown, ".rows N or .rows all shows more")
    except HeadswapError as error:
        print_error(error)
