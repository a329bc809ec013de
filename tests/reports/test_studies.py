"""`headswap run` and `headswap init`: studies read, run, run again, and refused where unsound."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headswap import command_line
from ingest.dataset.manifest import checksum_of, read_manifest
from ingest.demo.text import load_corpus
from ingest.prompts.classes import PhraseClass, parse_classes
from reports.study import commands
from reports.study.built_in import EXAMPLE, built_in_studies
from reports.study.study import Generate, Study, read_study
from sql.console.options import engine_from, parameters_from
from sql.engines.engine import EngineChoice
from sql.parameters import Parameters, parse_claim
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
    assert checked["sound"]
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
    assert [line.split()[2] for line in shown] == ["ingest", "verify", "report"]
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
    entry = read_manifest(dataset).files_of("attention")[1]
    table = pq.ParquetFile(dataset / entry.path).read()
    weights = table["weight"].to_numpy().copy()
    weights[3] += 0.01
    damaged = table.set_column(
        table.schema.get_field_index("weight"), "weight", pa.array(weights, pa.float32())
    )
    pq.write_table(damaged, dataset / entry.path)
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["tables"]["attention"][1]["bytes"] = (dataset / entry.path).stat().st_size
    manifest["sha256"] = checksum_of(manifest)
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    outcome = run("run", study)
    assert outcome.code == 1
    assert "is not sound" in outcome.err
    assert not page.exists()


def test_init_writes_an_example_that_reads_and_overwrites_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("init")
    assert (outcome.code, outcome.out) == (0, "study.toml\n")
    study = read_study("study.toml")
    assert study.models == {"standard": "demo:standard-1", "adhd": "demo:adhd-shared"}
    (tmp_path / "study.toml").write_text("mine")
    outcome = run("init")
    assert outcome.code == 2
    assert "study.toml exists already" in outcome.err
    assert (tmp_path / "study.toml").read_text() == "mine"


@pytest.fixture
def opened_example(tmp_path: Path) -> Study:
    """The example with its comments opened, so that every key has a value."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    opened = [
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line
        for line in lines
    ]
    assert opened != lines
    path = tmp_path / "study.toml"
    path.write_text("\n".join(line for line in opened if "NAME = " not in line))
    return read_study(str(path))


def test_every_setting_of_the_example_is_read(opened_example: Study, tmp_path: Path) -> None:
    assert opened_example.prompts.given("file", "variant", "structural") == {
        "file": str(tmp_path / "prompts.jsonl"),
        "variant": "standard",
        "structural": r"^\s*[.,;:!?]$",
    }
    assert opened_example.run.given("device", "dtype", "precision", "trust_remote_code") == {
        "device": "auto",
        "dtype": "float32",
        "precision": "float32",
        "trust_remote_code": False,
    }
    assert opened_example.effects.given("ablate", "attribution", "token_classes") == {
        "ablate": ("zero",),
        "attribution": ("zero",),
        "token_classes": {"rest": ("deep breath", "pause")},
    }
    assert opened_example.generate == Generate(
        prompts=str(tmp_path / "tasks.jsonl"),
        seeds=5,
        ablate={"standard": ("L3H5",), "adhd": ("L1H1", "L0H0+L1H1")},
        kind="zero",
        temperature=1.0,
        top_k=40,
        max_new_tokens=256,
    )
    assert opened_example.analysis == Parameters(
        bins=20,
        reference_model="standard",
        reference_layer=3,
        reference_head=0,
        pairs=(("standard", "adhd"),),
        groups=(("one", ("standard", "standard-twin")), ("two", ("adhd", "adhd-twin"))),
        similarity="profile_centred",
        claims=(parse_claim("standard:L3H0 ~ adhd:L3H5 above same index"),),
    )
    assert opened_example.engine == EngineChoice(
        "spark", "spark://HOST:7077", tmp_path / "warehouse"
    )


def options_of(command: list[str]) -> dict[str, Any]:
    """What the command line understands, by the names of the command's parameters."""
    program, *words = command
    with command_line().make_context(program, list(words)) as context:
        name, found, rest = command_line().resolve_command(context, words)
        assert found
        return found.make_context(name, rest, parent=context).params


def test_the_commands_shown_mean_what_the_study_says(opened_example: Study) -> None:
    study = opened_example
    ingest = options_of(commands.ingest_command(study))
    assert ingest["models"] == tuple(f"{name}={source}" for name, source in study.models.items())
    assert (str(ingest["prompts"]), ingest["out"]) == (study.prompts.file, study.dataset)
    given = study.prompts.given("variant", "structural")
    given |= study.run.given("device", "dtype", "precision", "trust_remote_code")
    assert given.items() <= ingest.items()

    ablate = options_of(commands.ablate_command(study))
    readout = options_of(commands.readout_command(study))
    assert ablate["dataset"] == readout["dataset"] == study.dataset
    assert ablate["models"] == readout["models"] == tuple(study.models)
    assert (ablate["kinds"], ablate["heads"]) == (study.effects.ablate, ())
    assert parse_classes(readout["classes"]) == [PhraseClass("rest", ("deep breath", "pause"))]

    attribution = options_of(commands.attribution_command(study))
    assert (attribution["kinds"], attribution["method"]) == (("zero",), "attribution")
    asked = study.generate
    assert asked is not None
    for model in study.models:
        generate = options_of(commands.generate_command(study, model))
        ablations = asked.ablate.get(model, ())
        assert (generate["models"], generate["ablations"]) == ((model,), ablations)
        assert generate["prompts_file"] == asked.prompts
        given = asked.given("seeds", "kind", "temperature", "top_k", "max_new_tokens")
        assert given.items() <= generate.items()

    verify = options_of(commands.verify_command(study))
    report = options_of(commands.report_command(study))
    claims = options_of(commands.claims_command(study))
    assert [options["dataset"] for options in (verify, report, claims)] == [study.dataset] * 3
    assert report["out"] == study.report
    assert parameters_from(report) == replace(study.analysis, claims=())
    assert parameters_from(claims) == study.analysis
    assert engine_from(report) == engine_from(claims) == study.engine
    assert not verify["quick"]


def test_built_in_studies_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("interpgpt").mkdir()  # as an earlier run leaves it
    studies = ["data-or-seed", "demo", "interpgpt", "polypythias", "pythia"]
    assert built_in_studies() == studies
    released = read_study("interpgpt", tmp_path)
    assert released.models == {
        "standard": "connaaa/interpgpt-standard-23M",
        "adhd": "connaaa/interpgpt-adhd-23M",
    }
    assert (released.dataset, released.report) == (tmp_path / "dataset", tmp_path / "report")
    assert commands.report_command(released) == [
        "headswap",
        "report",
        str(tmp_path / "dataset"),
        f"--out={tmp_path / 'report'}",
        "--reference=standard:L3H0",
    ]
    assert read_study("interpgpt").dataset == Path("interpgpt/dataset")


def test_the_demo_reads_out_the_actions_that_its_text_was_made_with() -> None:
    effects = read_study("demo").effects
    assert effects.token_classes == {"regulation": load_corpus().regulation_actions}
    assert effects.ablate == ("zero",)


def test_sources_are_told_from_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "study.toml").write_text(
        'dataset = "d"\nreport = "r"\n[models]\na = "mine"\nb = "org/name@main"\n'
        'c = "demo:adhd-shared"\n'
    )
    assert read_study(str(tmp_path / "study.toml")).models == {
        "a": str(tmp_path / "mine"),
        "b": "org/name@main",
        "c": "demo:adhd-shared",
    }


START = 'dataset = "d"\nreport = "r"\n'
MODELS = '[models]\na = "demo:standard-1"\nb = "demo:adhd-shared"\n'
ANALYSIS = START + MODELS + "[analysis]\n"
EFFECTS = START + MODELS + "[effects]\n"
UNSOUND = {
    "no TOML": ("dataset = \n", "no valid TOML: Invalid value (at line 1"),
    "nested too deeply": ("dataset = " + "[" * 100_000, "no valid TOML: it is nested too deeply"),
    "a number too long": (START + "bins = " + "9" * 5000, "no valid TOML: Exceeds the limit"),
    "no models": (START, "names no model"),
    "no dataset": ('report = "r"\n' + MODELS, "study.toml: 'dataset' is missing"),
    "unknown key": (START + "color = 1\n" + MODELS, "line 3: unknown key 'color'\n"),
    "unknown key of a section": (
        START + MODELS + "[run]\ndevise = 'cpu'\n",
        "line 7: unknown key 'devise' in [run]\n"
        "Hint: did you mean device? known are device, dtype, precision, trust_remote_code",
    ),
    "unknown key of the name that a section has": (
        START + 'file = "p.jsonl"\n[prompts]\nfile = "p.jsonl"\n' + MODELS,
        "line 3: unknown key 'file'\nHint: known are dataset, report, models",
    ),
    "unknown section": (START + MODELS + "[prompt]\n", "line 6: unknown key 'prompt'"),
    "section that is a value": (
        'prompts = "p.jsonl"\n' + START + MODELS,
        "line 1: 'prompts' is a text, not a table of keys",
    ),
    "wrong type": (ANALYSIS + 'bins = "20"\n', "line 7: 'bins' in [analysis] is a text, not a"),
    "wrong type in an inline table": (
        START + 'run = {device = 1}\n[models]\na = "a"\n',
        "line 3: 'device' in [run] is a whole number, not a text",
    ),
    "a model that is a number": (
        START + '[models]\nb = "b"\na = 1\n',
        "line 5: 'a' in [models] is a whole number, not a text",
    ),
    "a name that no model can have": (START + '[models]\n"../a" = "a"\n', "cannot name a model"),
    "a home of nobody": (START + '[models]\na = "~nobody-at-all/x"\n', "is not a folder"),
    "bins that are none": (ANALYSIS + "bins = 0\n", "line 7: 0 bins are not possible"),
    "a pair of one": (ANALYSIS + 'pairs = [["a"]]\n', "line 7: ['a'] is not a pair of models"),
    "a pair of strangers": (
        ANALYSIS + 'pairs = [["a", "c"]]\n',
        "line 7: 'c' is not one of the models\nHint: they are a, b",
    ),
    "a pair of numbers": (
        ANALYSIS + "pairs = [[1, 2]]\n",
        "line 7: 'pairs[0][0]' in [analysis] is a whole number, not a text",
    ),
    "an unknown similarity": (
        ANALYSIS + 'bins = 2\nsimilarity = "profil"\n',
        "line 8: there is no similarity 'profil'",
    ),
    "no claim": (ANALYSIS + 'claims = ["a is b"]\n', "line 7: 'a is b' is not a claim"),
    "a claim about a stranger": (
        ANALYSIS + 'claims = ["a:L0H0 ~ c:L0H0 best match"]\n',
        "line 7: 'c' is not one of the models",
    ),
    "an unknown kind of ablation": (
        EFFECTS + 'ablate = ["none"]\n',
        "line 7: there is no kind of ablation 'none'\nHint: choose of zero, mean, resample",
    ),
    "a kind named twice": (EFFECTS + 'ablate = ["zero", "zero"]\n', "line 7: a kind of ablation"),
    "a class without phrases": (
        EFFECTS + "token_classes = {rest = []}\n",
        "line 7: the class 'rest' has no phrase",
    ),
    "a class of another name than any": (
        EFFECTS + 'token_classes = {"a b" = ["c"]}\n',
        "line 7: 'a b' cannot name a class of tokens",
    ),
    "a phrase that is two": (
        EFFECTS + 'token_classes = {rest = ["a;b"]}\n',
        "line 7: 'a;b' is not a phrase of a class",
    ),
    "a class of a section of its own": (
        EFFECTS + '[effects.token_classes]\nrest = ["@file"]\n',
        "line 7: '@file' is not a phrase of a class",
    ),
    "an ablation that is a text": (
        EFFECTS + 'ablate = "zero"\n',
        "line 7: 'ablate' in [effects] is a text, not a",
    ),
    "a model that is nowhere": (START + '[models]\na = "nowhere"\n', "nowhere is not a folder"),
    "unknown device": (
        START + MODELS + '[run]\ndevice = "tpu"\n',
        "there is no device 'tpu'\nHint: choose one of auto, cpu, cuda, mps",
    ),
    "a reference that is none": (
        ANALYSIS + 'reference = "third"\n',
        "line 7: 'third' names no head",
    ),
    "a reference in a stranger": (
        ANALYSIS + 'reference = "c:L0H0"\n',
        "line 7: 'c' is not one of the models",
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
