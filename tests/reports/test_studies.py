"""`headswap run` and `headswap init`: studies read, run, run again, and refused where unsound."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.dataset.manifest import checksum_of, read_manifest
from reports.study.study import EXAMPLE, built_in_studies, read_study
from tests.support.running import REFERENCE, Run

STUDY = f"""
dataset = "rows"
report = "page"

[models]
standard = "{REFERENCE / "standard"}"
adhd = "{REFERENCE / "adhd"}"
twin = "{REFERENCE / "standard"}"

[prompts]
file = "prompts.jsonl"

[analysis]
reference = "standard:L1H2"
bins = 10
pairs = [["standard", "adhd"]]
"""
PROMPT = {"pair_id": 0, "variant": "standard", "task": "Make tea", "steps": ["Boil water", "Pour"]}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "prompts.jsonl").write_text(json.dumps(PROMPT))
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


def test_run_does_everything_once(run: Run, study: Path) -> None:
    first = run("run", study, "--json")
    assert first.code == 0, first.err
    ingested, checked, reported, _ = map(json.loads, first.out.splitlines())
    assert list(ingested["added"]) == ["standard", "adhd", "twin"]
    assert [check["is_sound"] for check in checked["checks"]] == [True] * 3
    page = Path(reported["page"])
    assert page == study.parent / "page" / "index.html"
    text = page.read_text(encoding="utf-8")
    assert "standard L1H2" in text
    before = _contents(study.parent)

    second = run("run", study, "--json")
    assert second.code == 0, second.err
    ingested, *_ = map(json.loads, second.out.splitlines())
    assert (ingested["added"], list(ingested["skipped"])) == ({}, ["standard", "adhd", "twin"])
    assert before == _contents(study.parent)


def _contents(folder: Path) -> dict[Path, bytes]:
    """What a folder's files hold; `runs.jsonl` grows with every run."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "runs.jsonl")
    return {path: path.read_bytes() for path in files}


def test_run_shows_the_commands_that_it_stands_for(run: Run, study: Path) -> None:
    outcome = run("run", study)
    assert outcome.code == 0, outcome.err
    shown = [line for line in outcome.err.splitlines() if line.startswith("$ ")]
    assert [line.split()[2] for line in shown] == ["ingest", "check", "report"]
    for words in ("--reference=standard:L1H2", "--bins=10", "--pair=standard:adhd"):
        assert words in shown[2]
    again = run(*shown[2].split()[2:])
    assert again.code == 0


def test_run_ingests_only_the_model_that_is_missing(run: Run, study: Path) -> None:
    twin = f'twin = "{REFERENCE / "standard"}"\n'
    study.write_text(STUDY.replace(twin, ""))
    assert run("run", study).code == 0
    study.write_text(STUDY)
    outcome = run("run", study, "--json")
    ingested = json.loads(outcome.out.splitlines()[0])
    assert (list(ingested["added"]), list(ingested["skipped"])) == (["twin"], ["standard", "adhd"])


def test_run_stops_where_the_rows_are_not_sound(run: Run, study: Path) -> None:
    assert run("run", study).code == 0
    dataset = study.parent / "rows"
    page = study.parent / "page" / "index.html"
    page.unlink()
    entry = read_manifest(dataset).models[1].attention[0]
    table = pq.ParquetFile(dataset / entry.path).read()
    weights = table["weight"].to_numpy().copy()
    weights[3] += 0.01
    damaged = table.set_column(
        table.schema.get_field_index("weight"), "weight", pa.array(weights, pa.float32())
    )
    pq.write_table(damaged, dataset / entry.path)
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["models"][1]["attention"][0]["bytes"] = (dataset / entry.path).stat().st_size
    manifest["sha256"] = checksum_of(manifest)
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    outcome = run("run", study)
    assert outcome.code == 1
    assert "the rows of adhd are not sound" in outcome.err
    assert not page.exists()


def test_init_writes_an_example_that_reads_and_overwrites_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("init")
    assert (outcome.code, outcome.out) == (0, "study.toml\n")
    study = read_study("study.toml")
    assert study.models == {"standard": "demo:standard", "adhd": "demo:adhd"}
    (tmp_path / "study.toml").write_text("mine")
    outcome = run("init")
    assert outcome.code == 2
    assert "study.toml exists already" in outcome.err
    assert (tmp_path / "study.toml").read_text() == "mine"


def test_every_setting_of_the_example_is_a_real_one(tmp_path: Path) -> None:
    """With its comments opened, the example still is a study."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    opened = [line.removeprefix("# ") if " = " in line else line for line in lines]
    assert opened != lines
    path = tmp_path / "study.toml"
    path.write_text("\n".join(line for line in opened if "NAME = " not in line))
    words = read_study(str(path)).ingest_words() + read_study(str(path)).analysis_words()
    options = ("prompts", "variant", "structural", "device", "dtype", "precision", "reference")
    for option in (*options, "bins"):
        assert any(word.startswith(f"--{option}=") for word in words)
    assert "--pair=standard:adhd" in words
    assert read_study(str(path)).claim_words()[-2:] == [
        "--claim=standard:L3H0 ~ adhd:L3H5 above same index",
        "--similarity=profile_centred",
    ]


def test_built_in_studies_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("interpgpt").mkdir()  # as an earlier run leaves it
    assert built_in_studies() == ["demo", "interpgpt"]
    released = read_study("interpgpt", tmp_path)
    assert released.models == {
        "standard": "connaaa/interpgpt-standard-23M",
        "adhd": "connaaa/interpgpt-adhd-23M",
    }
    assert released.report_words() == [
        "report",
        str(tmp_path / "dataset"),
        f"--out={tmp_path / 'report'}",
        "--reference=standard:L3H0",
    ]
    assert read_study("interpgpt").dataset == Path("interpgpt/dataset")


def test_sources_are_told_from_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "study.toml").write_text(
        'dataset = "d"\nreport = "r"\n[models]\na = "mine"\nb = "org/name@main"\nc = "demo:adhd"\n'
    )
    assert read_study(str(tmp_path / "study.toml")).models == {
        "a": str(tmp_path / "mine"),
        "b": "org/name@main",
        "c": "demo:adhd",
    }


START = 'dataset = "d"\nreport = "r"\n'
MODELS = '[models]\na = "demo:standard"\nb = "demo:adhd"\n'
UNSOUND = {
    "no TOML": ("dataset = \n", "no valid TOML: Invalid value (at line 1"),
    "no models": (START, "names no model"),
    "no dataset": ('report = "r"\n' + MODELS, '"dataset" is missing'),
    "unknown key": (START + "color = 1\n" + MODELS, "line 3: unknown key 'color'"),
    "unknown key of a section": (
        START + MODELS + "[run]\ndevise = 'cpu'\n",
        "line 7: unknown key 'devise' in [run]",
    ),
    "section that is a value": ('prompts = "p.jsonl"\n' + START + MODELS, "[prompts] is no table"),
    "wrong type": (START + MODELS + '[analysis]\nbins = "20"\n', "line 7: 'bins' in [analysis]"),
    "a model that is a number": (START + "[models]\na = 1\n", "line 4: 'a' in [models] is not a"),
    "a pair of one": (START + MODELS + '[analysis]\npairs = [["a"]]\n', "line 7: ['a'] is no pair"),
    "a pair of strangers": (
        START + MODELS + '[analysis]\npairs = [["a", "c"]]\n',
        "line 7: ['a', 'c'] is no pair",
    ),
    "a model that is nowhere": (START + '[models]\na = "nowhere"\n', "nowhere is not a folder"),
    "unknown device": (START + MODELS + '[run]\ndevice = "tpu"\n', "'tpu' is not one of"),
    "a reference that is none": (
        START + MODELS + '[analysis]\nreference = "third"\n',
        "line 7: 'third' names no head",
    ),
    "a reference in a stranger": (
        START + MODELS + '[analysis]\nreference = "c:L0H0"\n',
        "line 7: 'c:L0H0' names no head",
    ),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_unsound_study_is_refused(case: str, run: Run, tmp_path: Path) -> None:
    text, message = UNSOUND[case]
    (tmp_path / "study.toml").write_text(text)
    outcome = run("run", tmp_path / "study.toml")
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("name", ["nothing.toml", "interpgtp"])
def test_missing_study_is_named(name: str, run: Run) -> None:
    outcome = run("run", name)
    assert outcome.code == 2
    assert f"there is no study {name}" in outcome.err
    assert "demo, interpgpt" in outcome.err
