"""`--skip-unreadable`: prompts that one model cannot read are left out for all, and remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest.dataset.manifest import LeftOut, read_manifest
from reports.study.commands import ingest_command
from reports.study.study import read_study
from sql.session import open_session
from tests.support.running import REFERENCE, Run

MODELS = [f"--model={name}={REFERENCE / name}" for name in ("standard", "adhd")]
READABLE = ["Wash the cup. Dry it. Put it away.", "Fold the shirts, then rest a while."]
LONG, SHORT = "Wash the cup. " * 400, "Wash."


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    file.write_text("\n".join([READABLE[0], LONG, READABLE[1], SHORT]))
    return file


def test_they_are_left_out_for_all_models_and_listed(
    prompts: Path, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "dataset"
    words = ["ingest", f"--prompts={prompts}", "--skip-unreadable", f"--out={out}", "--json"]
    first = run(*words, MODELS[0])
    assert first.code == 0, first.err
    assert "left out for all models: 2 prompts" in first.err
    listed = json.loads(first.out)["unreadable"]
    assert [entry["prompt_id"] for entry in listed] == [1, 3]
    assert "reads at most" in listed[0]["reason"]
    assert "fewer than 5" in listed[1]["reason"]
    assert json.loads(first.out)["prompts"] == 2
    second = run(*words, MODELS[1])
    assert second.code == 0, second.err
    assert json.loads(second.out)["unreadable"] == listed
    manifest = read_manifest(out)
    assert manifest.left_out == tuple(LeftOut(**entry) for entry in listed)

    verified = json.loads(run("verify", out, "--json").out)
    assert (verified["sound"], verified["left_out"]) == (True, listed)
    assert "left out by --skip-unreadable: 2 prompts" in run("verify", out).out
    assert "--skip-unreadable" in (out / "README.md").read_text()

    # The rows are those of a file that has only the prompts that can be read.
    (tmp_path / "readable.txt").write_text("\n".join(READABLE))
    plain = tmp_path / "plain"
    words = ["ingest", *MODELS, f"--prompts={tmp_path / 'readable.txt'}", f"--out={plain}"]
    assert run(*words).code == 0
    query = (
        "select attention.model, text, layer, head, query, key, weight from attention "
        "inner join prompts using (prompt_id) order by all"
    )
    with open_session(out) as session, open_session(plain) as other:
        rows = session.query(query).fetchall()
        assert rows == other.query(query).fetchall()
        assert len(rows) > 1000
        kept = session.rows("select prompt_id, text from prompts order by prompt_id")
    assert kept == [{"prompt_id": 0, "text": READABLE[0]}, {"prompt_id": 2, "text": READABLE[1]}]
    assert read_manifest(plain).left_out is None

    report = run("report", out, "--out", tmp_path / "page")
    assert report.code == 0, report.err
    page = (tmp_path / "page" / "data.html").read_text()
    assert "2 that a model cannot read were left out" in page
    assert "--skip-unreadable" in page


def test_without_the_option_the_first_is_refused_and_the_option_named(
    prompts: Path, run: Run, tmp_path: Path
) -> None:
    outcome = run("ingest", MODELS[0], f"--prompts={prompts}", f"--out={tmp_path / 'new'}")
    assert outcome.code == 2
    assert f"{prompts}, line 2: the prompt has " in outcome.err
    assert "--skip-unreadable" in outcome.err
    assert not (tmp_path / "new" / "manifest.json").exists()


def test_a_dataset_begun_so_goes_on_so_and_is_repaired_so(
    prompts: Path, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "dataset"
    words = ["ingest", f"--prompts={prompts}", f"--out={out}"]
    assert run(*words, MODELS[0], "--skip-unreadable").code == 0
    outcome = run(*words, MODELS[1])
    assert outcome.code == 2
    assert "was made with --skip-unreadable, which left out 2 of the prompts" in outcome.err
    before = (out / "prompts.parquet").read_bytes()
    (out / "prompts.parquet").write_bytes(before[:-9] + b"?" + before[-8:])
    assert run("verify", out, "--repair", f"--prompts={prompts}").code == 0
    assert (out / "prompts.parquet").read_bytes() == before


def test_where_none_is_left_nothing_is_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("Wash.\nWash.\n")
    words = [
        "--skip-unreadable",
        f"--prompts={tmp_path / 'short.txt'}",
        f"--out={tmp_path / 'new'}",
    ]
    outcome = run("ingest", MODELS[0], *words)
    assert outcome.code == 2
    assert "no prompt is left: " in outcome.err
    assert not (tmp_path / "new" / "manifest.json").exists()


def test_a_study_may_ask_for_it(tmp_path: Path, prompts: Path, run: Run) -> None:
    study = tmp_path / "study.toml"
    study.write_text(
        f'dataset = "rows"\nreport = "page"\n[models]\nstandard = "{REFERENCE / "standard"}"\n'
        f'adhd = "{REFERENCE / "adhd"}"\n'
        f'[prompts]\nfile = "{prompts}"\nskip_unreadable = true\nstructural = "[.,]"\n'
    )
    assert "--skip-unreadable" in ingest_command(read_study(str(study)))
    outcome = run("run", study)
    assert outcome.code == 0, outcome.err
    assert len(read_manifest(tmp_path / "rows").left_out or ()) == 2
