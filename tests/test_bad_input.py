"""Every command with input that cannot be used: one clear message, exit code 2, nothing written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.running import REFERENCE, Run

STANDARD = f"standard={REFERENCE / 'standard'}"
PROMPT = {"pair_id": 0, "variant": "standard", "task": "Make tea", "steps": ["Boil water"]}


def prompts_of(*lines: object) -> Callable[[Path], list[object]]:
    """Arguments that ingest the given lines: objects are written as JSON, texts as they are."""

    def arguments(folder: Path) -> list[object]:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (folder / "prompts.jsonl").write_text("\n".join(texts))
        return ["--model", STANDARD, "--prompts", folder / "prompts.jsonl"]

    return arguments


def model_folder(*changes: Callable[[Path], object]) -> Callable[[Path], list[object]]:
    """Arguments that ingest a copy of a reference bundle with changes made to it."""

    def arguments(folder: Path) -> list[object]:
        shutil.copytree(REFERENCE / "standard", folder / "model")
        for change in changes:
            change(folder / "model")
        return ["--model", f"mine={folder / 'model'}"]

    return arguments


def without_marker(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("<|sep|>", "<|other|>"))


INGEST_CASES: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "missing prompts file": (
        lambda folder: ["--model", STANDARD, "--prompts", folder / "none.jsonl"],
        "none.jsonl: No such file",
    ),
    "missing model folder": (lambda folder: ["--model", f"a={folder / 'none'}"], "not a folder"),
    "folder without a model": (
        lambda folder: ["--model", f"a={folder}"],
        "neither hooked_transformer.pt nor config.json",
    ),
    "folder without a tokenizer": (
        model_folder(lambda folder: (folder / "tokenizer.json").unlink()),
        "no tokenizer.json",
    ),
    "broken tokenizer": (
        model_folder(lambda folder: (folder / "tokenizer.json").write_text("{")),
        "no readable tokenizer",
    ),
    "tokenizer without the markers": (model_folder(without_marker), "no token for <|sep|>"),
    "truncated bundle": (
        model_folder(lambda folder: (folder / "hooked_transformer.pt").write_bytes(b"PK\3\4xx")),
        "no readable bundle",
    ),
    "unknown demo model": (lambda _: ["--model", "a=demo:none"], "no demo model 'none'"),
    "two models with one name": (
        lambda _: ["--model", STANDARD, "--model", STANDARD],
        "two models are named 'standard'",
    ),
    "model without a name": (lambda _: ["--model", "folder"], "is not NAME=SOURCE"),
    "model name with a slash": (lambda _: ["--model", "../a=demo:adhd-1"], "cannot name a model"),
    "line that is not JSON": (prompts_of(PROMPT, "{oops"), "line 2: not JSON"),
    "line that is no object": (prompts_of("[1]"), "line 1: not a JSON object"),
    "prompt without steps": (prompts_of(PROMPT | {"steps": []}), "line 1: the prompt has no steps"),
    "steps missing": (
        prompts_of(PROMPT, {"pair_id": 1, "variant": "standard", "task": "Rest"}),
        "line 2: the prompt has no steps",
    ),
    "step that is a number": (prompts_of(PROMPT | {"steps": ["a", 1]}), "step 1 is empty or no"),
    "task missing": (prompts_of({"pair_id": 0, "variant": "standard", "steps": ["a"]}), '"task"'),
    "pair without an id": (
        prompts_of({"variant": "standard", "task": "a", "steps": ["a"]}),
        '"pair_id" is missing',
    ),
    "one pair twice": (prompts_of(PROMPT, PROMPT), "line 2: pair 0 has the variant standard"),
    "marker in the text": (prompts_of(PROMPT | {"task": "a <|sep|> b"}), "the marker <|sep|>"),
    "no prompt of the variant": (
        prompts_of(PROMPT | {"variant": "calm"}),
        "no prompt of the variant 'standard' (variants found: calm)",
    ),
    "empty prompts file": (prompts_of(), "has no prompt"),
    "prompt longer than n_ctx": (
        prompts_of(PROMPT, PROMPT | {"pair_id": 1, "steps": ["Wash every dish"] * 30}),
        "line 2: the prompt has",
    ),
}


@pytest.mark.parametrize("case", INGEST_CASES)
def test_ingest_refuses(case: str, run: Run, tmp_path: Path) -> None:
    arguments, message = INGEST_CASES[case]
    out = tmp_path / "dataset"
    outcome = run("ingest", *arguments(tmp_path), "--out", out)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) <= 4  # what was wrong, a hint, notes on what was read
    assert not out.exists()


SQL_CASES = {
    "syntax error": ("selec 1", 'syntax error at or near "selec"'),
    "unknown table": ("select * from nothing", "there is no relation 'nothing'"),
    "unknown column": ("select nothing from models", "there is no column 'nothing' in models"),
    "two statements": ("select 1; select 2", "2 statements"),
    "no statement": ("", "0 statements"),
    "not a query": ("create table a (b integer)", "CREATE statement does not only read"),
    "copy": ("copy models to 'x.csv'", "COPY statement does not only read"),
    "failing cast": ("select token::integer from tokens", "'<|task|>' is no number"),
}


# A query that fails while it runs fails in the writer of its format; the others fail before.
SQL_RUNS = [(case, "table") for case in SQL_CASES] + [
    ("failing cast", output_format) for output_format in ("csv", "json", "parquet")
]


@pytest.mark.parametrize(("case", "output_format"), SQL_RUNS)
def test_sql_refuses(case: str, output_format: str, run: Run, reference_dataset: Path) -> None:
    query, message = SQL_CASES[case]
    outcome = run("sql", reference_dataset, query, "--format", output_format)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) <= 2


PARAMETER_CASES = {
    "head that is none": (["--reference", "3.0"], "names no head"),
    "head that the model lacks": (["--reference", "L9H0"], "no head L9H0"),
    "model that the dataset lacks": (["--reference", "mine:L0H0"], "no model 'mine'"),
    "no bins": (["--bins", "0"], "0 bins are not possible"),
    "variant that is not stored": (["--variant", "adhd"], "holds the variant 'standard'"),
}


@pytest.mark.parametrize("case", PARAMETER_CASES)
def test_parameters_are_checked(case: str, run: Run, reference_dataset: Path) -> None:
    options, message = PARAMETER_CASES[case]
    outcome = run("sql", reference_dataset, "select 1", *options)
    assert outcome.code == 2
    assert message in outcome.err


def test_dataset_with_other_prompts_is_refused_unchanged(
    run: Run, reference_dataset: Path, tmp_path: Path
) -> None:
    dataset = shutil.copytree(reference_dataset, tmp_path / "dataset")
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    arguments = prompts_of(PROMPT)(tmp_path)
    outcome = run("ingest", *arguments, "--out", dataset)
    assert outcome.code == 2
    assert "is a dataset of other prompts" in outcome.err
    assert before == {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}


def test_dataset_with_another_model_of_the_name_is_refused_unchanged(
    run: Run, reference_dataset: Path, tmp_path: Path
) -> None:
    dataset = shutil.copytree(reference_dataset, tmp_path / "dataset")
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    outcome = run("ingest", "--model", f"standard={REFERENCE / 'adhd'}", "--out", dataset)
    assert outcome.code == 2
    assert "already holds another model named 'standard'" in outcome.err
    assert before == {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", [["nothing"], ["ingest"], ["sql"], ["--debug"]], ids=str)
def test_usage_errors_exit_with_2(words: list[str], run: Run) -> None:
    outcome = run(*words)
    assert outcome.code == 2
    assert re.search("`headswap.* --help` (explains the usage|lists them)", outcome.err)


def test_missing_dataset_is_named(run: Run, tmp_path: Path) -> None:
    outcome = run("sql", tmp_path / "none", "select 1")
    assert outcome.code == 2
    assert "is not a folder" in outcome.err


def test_debug_shows_the_traceback(run: Run, tmp_path: Path) -> None:
    outcome = run("--debug", "sql", tmp_path / "none", "select 1")
    assert outcome.code == 2
    assert "Traceback" in outcome.err
