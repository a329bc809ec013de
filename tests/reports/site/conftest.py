"""The pages of three models in a browser, as a reader opens them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.site.pages import write_report
from reports.study.runs import Run, append_run
from sql.parameters import Parameters
from sql.session import Session, open_session
from tests.support.services.browser import Browser, Page
from tests.support.synthetic import PROMPTS, SyntheticModel, write_synthetic_dataset

THREE = [
    SyntheticModel("standard"),
    SyntheticModel("adhd", places=(4, 0, 5, 1, 2, 3), noise=0.02),
    SyntheticModel("standard-twin", seed=4),
]


@pytest.fixture(scope="package")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    dataset = write_synthetic_dataset(tmp_path_factory.mktemp("choices") / "d", THREE, PROMPTS)
    with open_session(dataset, Parameters(similarity="profile")) as opened:
        yield opened


@pytest.fixture(scope="package")
def three_site(three: Session, remembered: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their pages, after two runs of which the second changed a verdict."""
    out = tmp_path_factory.mktemp("chosen")
    (pair,) = remembered.pairs
    for run in (remembered, replace(remembered, pairs=(replace(pair, holds=False),))):
        append_run(out, run)
    return write_report(three, out).parent


@pytest.fixture
def shown(browser: Browser, three_site: Path) -> Iterator[Any]:
    """Opens a page in a window's width and a system's theme; at its end no page had an error."""
    pages: list[Page] = []

    def show(name: str, width: int, theme: str) -> Page:
        pages.append(browser.open(three_site / f"{name}.html", width=width, theme=theme))
        return pages[-1]

    yield show
    for page in pages:
        assert page.errors == []
        browser.close(page)


@pytest.fixture(scope="package")
def tabs() -> dict[str, Page]:
    """The pages that are only looked at: each is opened once for all tests."""
    return {}


@pytest.fixture
def seen(browser: Browser, three_site: Path, tabs: dict[str, Page]) -> Iterator[Any]:
    """A page as `shown` gives it, for tests that leave it as they found it."""

    def see(name: str, width: int, theme: str) -> Page:
        if name not in tabs:
            tabs[name] = browser.open(three_site / f"{name}.html", width=width, theme=theme)
        tabs[name].show_in(width, theme)
        return tabs[name]

    yield see
    assert {name: page.errors for name, page in tabs.items() if page.errors} == {}
