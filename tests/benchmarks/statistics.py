"""What statistics cost on many heads and on many prompts: seconds and memory, nothing kept."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from reports.site.pages import write_report
from sql.session import open_session
from tests.benchmarks.measure import Figure, best, peak_of
from tests.benchmarks.queries import LARGE, drawn_dataset
from tests.support.synthetic import SyntheticModel

_PASSES = ("head_products", "block_profiles")
_STATISTICS = (
    *("verdicts", "match_statistics", "pair_summary", "migration_map", "published_criterion"),
    *("split_halves", "match_intervals", "same_index_tests", "model_similarities"),
)
_MANY = tuple(SyntheticModel(name, n_layers=6, n_heads=8) for name in ("a", "b", "c"))
# 10,000 prompts of 9 to 17 tokens, 91 rows each on average, of 144 heads.
_N_ROWS = 10_000 * 144 * 91


def figures(rounds: int) -> Iterator[Figure]:
    """A whole report and its intervals of 612 heads; all statistics of 10,000 prompts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = drawn_dataset(folder / "large", 66_000_000, LARGE, (30, 84))
        works = {"report": partial(_report, large, folder / "pages")}
        seconds = best(works, rounds)["report"]
        peaks = (peak_of(works["report"]),)
        what = "report of 612 heads, 60 prompts, 66 M rows"
        yield Figure(what, seconds, 15, 10, " s", peaks=peaks)
        seconds = min(_asked(large, ("match_intervals",)) for _ in range(rounds))
        yield Figure("match_intervals of the same, after the pass", seconds, 2, 1, " s")
        many = drawn_dataset(folder / "many", _N_ROWS, _MANY, (9, 17))
        seconds = min(_asked(many, _STATISTICS) for _ in range(rounds))
        peaks = (peak_of(partial(_asked, many, _STATISTICS)),)
        what = "all statistics of 10,000 prompts, 3 models of 48 heads, after the pass"
        yield Figure(what, seconds, 30, 5, " s", peaks=peaks)


def _report(dataset: Path, out: Path) -> None:
    shutil.rmtree(dataset / "views", ignore_errors=True)
    with open_session(dataset) as session:
        write_report(session, out)


def _asked(dataset: Path, views: Sequence[str]) -> float:
    """Seconds that all rows of some views take, once the rows of attention were read."""
    shutil.rmtree(dataset / "views", ignore_errors=True)
    with open_session(dataset) as session:
        for view in _PASSES:
            session.rows(f"select count(*) from {view}")
        began = time.perf_counter()
        for view in views:
            session.rows(f"select count(*) from {view}")
        return time.perf_counter() - began
