"""The state of a page in its address, in a real browser: Back, reload, links, the theme kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.reports.looks import WIDE, in_each_look
from tests.support.services.browser import Browser

LISTEN = "window.heard = []; address.on(['score'], () => heard.push(address.get('score'))); true"


def test_back_and_forward_undo_what_was_chosen(shown: Any) -> None:
    page = shown("data", WIDE, "light")
    page.evaluate(LISTEN)
    page.evaluate("address.set({score: 'induction', prompt: 3})")
    page.evaluate("address.set({score: 'entropy'})")
    assert page.evaluate("location.hash") == "#score=entropy&prompt=3"
    # What replaces is no step of its own, what changes nothing is none at all.
    page.evaluate("address.set({score: 'entro'}, {replace: true})")
    page.evaluate("address.set({prompt: '3'})")
    page.evaluate("history.back()")
    page.wait_for("location.hash === '#score=induction&prompt=3'")
    page.wait_for("address.get('score') === 'induction'")
    page.evaluate("history.forward()")
    page.wait_for("address.get('score') === 'entro'")
    page.evaluate("address.set({score: null})")
    assert page.evaluate("[location.hash, address.get('score')]") == ["#prompt=3", None]
    assert page.evaluate("heard") == ["induction", "entropy", "entro", "induction", "entro", None]


def test_reload_keeps_what_was_chosen(shown: Any) -> None:
    page = shown("data", WIDE, "light")
    page.evaluate("address.set({head: 'a&b=c:L0H1', prompt: 'ü +%'})")
    page.loads("location.reload()")
    assert page.evaluate("[address.get('head'), address.get('prompt')]") == ["a&b=c:L0H1", "ü +%"]


def test_link_into_the_page_keeps_the_rest(shown: Any) -> None:
    page = shown("data", WIDE, "light")
    assert page.evaluate("address.link('head', {head: 'm:L0H1', prompt: null})") == (
        "head.html#head=m%3AL0H1"
    )
    assert page.evaluate("address.link('data', {score: 'x'})") == "#score=x"
    page.evaluate("address.set({prompt: 2})")
    page.evaluate(
        "(link => { link.href = '#score=x'; document.querySelector('main').append(link);"
        " link.click(); })(document.createElement('a'))"
    )
    assert page.evaluate("location.hash") == "#prompt=2&score=x"
    page.evaluate("location.hash = 'data-title'")
    page.wait_for("address.get('at') === 'data-title'")
    assert page.evaluate("address.get('prompt')") is None


def test_control_follows_the_address_and_says_what_it_lacks(shown: Any) -> None:
    page = shown("data", WIDE, "light")
    page.evaluate(
        "window.choice = document.createElement('select');"
        "choice.append(new Option('first', 'a'), new Option('second', 'b'));"
        "document.querySelector('main').append(choice); address.bind('which', choice); true"
    )
    page.evaluate("choice.value = 'b'; choice.dispatchEvent(new Event('change')); true")
    assert page.evaluate("location.hash") == "#which=b"
    page.evaluate("choice.value = 'a'; choice.dispatchEvent(new Event('change')); true")
    assert page.evaluate("address.get('which')") is None
    page.evaluate("address.set({which: 'c'})")
    said = "(notice => notice.hidden ? '' : notice.textContent)(document.getElementById('notice'))"
    assert page.evaluate("choice.value") == "a"
    assert page.evaluate(said) == "The address names what this page does not have: which c."
    page.evaluate("history.back()")
    page.wait_for("document.getElementById('notice').hidden")
    assert page.evaluate("choice.value") == "a"


@in_each_look
def test_theme_is_remembered_for_all_pages(
    width: int, theme: str, browser: Browser, three_site: Path
) -> None:
    # The button chooses the other than the reader's system has.
    system = {"light": "dark", "dark": "light"}[theme]
    page, fresh = (browser.open(three_site / "data.html", width, theme=system) for _ in range(2))
    page.evaluate("document.getElementById('theme').click()")
    for step in ("location.reload()", "location.href = 'history.html'", "history.back()"):
        page.loads(step)
        assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert fresh.evaluate("document.documentElement.dataset.theme") == system
    for opened in (page, fresh):
        browser.close(opened)
