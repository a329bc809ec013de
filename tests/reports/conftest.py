"""The pages of two models as a site in a browser, for the tests of what they show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.site.pages import write_report
from reports.study.runs import PairNumbers, Run, append_run
from sql.parameters import Parameters
from sql.session import Session, open_session
from tests.support.services.browser import Browser, Page, running_browser
from tests.support.synthetic import PROMPTS, SyntheticModel, write_synthetic_dataset

PLACES = (4, 0, 5, 1, 2, 3)
MODELS = [
    SyntheticModel("standard", source="org/run@step0"),
    SyntheticModel("adhd", places=PLACES, noise=0.02, source="org/run@step1000"),
]
HOSTILE = ("</script><script>window.hacked=1</script>", ("<!--", "<img src=x onerror=hacked=1>"))
RUN = Run(
    time="2026-11-23T10:00:00Z",
    headswap="0.1.0",
    dataset="a" * 64,
    fingerprint="",
    row_files="",
    page="index.html",
    files={},
    unchanged=False,
    seconds=1.5,
    models=("standard", "adhd"),
    n_prompts=4,
    reference="standard:L0H0",
    pairs=(PairNumbers("adhd", "adhd:L0H1", 0.987654, 0.5, None, 0.04, True),),
    claims=(),
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    path = tmp_path_factory.mktemp("site") / "dataset"
    dataset = write_synthetic_dataset(path, MODELS, (*PROMPTS, HOSTILE))
    with open_session(dataset, Parameters(similarity="profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def site(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages, with two runs of which the second changed a verdict."""
    out = tmp_path_factory.mktemp("pages")
    append_run(out, RUN)
    turned = replace(RUN.pairs[0], holds=False, cosine=0.4)
    append_run(out, replace(RUN, time="2026-11-24T10:00:00Z", pairs=(turned,)))
    return write_report(session, out).parent


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture
def opened(browser: Browser, site: Path) -> Iterator[Any]:
    """Opens a page of the site by its name; closes it after the test, which had no error."""
    pages: list[Page] = []

    def open_page(name: str) -> Page:
        pages.append(browser.open(site / f"{name}.html"))
        return pages[-1]

    yield open_page
    for page in pages:
        assert page.errors == []
        assert page.evaluate("typeof window.hacked") == "undefined"
        browser.close(page)


@pytest.fixture(scope="session")
def remembered() -> Run:
    """A run as a study remembers it."""
    return RUN
