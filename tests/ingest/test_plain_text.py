"""Plain text from prompts to page: no variants, no markers, structure by a pattern."""

from __future__ import annotations

from pathlib import Path

from sql.session import open_session
from tests.support.running import REFERENCE, Run


def test_plain_text_is_reported_without_naming_a_variant(run: Run, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("Wash the cup. Dry it.\nFold shirts, then rest.\n")
    dataset = tmp_path / "dataset"
    models = [f"--model={name}={REFERENCE / name}" for name in ("standard", "adhd")]
    prompts = f"--prompts={tmp_path / 'prompts.txt'}"
    outcome = run("ingest", *models, prompts, "--structural=[.,]", "--out", dataset)
    assert outcome.code == 0, outcome.err
    with open_session(dataset) as session:
        assert session.parameters.variant == "all"
        (row,) = session.rows("select count(*) as n from analysed_prompts")
        assert row["n"] == 2
    outcome = run("report", dataset, "--out", tmp_path / "report")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "report" / "index.html").is_file()
