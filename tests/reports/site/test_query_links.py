"""Every link to a query: its rows are what the page shows beside it, number by number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reports.ask.page import ServedQuestions
from reports.site.pages import write_report
from sql.access.limits import SANDBOX
from sql.parameters import Parameters
from sql.session import Session, open_session
from tests.support.reports.beside import Beside
from tests.support.reports.chart_checks import CHARTS
from tests.support.reports.links import QueryLink, parsed, query_links
from tests.support.reports.text_checks import TEXTS
from tests.support.synthetic import PROMPTS, SyntheticModel, write_synthetic_dataset

# Drawn by scripts: test_followed_links holds these against what the page shows.
BY_SCRIPTS = {"heads", "head"}


def check_of(link: QueryLink) -> tuple[str, Callable[[Beside], None]]:
    """The only check of a link."""
    if link.chart:
        found = {key: check for key, check in CHARTS.items() if link.chart.startswith(key)}
    else:
        found = {key: check for key, check in TEXTS.items() if re.match(key, link.what)}
    assert len(found) == 1, (link.what, list(found))
    return next(iter(found.items()))


@pytest.fixture(scope="module")
def sites(
    reference_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Session, Path]]]:
    """Sites that together show everything, each with the session that it was made with."""
    folder = tmp_path_factory.mktemp("linked")
    checkpoints = [
        SyntheticModel(f"{run}{step}", n_heads=4, seed=step, source=f"org/{run}@step{step}")
        for run, step in (("a", 0), ("a", 10), ("a", 1000), ("b", 0), ("b", 10))
    ]
    groups_of = (("first", ("a0", "a10", "a1000")), ("second", ("b0", "b10")))
    two = [SyntheticModel("one"), SyntheticModel("other", places=(4, 0, 5, 1, 2, 3), noise=0.02)]
    made = {
        "reference": (reference_dataset, Parameters()),
        "checkpoints": (
            write_synthetic_dataset(folder / "runs", checkpoints, PROMPTS * 3),
            Parameters(groups=groups_of),
        ),
        "two": (
            write_synthetic_dataset(folder / "two", two),
            Parameters(similarity="profile_whitened", bins=9),
        ),
        "single": (write_synthetic_dataset(folder / "single", two[:1]), Parameters()),
    }
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(open_session(dataset, parameters))
            for name, (dataset, parameters) in made.items()
        }
        yield {
            name: (session, write_report(session, folder / f"{name}-site").parent)
            for name, session in opened.items()
        }


def test_every_link_leads_to_the_numbers_beside_it(sites: dict[str, tuple[Session, Path]]) -> None:
    used = set()
    for name, (session, site) in sites.items():
        for path in site.glob("*.html"):
            root = parsed(path.read_text(encoding="utf-8"))
            for link in query_links(root):
                if path.stem in BY_SCRIPTS and link.is_followed:
                    continue
                key, check = check_of(link)
                used.add(key)
                try:
                    check(Beside(root, link, session.rows(link.sql)))
                except AssertionError as error:
                    error.add_note(f"{name}, {path.stem}: {link.what}\n{link.sql}")
                    raise
    assert used == {*CHARTS, *TEXTS}


def test_a_served_site_has_the_same_links(
    sites: dict[str, tuple[Session, Path]], tmp_path: Path
) -> None:
    session, site = sites["two"]
    write_report(session, tmp_path, questions=ServedQuestions(SANDBOX))
    n_links = 0
    for path in site.glob("*.html"):
        own, served = (
            [(link.what, link.sql) for link in query_links(parsed(text.read_text("utf-8")))]
            for text in (path, tmp_path / path.name)
        )
        assert own == served
        n_links += len(served)
    assert n_links > 20
