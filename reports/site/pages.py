"""The site of a dataset: its pages, as files of a folder or all in one file."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path

from ingest.dataset.outside import check_outside_datasets
from ingest.kernel.errors import InputError
from ingest.kernel.files import write_text_aside, write_texts_aside
from ingest.kernel.progress import Progress
from reports.ask.page import EmbeddedQuestions, Questions
from reports.ask.rows import RowChoice
from reports.data import effect_wording, wording
from reports.data.effects import read_effects
from reports.data.prompt_texts import read_prompt_texts
from reports.data.provenance import read_provenance
from reports.data.queries import read_report
from reports.data.report import Report
from reports.data.trends import read_trends
from reports.site import drawings
from reports.site.atlas import N_MATCHES, as_json, read_atlas
from reports.site.links import Links
from reports.site.rendering import GENERATOR, MENU, Page, document, fill, script_json
from reports.study.runs import HISTORY_NAME, Run, changes, read_runs
from sql.session import Session

PAGE_NAME = "index.html"
# The page of the runs lists the latest.
_MOST_RUNS = 200
# Characters of a page within which it says who made it.
_HEAD_LENGTH = 300
_EMBEDDED = EmbeddedQuestions(RowChoice())


def write_report(
    session: Session,
    out: Path,
    single_file: bool = False,
    report: Report | None = None,
    questions: Questions | None = _EMBEDDED,
) -> Path:
    """Writes the pages of a dataset into a folder; returns the path of the first, `index.html`.

    single_file: all of them in that one file. report: what `read_report` read of this session, None
    to read it. questions: who answers those of the page Ask, None for no such page. The same
    dataset, parameters and earlier runs give the same bytes, the packed rows of Ask aside, which
    DuckDB writes in another order of their words each time.

    Raises: InputError where no stored prompt is of the variant that was asked for, what was asked
    of the page Ask does not fit, or `out` is a file or in a dataset; HeadswapError where a page
    cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file", hint="give a folder with --out")
    check_outside_datasets(out)
    if questions is not None:
        questions.check(session)
    report = report or read_report(session)
    # Before the others, which lead to it.
    ask = None if questions is None else questions.page(session)
    names = (model.name for model in session.dataset.manifest.models)
    links = Links(names, single_file, has_ask=ask is not None)
    pages = []
    with Progress("report", len(MENU), "pages") as progress:
        for page in itertools.chain(
            _pages(session, report, links, ask),
            [_history(read_runs(out), links)],
        ):
            pages.append(page)
            progress.add(1)
    site = [page.name for page in pages]
    if single_file:
        texts = {out / PAGE_NAME: document(pages, site, links)}
    else:
        texts = {out / f"{page.name}.html": document([page], site, links) for page in pages}
    # The first page last: whoever finds it finds the others.
    write_texts_aside(dict(reversed(texts.items())))
    _remove_others(out, kept=texts.keys())
    return out / PAGE_NAME


def _remove_others(out: Path, kept: Collection[Path]) -> None:
    """Deletes the pages that an earlier report left, nothing that headswap did not write."""
    for name in MENU:
        path = out / f"{name}.html"
        if path in kept or not path.is_file():
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            if GENERATOR in file.read(_HEAD_LENGTH):
                path.unlink()


def write_history(out: Path) -> None:
    """Writes the page of the runs anew, from the runs that a report folder remembers."""
    runs = read_runs(out)
    # Of the dataset that the pages beside it are about.
    links = Links(runs[-1].models if runs else (), is_single=False)
    page = _history(runs, links)
    site = [name for name in MENU if name == page.name or (out / f"{name}.html").is_file()]
    write_text_aside(out / HISTORY_NAME, document([page], site, links))


def _pages(session: Session, report: Report, links: Links, ask: Page | None) -> Iterator[Page]:
    atlas, trends = read_atlas(session), read_trends(session)
    others = [verdict.other for verdict in report.verdicts]
    effects = read_effects(session, report.reference.head, others)
    shared = (("atlas", script_json(as_json(atlas))),)
    yield Page(
        "index",
        wording.headline(report),
        fill(
            "finding.html",
            link=links,
            report=report,
            effects=effects,
            figures=drawings.finding(report),
        ),
        has_charts=True,
    )
    yield Page(
        "heads",
        wording.heads_title(report, atlas.n_heads),
        fill("heads.html", link=links, atlas=atlas, trends=trends, figures=drawings.trends(trends)),
        scripts=("questions.js", "pictures.js", "atlas.js", "heads.js"),
        has_charts=True,
        data=shared,
    )
    place = f"{report.reference.head.model}:{report.reference.head.index}"
    yield Page(
        "head",
        str(report.reference.head),
        fill(
            "head.html",
            link=links,
            atlas=atlas,
            effects=effects,
            reference=report.reference.head,
            n_matches=N_MATCHES,
        ),
        scripts=("questions.js", "pictures.js", "atlas.js", "looks.js", "head.js"),
        has_charts=True,
        data=(
            *shared,
            ("reference_head", script_json(place)),
            ("head_effects", script_json(effect_wording.head_sentences(effects))),
            *drawings.templates(report),
        ),
    )
    if report.pairs:
        yield Page(
            "swaps",
            wording.swaps_title(report),
            fill("swaps.html", link=links, report=report, figures=drawings.swaps(report)),
            scripts=("questions.js", "swaps.js"),
            has_charts=True,
            data=(("swap_captions", script_json(_linked_captions(report, links))),),
        )
    if effects:
        yield Page(
            "effects",
            effect_wording.title(effects),
            fill("effects.html", link=links, effects=effects, figures=drawings.effects(effects)),
            has_charts=True,
        )
    texts = read_prompt_texts(session)
    yield Page(
        "prompts",
        wording.prompts_title(texts.n_shown),
        fill("prompts.html", link=links, texts=texts),
        scripts=("questions.js", "prompts.js"),
    )
    if ask is not None:
        yield ask
    provenance = read_provenance(session, report)
    body = fill("data.html", link=links, report=report, provenance=provenance)
    yield Page("data", wording.data_title(report), body)


def _linked_captions(report: Report, links: Links) -> dict[str, list[str]]:
    """The titles of the charts of Swaps for each head, as HTML in which heads are links."""
    return {
        name: [str(links.text(title)) for title in titles]
        for name, titles in drawings.captions(report).items()
    }


def _history(runs: tuple[Run, ...], links: Links) -> Page:
    found = changes(runs)
    return Page(
        "history",
        wording.history_title(runs, found),
        fill(
            "history.html",
            link=links,
            runs=runs[::-1][:_MOST_RUNS],
            n_runs=len(runs),
            changes=found[::-1],
        ),
    )
