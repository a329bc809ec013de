"""Plain text from prompts to page: no variants, no markers, structure by a pattern."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    "piped",
    [
        b"Wash the cup. Dry it.\n\nFold shirts, then rest.\n",
        b'\n{"text": "Wash the cup. Dry it."}\n{"text": "Fold shirts, then rest."}\n',
    ],
    ids=["lines", "records"],
)
def test_prompts_are_read_from_stdin(
    piped: bytes, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped)))
    dataset = tmp_path / "dataset"
    model = f"--model=standard={REFERENCE / 'standard'}"
    outcome = run("ingest", model, "--prompts", "-", "--out", dataset)
    assert outcome.code == 0, outcome.err
    with open_session(dataset) as session:
        found = session.rows("select prompt_id, text from prompts order by prompt_id")
    texts = ["Wash the cup. Dry it.", "Fold shirts, then rest."]
    assert found == [{"prompt_id": n, "text": text} for n, text in enumerate(texts)]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"text": 1}')))
    outcome = run("ingest", model, "--prompts", "-", "--out", tmp_path / "none")
    assert outcome.code == 2
    assert 'stdin, line 1: "text" is missing, empty or no text' in outcome.err
