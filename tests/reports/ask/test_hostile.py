"""Script in names of columns, in values and in the address of the page Ask: none of it runs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from tests.reports.ask.conftest import Open, ask, follow, shown_rows

# Each sets `pwned` where it runs.
ATTACKS = (
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 2</script>",
    "<img src=x onerror='window.pwned = 3'>",
    '"><svg onload="window.pwned = 4">',
    "'-(window.pwned = 5)-'",
    "javascript:window.pwned=6",
    "{{ constructor.constructor('window.pwned = 7')() }}",
    "<!--<script>window.pwned = 8",
    "\u2028window.pwned = 9\u2029",
    "datum['constructor']['constructor']('window.pwned = 10')()",
    "<iframe srcdoc='<script>parent.pwned = 11</script>'>",
    "<a href='javascript:window.pwned=12' autofocus onfocus='window.pwned=12'>x</a>",
)
ANCHORS = (
    *(f"sql={quote(attack)}" for attack in ATTACKS),
    *(f"sql=select%20{n}%20as%20n&chart={quote(attack)}" for n, attack in enumerate(ATTACKS[:4])),
    "sql=select%2011%20as%20n&chart=bar,__proto__,constructor,",
    "sql=select%2012%20as%20n&chart=bar,0,99,1e9",
    "sql=select%2013%20as%20n&__proto__[pwned]=13",
    "sql=%00%ff%fe",
)
# Nothing that a text would have made as markup.
FOREIGN = (
    "document.querySelectorAll('#main img, #main svg[onload], #main iframe, #main a[href^=j]')"
)


def quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark


def test_there_are_thirty() -> None:
    assert 2 * len(ATTACKS) + len(ANCHORS) >= 30


def test_names_and_values_of_a_result_run_nothing(open_page: Open, small_page: Path) -> None:
    tab = open_page(small_page)
    for attack in ATTACKS:
        value, name = quoted(attack, "'"), quoted(attack, '"')
        ask(tab, f"select {value} as {name}, 1 as n union all select {value} || 'b', 2 order by n")
        assert shown_rows(tab) == [[attack, "1"], [f"{attack}b", "2"]]
        # As the names of a chart's axes, bars, colours and tips, too.
        for mark in ("bar", "point"):
            tab.evaluate(f"(address.set({{chart: '{mark},1,0,0'}}), true)")
            tab.wait_for("document.querySelector('#ask-chart svg') !== null")
        ask(tab, f"select {name} from models")
        ask(tab, attack)
    assert tab.evaluate("typeof window.pwned") == "undefined"
    assert tab.evaluate(f"{FOREIGN}.length") == 0
    assert [error for error in tab.errors if "pwned" in error] == []


def test_addresses_run_nothing(open_page: Open, small_page: Path) -> None:
    tab = open_page(small_page)
    for anchor in ANCHORS:
        follow(tab, anchor)
    ask(tab, "select 1 as one")
    assert shown_rows(tab) == [["1"]]
    assert tab.evaluate("typeof window.pwned") == "undefined"
    assert tab.evaluate("typeof ({}).pwned") == "undefined"
    assert tab.evaluate(f"{FOREIGN}.length") == 0
