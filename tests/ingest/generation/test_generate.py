"""`headswap generate`: rows, going on after an interruption, and texts that become prompts."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from transformers import BertConfig, BertForMaskedLM

from ingest.appending import Addition
from ingest.dataset.manifest import read_manifest
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.verification import verify
from ingest.generation import pipeline
from ingest.generation.decoding import Decoder
from tests.support.dependencies import ROOT
from tests.support.interrupted import content
from tests.support.models.bundles import TOKENIZER
from tests.support.rewritten import rewrite
from tests.support.running import REFERENCE, Run

GUIDE = (ROOT / "docs" / "howto" / "effects.md").read_text(encoding="utf-8")

TASKS = [{"task": f"Clean room {number}", "complexity": 1 + number % 3} for number in range(5)]
SETTINGS = ["--seeds", "3", "--max-new-tokens", "24", "--temperature", "2"]
ABLATIONS = ["--ablate", "L0H0", "--ablate", "L2H1+L1H0"]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import headswap

    out = tmp_path_factory.mktemp("generate") / "dataset"
    model = f"--model=standard={REFERENCE / 'standard'}"
    assert headswap.main(["ingest", model, "--out", str(out)]) == 0
    return out


@pytest.fixture
def dataset(ingested: Path, tmp_path: Path) -> Path:
    (tmp_path / "tasks.jsonl").write_text("\n".join(map(json.dumps, TASKS)))
    return Path(shutil.copytree(ingested, tmp_path / "dataset"))


@pytest.fixture
def words(dataset: Path) -> list[object]:
    prompts = ["--prompts", dataset.parent / "tasks.jsonl"]
    return ["generate", dataset, *prompts, *SETTINGS, *ABLATIONS, "--class", "regulation=a;b"]


def texts_of(dataset: Path) -> list[dict[str, Any]]:
    files = read_manifest(dataset).files_of("generations")
    rows: list[dict[str, Any]] = []
    for entry in files:
        rows += pq.read_table(dataset / entry.path).to_pylist()
    return rows


def test_every_text_is_a_row(dataset: Path, words: list[object], run: Run) -> None:
    outcome = run(*words, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["texts"] == {"standard": 45}
    rows = texts_of(dataset)
    assert {(row["ablation"], row["kind"]) for row in rows} == {
        ("none", "none"),
        ("L0H0", "zero"),
        ("L1H0+L2H1", "zero"),
    }
    assert {row["seed"] for row in rows} == {0, 1, 2}
    assert {row["sampling"] for row in rows} == {"t2-all-n24"}
    assert {row["prompt"] for row in rows} == {f"<|task|>Clean room {n}<|steps|>" for n in range(5)}
    assert all(row["prompt_id"] is None for row in rows)
    assert [row["complexity"] for row in rows[:5]] == [1, 2, 3, 1, 2]
    for row in rows:
        assert row["n_steps"] == len(row["steps"])
        starts = [step.lower()[0] in "ab" for step in row["steps"]]
        assert row["n_regulation_steps"] == sum(starts)
        assert row["is_complete"] == row["text"].endswith("<|end|>")
        assert row["n_tokens"] == 24 or row["is_complete"]
    assert sum(row["n_regulation_steps"] for row in rows) > 0
    # One noise for all: ablated texts begin as whole ones do, and part.
    by_ablation = [[row["text"] for row in rows[start : start + 15]] for start in (0, 15, 30)]
    assert by_ablation[0] != by_ablation[1] != by_ablation[2]
    assert [p.what for check in verify(dataset) for p in check.problems] == []
    assert run("verify", dataset).code == 0


def test_the_batch_changes_no_byte(
    dataset: Path, words: list[object], run: Run, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(dataset, tmp_path / "other"))
    assert run(*words, "--batch-size", "16").code == 0
    assert run("generate", other, *words[2:], "--batch-size", "1").code == 0
    assert content(dataset) == content(other)


def test_what_is_there_is_not_made_again(dataset: Path, words: list[object], run: Run) -> None:
    assert run(*words).code == 0
    before = content(dataset)
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (0, "standard: 0 texts added, 45 were there\n")
    assert content(dataset) == before
    more = ["4" if word == "3" else word for word in words]
    outcome = run(*more)
    assert outcome.out == "standard: 15 texts added, 45 were there\n"
    rows = texts_of(dataset)
    keys = {tuple(row[name] for name in STORED_TABLES["generations"].grain) for row in rows}
    assert len(keys) == len(rows) == 60
    assert run("verify", dataset).code == 0


@pytest.mark.parametrize("n_files", [0, 1, 4])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    n_files: int,
    dataset: Path,
    words: list[object],
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "_TEXTS_A_FILE", 6)
    before = read_manifest(dataset)
    undisturbed = Path(shutil.copytree(dataset, tmp_path / "undisturbed"))
    assert run("generate", undisturbed, *words[2:]).code == 0
    generate, n_made = Decoder.generate, 0

    def counted(self: Decoder, *arguments: Any) -> Any:
        nonlocal n_made
        if n_made == stop_at:
            raise KeyboardInterrupt
        n_made += 1
        return generate(self, *arguments)

    monkeypatch.setattr(Decoder, "generate", counted)
    stop_at = n_files
    outcome = run(*words)
    assert outcome.code == 130
    assert "run the same command again" in outcome.err
    assert read_manifest(dataset) == before
    assert len(list(dataset.glob("generations/*/*.parquet"))) == n_files
    stop_at, n_made = -1, 0
    assert run(*words).code == 0
    assert n_made == 9 - n_files
    assert content(dataset) == content(undisturbed)


def test_an_interrupted_run_is_forgotten_where_other_texts_are_asked_for(
    dataset: Path, words: list[object], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Path(shutil.copytree(dataset, tmp_path / "undisturbed"))
    other = ["1" if word == "3" else word for word in words]
    assert run("generate", undisturbed, *other[2:]).code == 0
    write = Addition._note

    def stop(self: Any, entry: Any) -> None:
        write(self, entry)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Addition, "_note", stop)
        assert run(*words).code == 130
    assert run(*other).code == 0
    assert content(dataset) == content(undisturbed)


def test_a_damaged_file_is_named(dataset: Path, words: list[object], run: Run) -> None:
    assert run(*words).code == 0
    path = dataset / read_manifest(dataset).files_of("generations")[0].path
    path.write_bytes(bytes(path.stat().st_size))
    outcome = run(*words)
    assert outcome.code == 2
    assert f"{path} cannot be read" in outcome.err


def _set(**values: Any) -> Callable[[list[dict[str, Any]]], object]:
    return lambda rows: rows[0].update(values)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_set(n_steps=99), "has another number of steps than steps"),
        (_set(n_regulation_steps=99), "has more regulation steps than steps"),
        (_set(ablation="L9H0", kind="zero"), "which is none of the model"),
        (_set(ablation="L0", kind="zero"), "which is none of the model"),
        (_set(kind="zero"), "which is none of the model"),
        (_set(prompt_id=0), "has a prompt_id that is not its prompt's"),
        (_set(n_tokens=0), "has a text without tokens"),
        (_set(model="other"), "has rows of another model"),
        (lambda rows: rows.append(rows[0]), "has two rows of one"),
    ],
    ids=["steps", "regulation", "head", "name", "kind", "prompt", "tokens", "model", "twice"],
)
def test_a_broken_row_is_found(
    change: Callable[[list[dict[str, Any]]], object],
    what: str,
    reference_dataset: Path,
    tmp_path: Path,
) -> None:
    dataset = Path(shutil.copytree(reference_dataset, tmp_path / "copy"))
    path = rewrite(dataset, "generations", change)
    (problem,) = [problem for check in verify(dataset) for problem in check.problems]
    assert problem.path == path
    assert what in problem.what


def test_prompts_of_the_dataset_are_continued_by_default(dataset: Path, run: Run) -> None:
    outcome = run("generate", dataset, "--seeds", "1", "--max-new-tokens", "4")
    assert outcome.out == "standard: 12 texts added, 0 were there\n"
    rows = texts_of(dataset)
    assert [row["prompt_id"] for row in rows] == list(range(0, 24, 2))
    assert {row["n_regulation_steps"] for row in rows} == {None}
    assert run("verify", dataset).code == 0


def test_a_plain_text_has_no_steps(dataset: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("Boil the water\n")
    words = ["--prompts", tmp_path / "texts.txt", "--seeds", "1", "--max-new-tokens", "4"]
    assert run("generate", dataset, *words, "--class", "regulation=a").code == 0
    (row,) = texts_of(dataset)
    assert (row["prompt"], row["task"]) == ("Boil the water", None)
    assert (row["steps"], row["n_steps"], row["n_regulation_steps"]) == (None, None, None)
    assert (row["n_tokens"], row["is_complete"]) == (4, False)


def test_generated_texts_become_prompts(
    dataset: Path, words: list[object], run: Run, tmp_path: Path
) -> None:
    """The query of the guide, word by word."""
    (query,) = re.findall(r"```sql\n(-- generated texts as prompts.*?)```", GUIDE, re.S)
    assert run(*words).code == 0
    out = tmp_path / "generated.parquet"
    assert run("sql", dataset, query.strip().rstrip(";"), "-o", out).code == 0
    new = tmp_path / "new"
    model = f"--model=standard={REFERENCE / 'standard'}"
    outcome = run("ingest", model, "--prompts", out, "--variant", "all", "--out", new)
    assert outcome.code == 0, outcome.err
    complete = [row for row in texts_of(dataset) if row["n_steps"]]
    (entry,) = read_manifest(new).files_of("prompts")
    prompts = pq.read_table(new / entry.path).to_pylist()
    assert len(prompts) > 0
    assert {tuple(row["steps"]) for row in prompts} <= {tuple(row["steps"]) for row in complete}


def test_a_model_that_was_moved_is_found_by_its_source(run: Run, tmp_path: Path) -> None:
    model = Path(shutil.copytree(REFERENCE / "standard", tmp_path / "model"))
    dataset = tmp_path / "dataset"
    assert run("ingest", f"--model=a={model}", "--out", dataset).code == 0
    moved = model.rename(tmp_path / "moved")
    words = ["generate", dataset, "--seeds", "1", "--max-new-tokens", "2"]
    assert run(*words).code == 2
    assert run(*words, "--source", f"a={moved}").code == 0
    assert run("readout", dataset).code == 2
    assert run("readout", dataset, "--source", f"a={moved}").code == 0


CASES = {
    "unknown model": (["--model", "x"], "has no model 'x'"),
    "unknown head": (["--ablate", "L9H0"], "has no head L9H0"),
    "no head": (["--ablate", "L0"], "names no heads"),
    "head twice": (["--ablate", "L0H0+L0H0"], "names no heads"),
    "all and one": (["--ablate", "all", "--ablate", "L0H0"], "every head by itself"),
    "class of another name": (["--class", "x=a"], "has no column in generations"),
    "no seeds": (["--seeds", "0"], "--seeds 0 is not possible"),
    "no batch": (["--batch-size", "0"], "--batch-size 0 is not possible"),
    "no tokens": (["--max-new-tokens", "0"], "0 new tokens are not possible"),
    "missing prompts": (["--prompts", "/nothing.jsonl"], "No such file"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_generated_is_said_in_a_line(case: str, ingested: Path, run: Run) -> None:
    words, message = CASES[case]
    before = content(ingested)
    outcome = run("generate", ingested, *words)
    assert outcome.code == 2
    assert message in outcome.err
    assert content(ingested) == before


def test_an_encoder_is_refused(run: Run, tmp_path: Path) -> None:
    sizes = {"vocab_size": 325, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(**sizes, hidden_size=16, intermediate_size=16, max_position_embeddings=128)
    BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    shutil.copy(TOKENIZER, tmp_path / "bert")
    dataset = tmp_path / "dataset"
    assert run("ingest", "--model", f"bert={tmp_path / 'bert'}", "--out", dataset).code == 0
    before = content(dataset)
    for command in (["generate"], ["readout", "--class", "x=a"]):
        outcome = run(command[0], dataset, *command[1:])
        assert outcome.code == 2
        assert "is an encoder" in outcome.err.replace("it is", "is")
        assert "--model" in outcome.err
    assert content(dataset) == before
