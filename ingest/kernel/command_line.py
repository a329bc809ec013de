"""What the commands of all stages share: how they are loaded, `--debug`, `--json`, usage errors.

A command is a `click.Command` named `command` in a module of its own, which imports nothing heavy
outside functions. `headswap.COMMANDS` lists the modules.
"""

from __future__ import annotations

import copy
import functools
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.errors import InputError
from ingest.kernel.meant import meant

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

HELP_WIDTH = 80
# What click says of a value that is none of those to choose from.
_NO_CHOICE = re.compile(r"'(?P<given>[^']*)' is not one of ")

# A command's function: it gets the values of its parameters, and returns the exit code.
CommandFunction = Callable[..., int]
Decorator = Callable[[CommandFunction], CommandFunction]


@dataclass(frozen=True)
class Entry:
    """A command that is loaded only when it is called.

    place: `module`, or `module:attribute` where the command is not named `command`. summary: one
    line of help, without a full stop. extension: a decorator of the command's function, which adds
    the work that belongs to it in another stage.
    """

    place: str
    summary: str
    extension: Decorator | None = None

    @property
    def help(self) -> str:
        """The summary as a sentence."""
        return f"{self.summary[0].upper()}{self.summary[1:]}."

    def load(self, name: str) -> click.Command:
        """Imports the command's module, and completes what every command has."""
        module, _, attribute = self.place.partition(":")
        loaded: click.Command = getattr(importlib.import_module(module), attribute or "command")
        command = copy.copy(loaded)
        command.name, command.help = name, self.help
        command.params = [*loaded.params, debug_option()]
        add_help_option(command)
        if self.extension and loaded.callback:
            command.callback = self.extension(loaded.callback)
        return command


class LazyGroup(click.Group):
    """A group of commands of which only the one that is called is imported."""

    def __init__(self, entries: Mapping[str, Entry], **settings: Any) -> None:
        # The same help in every terminal, and in README.
        super().__init__(**settings, context_settings={"terminal_width": HELP_WIDTH})
        add_help_option(self)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one command; None where there is none of that name."""
        entry = self._entries.get(cmd_name)
        return entry.load(cmd_name) if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command that the first word names.

        Raises: InputError where there is none, with the one that was probably meant.
        """
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and name not in self._entries:
            guess = meant(name, self._entries)
            start = f"did you mean {guess}? " if guess else ""
            raise InputError(
                f"no such command {name!r}", hint=f"{start}`{ctx.command_path} --help` lists them"
            )
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Prints the help where nothing was asked for."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Completes the name of a command, or an option, without importing any command."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self._entries.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


class HintedCommand(click.Command):
    """A command that knows what words after its arguments were meant to be.

    meant: a hint for them, joined by blanks.
    """

    def __init__(self, *args: Any, meant: Callable[[str], str], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._meant = meant

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises: InputError where there are too many words."""
        ctx.allow_extra_args = True
        super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            words = " ".join(ctx.args)
            raise InputError(f"got unexpected words: {words}", hint=self._meant(words))
        return ctx.args


@dataclass
class Settings:
    """What may be set before or after the name of any command."""

    debug: bool = False


def debug_option() -> click.Option:
    """`--debug`, which is noted in the `Settings` of the context."""

    def note(context: click.Context, _: click.Parameter, is_set: bool) -> None:
        context.ensure_object(Settings).debug |= is_set

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=note,
        help="show the traceback of an error, too",
    )


def add_help_option(command: click.Command) -> None:
    """Gives a command `-h` and `--help`, listed last."""
    command.add_help_option = False  # click's own, which would stand beside it
    click.help_option("-h", "--help", help="show this help and exit")(command)


def json_option(what: str) -> Decorator:
    """`--json`, which the command's function gets as `as_json`; what: what is printed as JSON."""
    return click.option("--json", "as_json", is_flag=True, help=f"print {what} as JSON")


def gathered(name: str, make: Callable[[Mapping[str, Any]], Any], *options: Decorator) -> Decorator:
    """Adds options to a command whose function gets them as one value.

    name: the argument that gets it. make: makes it from the options' values by name.
    """

    def decorate(function: CommandFunction) -> CommandFunction:
        @functools.wraps(function)
        def gather(**values: Any) -> int:
            given = {option: values.pop(option) for option in names}
            return function(**values, **{name: make(given)})

        return _apply(options, gather)

    probe = click.command()(_apply(options, lambda: 0))
    names = [parameter.name for parameter in probe.params]
    return decorate


def _apply(options: tuple[Decorator, ...], function: CommandFunction) -> CommandFunction:
    for option in reversed(options):
        function = option(function)
    return function


@contextmanager
def usage_errors_as_input_errors() -> Iterator[None]:
    """Turns what click says of unusable words into a message of ours, with a hint."""
    try:
        yield
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "headswap"
        hint = f"`{path} --help` explains the usage"
        message = " ".join(error.format_message().split()).removesuffix(".")
        if isinstance(error, click.NoSuchOption):
            message = f"no such option {error.option_name!r}"
            if guess := meant(error.option_name, error.possibilities or ()):
                hint = f"did you mean {guess}? {hint}"
        elif isinstance(error, click.BadParameter) and error.param is not None:
            found = _NO_CHOICE.search(message)
            choices = getattr(error.param.type, "choices", ())
            if found and (guess := meant(found["given"], choices)):
                hint = f"did you mean {guess}? {hint}"
        raise InputError(f"{message[:1].lower()}{message[1:]}", hint=hint) from error


# Where Spark runs, of every command that may run on it.
spark_master_option = click.option(
    "--master",
    metavar="URL",
    help="Spark's cluster, for instance spark://HOST:7077 (default: that of "
    "spark-defaults.conf, else the cores of this machine)",
)
