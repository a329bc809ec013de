"""The words of a page as a reader sees them, without its markup."""

from __future__ import annotations

import html
import re


def text_of(page: str) -> str:
    """The text of HTML: tags and scripts left out, blanks run together.

    >>> text_of("<h1>No  head of <a href='x'>a &lt; b</a></h1><script>1</script>")
    'No head of a < b'
    """
    without = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", without))).strip()
