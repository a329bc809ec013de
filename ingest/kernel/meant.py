"""What a misspelt word was meant to be, and what there is to choose from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_MAX_LISTED = 12
_HEAD_THE_OTHER_WAY = re.compile(r"h(\d{1,4})\W?l(\d{1,4})", re.I)
_HEAD_OTHERWISE = re.compile(r"(?:l|layer)?\W?(\d{1,4})\W?(?:h|head)?\W?(\d{1,4})", re.I)


def meant(word: str, known: Iterable[str]) -> str | None:
    """The known word that a word is most like, whatever its case; None where it is like none.

    >>> meant("Standrd", ["adhd", "standard"])
    'standard'
    >>> meant("gpt2", ["adhd", "standard"])
    """
    # Where two differ only by case, the first.
    by_lower = {name.lower(): name for name in reversed(list(known))}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def listed(known: Sequence[str]) -> str:
    """Words to choose from, as many as can be read at a glance.

    >>> listed(["adhd", "standard"])
    'adhd, standard'
    """
    rest = len(known) - _MAX_LISTED
    return ", ".join(known[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def choice_hint(word: str, known: Sequence[str], choices: str) -> str:
    """A hint for a word that is none of the known ones.

    choices: the words before the list of what there is.

    >>> choice_hint("standrd", ["adhd", "standard"], "it has")
    'did you mean standard? it has adhd, standard'
    """
    guess = meant(word, known)
    start = f"did you mean {guess}? " if guess else ""
    return f"{start}{choices} {listed(known)}"


def head_hint(text: str) -> str:
    """A hint for what does not name a head.

    >>> head_hint("H0L3"), head_hint("3.0"), head_hint("L3")
    ('did you mean L3H0?', 'did you mean L3H0?', 'write layer and head, as in L3H0')
    """
    if match := _HEAD_THE_OTHER_WAY.fullmatch(text):
        return f"did you mean L{int(match[2])}H{int(match[1])}?"
    # Digits alone are one number.
    match = _HEAD_OTHERWISE.fullmatch(text)
    if match and not text.isdecimal():
        return f"did you mean L{int(match[1])}H{int(match[2])}?"
    return "write layer and head, as in L3H0"
