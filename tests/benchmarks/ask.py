"""The page Ask: how large it is, and how long a reader waits in Chromium, by the rows it holds."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from reports.ask.engine import read_engine
from reports.ask.page import embedded_page
from reports.ask.rows import RowChoice, read_rows
from reports.site.links import Links
from reports.site.rendering import document
from sql.session import open_session
from tests.benchmarks.measure import Figure
from tests.support.services.browser import Page, running_browser
from tests.support.synthetic import write_large_dataset

# Prompts of 60 tokens, of two models of 48 heads each: 175,680 rows a prompt.
PROMPTS = {"1 M": 6, "10 M": 57}
FIRST_SECONDS = {"1 M": 4.0, "10 M": 10.0}
SCAN = (
    "select model, layer, avg(weight) as mean from attention where key = 0 "
    "group by all order by all"
)
ONE_HEAD = "select avg(weight) from attention where model = 'a' and layer = 3 and head = 2"


def figures() -> Iterator[Figure]:
    """Megabytes of the page, then seconds until an answer: the first, a full scan, one head."""
    engine = read_engine()
    assert engine is not None, "the set-up has not made the engine"
    for name, n_prompts in PROMPTS.items():
        with tempfile.TemporaryDirectory() as folder:
            dataset = write_large_dataset(Path(folder) / "dataset", n_prompts)
            with open_session(dataset) as session:
                rows = read_rows(session, RowChoice(limit=10**9), engine.size)
            links = Links((), is_single=False)
            file = Path(folder) / "ask.html"
            links = Links([], is_single=True)
            text = document([embedded_page(engine, rows)], ["ask"], links)
            file.write_text(text, encoding="utf-8")
            yield Figure(
                f"Ask, {rows.n_rows:,} rows: page", file.stat().st_size / 1e6, 80, 60, " MB"
            )
            with running_browser() as browser:
                page = browser.open(file)
                first = _seconds(page, "select count(*) from models")
                yield Figure(
                    f"Ask, {name} rows: first answer", first, FIRST_SECONDS[name], 2.0, " s"
                )
                yield Figure(f"Ask, {name} rows: full scan", _seconds(page, SCAN), 4, 1, " s")
                yield Figure(f"Ask, {name} rows: one head", _seconds(page, ONE_HEAD), 1, 0.1, " s")


def _seconds(page: Page, sql: str) -> float:
    """From the question to its answer on the page."""
    began = time.perf_counter()
    page.evaluate(
        "(document.documentElement.dataset.ask = '', "
        f"document.getElementById('ask-sql').value = {json.dumps(sql)}, "
        "document.getElementById('ask-form').requestSubmit(), true)"
    )
    while page.evaluate("document.documentElement.dataset.ask") != "answered":
        time.sleep(0.01)
    assert page.evaluate("document.getElementById('ask-error').textContent") == ""
    return time.perf_counter() - began
