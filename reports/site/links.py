"""Links to the page of one head, for every head that a page names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from markupsafe import Markup, escape

from reports.data.report import Head


class HeadLinks:
    """What turns heads, and the heads that a sentence names, into links.

    models: whose heads have a page. is_single: all pages are in one file.
    """

    def __init__(self, models: Iterable[str], is_single: bool) -> None:
        self._models = frozenset(models)
        self._is_single = is_single
        names = "|".join(map(re.escape, sorted(self._models, key=len, reverse=True)))
        self._named = re.compile(
            rf"(?<![\w.-])(?P<model>{names or '(?!)'})(?![\w-])|(?<!\w)(?P<index>L\d+H\d+)(?!\w)"
        )

    def head(self, head: Head, text: str | None = None) -> Markup:
        """A head as a link: its index unless other text is given.

        >>> print(HeadLinks(["a b"], is_single=False).head(Head("a b", 1, 2)))
        <a href="head.html#head=a%20b%3AL1H2">L1H2</a>
        """
        shown = text or head.index
        if head.model not in self._models:
            return escape(shown)
        return Markup('<a href="{}">{}</a>').format(self._address(head.model, head.index), shown)

    def page(self, name: str) -> str:
        """The address of a page of the site, by its name in the menu."""
        return f"#{name}" if self._is_single else f"{name}.html"

    def place(self, place: str) -> Markup:
        """A head as `MODEL:L3H0` names it, as a link that reads so."""
        model, _, index = place.rpartition(":")
        if model not in self._models or not re.fullmatch(r"L\d+H\d+", index):
            return escape(place)
        return Markup('<a href="{}">{}</a>').format(self._address(model, index), place)

    def text(self, sentence: str, model: str | None = None) -> Markup:
        """A sentence in which every head is a link.

        An index without a model is of the model that was named last, at first of `model`; where
        none was, it stays text.

        >>> links = HeadLinks(["m", "m-2"], is_single=True)
        >>> print(links.text("Neither m-2 L0H1 nor <L3H0>"))
        Neither <a href="#at=head&amp;head=m-2%3AL0H1">m-2 L0H1</a> nor \
&lt;<a href="#at=head&amp;head=m-2%3AL3H0">L3H0</a>&gt;
        """
        return Markup("").join(self._parts(sentence, model))

    def _parts(self, sentence: str, model: str | None) -> Iterator[Markup]:
        at = 0
        for found in self._named.finditer(sentence):
            if found["model"]:
                model = found["model"]
                continue
            # "adhd L3H5" is one link, of a model's name and an index beside it.
            named = f"{model} "
            start = found.start() - len(named) * sentence.endswith(named, at, found.start())
            yield escape(sentence[at:start])
            shown = sentence[start : found.end()]
            if model in self._models:
                address = self._address(model, found["index"])
                yield Markup('<a href="{}">{}</a>').format(address, shown)
            else:
                yield escape(shown)
            at = found.end()
        yield escape(sentence[at:])

    def _address(self, model: str, index: str) -> str:
        place = quote(f"{model}:{index}", safe="")
        return f"#at=head&head={place}" if self._is_single else f"head.html#head={place}"
