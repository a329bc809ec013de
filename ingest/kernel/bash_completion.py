"""Completion in bash of words with a colon or an equals sign, as in `--reference=standard:L3H0`.

Bash takes both for the end of a word (COMP_WORDBREAKS): it hands over `standard:L3` as three
words, and replaces only the last of them by what was found.
"""

from __future__ import annotations

from click.shell_completion import BashComplete, CompletionItem, add_completion_class


class WholeWordBashComplete(BashComplete):
    """Completion for bash that sees words as the command will get them."""

    _n_kept = 0  # characters of the value that bash leaves as they are

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one to complete, and that word."""
        args, incomplete = super().get_completion_args()
        *before, word = joined_words([*args, incomplete])
        value = word.partition("=")[2] if word.startswith("--") else word
        self._n_kept = value.rfind(":") + 1
        return before, word

    def format_completion(self, item: CompletionItem[str]) -> str:
        """A completion, without what stands before its last colon already."""
        item.value = item.value[self._n_kept :]
        return super().format_completion(item)


def joined_words(words: list[str]) -> list[str]:
    """The words, those put together that bash took apart.

    >>> joined_words(["--reference", "=", "a", ":", "L3"]), joined_words(["--pair", "a", ":", ""])
    (['--reference=a:L3'], ['--pair', 'a:'])
    """
    joined: list[str] = []
    for word in words:
        last = joined[-1] if joined else ""
        is_end = word == ":" or (word == "=" and last.startswith("--"))
        is_begun = last.endswith(":") or (last.startswith("--") and last.endswith("="))
        if last and (is_end or is_begun):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def register() -> None:
    """Makes it the completion of bash."""
    add_completion_class(WholeWordBashComplete)
