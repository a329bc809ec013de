"""Text that came from elsewhere, on its way to a terminal or a page."""

from __future__ import annotations

import html
import unicodedata


def printable(text: str) -> str:
    r"""The text with what would steer a terminal written out.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return "".join(
        character if unicodedata.category(character)[0] != "C" else repr(character)[1:-1]
        for character in text
    )


def markdown_cell(text: str) -> str:
    """The text as a cell of a Markdown table, in which it is neither markup nor a new cell.

    >>> markdown_cell("a|<b>")
    'a&#124;&lt;b&gt;'
    """
    return html.escape(printable(text)).replace("|", "&#124;").replace("`", "&#96;")
