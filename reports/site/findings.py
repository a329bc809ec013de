"""What the tests found, for the card of a dataset: sentences with their numbers, a figure."""

from __future__ import annotations

from pathlib import Path

from ingest.dataset.cards.findings import FIGURE_NAME, FINDINGS_NAME, findings_text
from ingest.kernel.files import write_text_aside
from reports.data.report import Head
from reports.data.verdicts import (
    count_sentence,
    match_sentence,
    read_verdict,
    same_index_sentence,
)
from reports.figures.figure_files import write_figure
from reports.figures.figures import profiles
from sql.session import Session, open_session


def write_findings(dataset: Path) -> None:
    """Writes into a dataset's folder what its card shows of the analyses.

    Of a dataset in which nothing is structural there is no reference head, and so nothing to tell.

    Raises: as `sql.session.open_session`.
    """
    with open_session(dataset) as session:
        found = session.rows("select model, layer, head from reference_head")
        if not found:
            return
        reference = Head(**found[0])
        sentences = _sentences(session, reference)
        write_figure(profiles(session), dataset / FIGURE_NAME)
        text = findings_text(session.dataset.manifest, sentences, f"Profiles of {reference}")
    write_text_aside(dataset / FINDINGS_NAME, text)


def _sentences(session: Session, reference: Head) -> list[str]:
    """Per other model: is the reference head matched, are many heads, are those of one index?"""
    sentences = [f"The reference head is {reference}."]
    for model in session.dataset.manifest.models:
        if model.name == reference.model:
            continue
        verdict = read_verdict(session, reference, model.name)
        sentences += [
            f"{match_sentence(reference, verdict)}.",
            f"{count_sentence(verdict)}.",
            f"{reference.model} and {model.name} by index: {same_index_sentence(verdict)}.",
        ]
    return sentences
