"""Reports with a page Ask, and the browsers that ask it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from reports.site.pages import write_report
from sql.parameters import Parameters
from sql.session import Session, open_session
from tests.support.services.browser import Browser, running_browser
from tests.support.services.firefox import Firefox, running_firefox
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


class Tab(Protocol):
    """What the tests need of a tab of either browser."""

    errors: list[str]
    requests: list[str]

    def evaluate(self, expression: str) -> Any: ...

    def wait_for(self, expression: str) -> None: ...

    def reload(self) -> None: ...


# Opens a file, with what follows its address.
Open = Callable[..., Tab]
ANSWERED = "document.documentElement?.dataset.ask === 'answered'"


def ask(tab: Tab, sql: str) -> None:
    """Asks as a person would, and waits for the answer."""
    tab.evaluate(
        "(document.documentElement.dataset.ask = '', "
        f"document.getElementById('ask-sql').value = {json.dumps(sql)}, "
        "document.getElementById('ask-form').requestSubmit(), true)"
    )
    tab.wait_for(ANSWERED)


def follow(tab: Tab, anchor: str) -> None:
    """Goes to another place of the page, as a link does, and waits for the answer there."""
    tab.evaluate(
        f"(document.documentElement.dataset.ask = '', location.hash = {json.dumps(anchor)}, true)"
    )
    tab.wait_for(ANSWERED)


def text(tab: Tab, element: str) -> str:
    """The text of an element, by its id."""
    found: str = tab.evaluate(f"document.getElementById('{element}').textContent")
    return found


def shown_rows(tab: Tab) -> list[list[str]]:
    """The rows of the result in the table, numbers in full."""
    found: list[list[str]] = tab.evaluate(
        "[...document.getElementById('ask-table').tBodies[0].rows].map(row => [...row.cells].map("
        "cell => cell.querySelector('data')?.value ?? cell.textContent))"
    )
    return found


@pytest.fixture(scope="session")
def small_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    path = tmp_path_factory.mktemp("asked") / "dataset"
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    with open_session(write_synthetic_dataset(path, models), Parameters()) as opened:
        yield opened


@pytest.fixture(scope="session")
def small_page(small_session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page Ask of two small models."""
    write_report(small_session, folder := tmp_path_factory.mktemp("asked"))
    return folder / "ask.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    with running_firefox() as running:
        yield running


@pytest.fixture(params=["chromium", "firefox"])
def open_page(request: pytest.FixtureRequest) -> Open:
    """Opens a page in one browser, then the other."""
    running: Browser | Firefox = request.getfixturevalue(
        {"chromium": "browser", "firefox": "firefox"}[request.param]
    )
    return lambda path, anchor="": running.open(path.resolve().as_uri() + anchor)
