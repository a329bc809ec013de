"""Named classes of phrases: which steps are of a kind, and which tokens such a step begins with.

A class is written `NAME=PHRASE;PHRASE`, or `NAME=@FILE` with a phrase a line; `demo:regulation` is
the class of the regulation actions that the demo models were trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.dataset.relations import TOKEN_CLASS_NAME
from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REGULATION = "regulation"
DEMO_CLASS = f"demo:{REGULATION}"
_HINT = f"write NAME=PHRASE;PHRASE, NAME=@FILE, or {DEMO_CLASS}"


@dataclass(frozen=True)
class PhraseClass:
    """Phrases under one name.

    >>> PhraseClass("regulation", ("deep breath", "pause")).holds("Deep breath, twice")
    True
    """

    name: str
    phrases: tuple[str, ...]

    def holds(self, step: str) -> bool:
        """Whether a step begins with one of the phrases, whatever the case of its letters."""
        return step.strip().casefold().startswith(tuple(map(str.casefold, self.phrases)))

    def first_tokens(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """The ids of the tokens that the phrases begin with, as steps of a prompt are encoded.

        Raises: InputError where a phrase has none, or one that stands for a space only.
        """
        found = {self.first_token(tokenizer, phrase) for phrase in self.phrases}
        return tuple(sorted(found))

    def first_token(self, tokenizer: Tokenizer, phrase: str) -> int:
        """The id of the token that one phrase begins with.

        Raises: InputError where it has none, or one that stands for a space only.
        """
        ids: list[int] = tokenizer.encode(phrase, add_special_tokens=False).ids
        # A space of its own may begin any step, so it tells no class.
        if not ids or not tokenizer.decode(ids[:1], skip_special_tokens=False).strip():
            raise InputError(
                f"the tokenizer makes no first token of {phrase!r}, of the class {self.name!r}, "
                "but a space at most",
                hint="leave the phrase out, or write it otherwise",
            )
        return ids[0]


def parse_classes(arguments: Sequence[str]) -> list[PhraseClass]:
    """Reads the values of `--class`.

    >>> parse_classes(["rest=pause;deep breath"])
    [PhraseClass(name='rest', phrases=('pause', 'deep breath'))]

    Raises: InputError where one is malformed, has no phrase, or two have one name.
    """
    classes: dict[str, PhraseClass] = {}
    for argument in arguments:
        found = _demo_class() if argument == DEMO_CLASS else _parse(argument)
        if found.name in classes:
            raise InputError(f"two classes are named {found.name!r}", hint="give each its own name")
        classes[found.name] = found
    return list(classes.values())


def _parse(argument: str) -> PhraseClass:
    name, equals, content = argument.partition("=")
    if not equals or not TOKEN_CLASS_NAME.fullmatch(name):
        raise InputError(f"--class {argument!r} is not a class", hint=_HINT)
    if content.startswith("@"):
        path = Path(content[1:])
        try:
            listed = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"--class {argument!r}: {path} cannot be read: {error}") from error
    else:
        listed = content.split(";")
    phrases = tuple(dict.fromkeys(phrase.strip() for phrase in listed if phrase.strip()))
    if not phrases:
        raise InputError(f"the class {name!r} has no phrase", hint=_HINT)
    return PhraseClass(name, phrases)


def _demo_class() -> PhraseClass:
    from ingest.demo.text import load_corpus  # the demo's words are needed only here

    return PhraseClass(REGULATION, load_corpus().regulation_actions)
