"""Links of the pages to each other: to the page of a head, and to a question in the page Ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from markupsafe import Markup, escape

from reports.data.questions import filled
from reports.data.report import Head


class Links:
    """What turns heads, the heads that a sentence names, and queries into links.

    models: whose heads have a page. is_single: all pages are in one file. has_ask: the site has the
    page Ask; without it a query is text, and nothing leads to the queries behind numbers.
    """

    def __init__(self, models: Iterable[str], is_single: bool, has_ask: bool = False) -> None:
        self._models = frozenset(models)
        self._is_single = is_single
        self._has_ask = has_ask
        names = "|".join(map(re.escape, sorted(self._models, key=len, reverse=True)))
        self._named = re.compile(
            rf"(?<![\w.-])(?P<model>{names or '(?!)'})(?![\w-])|(?<!\w)(?P<index>L\d+H\d+)(?!\w)"
        )

    def head(self, head: Head, text: str | None = None) -> Markup:
        """A head as a link: its index unless other text is given.

        >>> print(Links(["a b"], is_single=False).head(Head("a b", 1, 2)))
        <a href="head.html#head=a%20b%3AL1H2">L1H2</a>
        """
        shown = text or head.index
        if head.model not in self._models:
            return escape(shown)
        return Markup('<a href="{}">{}</a>').format(self._of_head(head.model, head.index), shown)

    def page(self, name: str) -> str:
        """The address of a page of the site, by its name in the menu."""
        return f"#{name}" if self._is_single else f"{name}.html"

    def place(self, place: str) -> Markup:
        """A head as `MODEL:L3H0` names it, as a link that reads so."""
        model, _, index = place.rpartition(":")
        if model not in self._models or not re.fullmatch(r"L\d+H\d+", index):
            return escape(place)
        return Markup('<a href="{}">{}</a>').format(self._of_head(model, index), place)

    def query(self, sql: str, **values: object) -> Markup:
        """A query as code that opens it in the page Ask. values: those of its parameters.

        >>> print(Links([], is_single=False, has_ask=True).query("select $n", n="<"))
        <a href="ask.html#sql=select%20%27%3C%27"><code>select &#39;&lt;&#39;</code></a>
        """
        asked = filled(sql, **values)
        code = Markup("<code>{}</code>").format(asked)
        if not self._has_ask:
            return code
        return Markup('<a href="{}">{}</a>').format(self._of_question(asked), code)

    def sql(self, what: str, sql: str, *, name: str | None = None, **values: object) -> Markup:
        """A small link to the query behind a number or a chart; nothing without the page Ask.

        what: the query is of, for who hears the link alone. name: the link's id, by which a script
        finds it and puts other values in, as the reader chooses.
        """
        if not self._has_ask:
            return Markup("")
        followed = (
            Markup(' id="{}" data-sql="{}" data-values="{}"').format(
                name, sql.strip(), json.dumps(values, sort_keys=True)
            )
            if name
            else ""
        )
        return Markup('<a class="sql" href="{}" aria-label="SQL: {}"{}>SQL</a>').format(
            self._of_question(filled(sql, **values)), what, followed
        )

    def text(self, sentence: str, model: str | None = None) -> Markup:
        """A sentence in which every head is a link.

        An index without a model is of the model that was named last, at first of `model`; where
        none was, it stays text.

        >>> links = Links(["m", "m-2"], is_single=True)
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
                address = self._of_head(model, found["index"])
                yield Markup('<a href="{}">{}</a>').format(address, shown)
            else:
                yield escape(shown)
            at = found.end()
        yield escape(sentence[at:])

    def _of_head(self, model: str, index: str) -> str:
        return self._address("head", "head", f"{model}:{index}")

    def _of_question(self, sql: str) -> str:
        return self._address("ask", "sql", sql)

    def _address(self, page: str, key: str, value: str) -> str:
        value = quote(value, safe="")
        return f"#at={page}&{key}={value}" if self._is_single else f"{page}.html#{key}={value}"
