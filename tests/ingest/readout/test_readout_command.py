"""`headswap readout` as a command: what it adds, how it goes on, what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from ingest.appending import Addition
from ingest.dataset.manifest import read_manifest
from ingest.dataset.verification import verify
from ingest.readout import pipeline
from sql.session import open_session
from tests.support.interrupted import content
from tests.support.models.bundles import TOKENIZER
from tests.support.rewritten import Rows, rewrite
from tests.support.running import REFERENCE, Run

N_LAYERS, N_HEADS, N_PROMPTS = 3, 4, 12


@pytest.fixture
def dataset(ingested_reference: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ingested_reference, tmp_path / "dataset"))


def test_classes_are_read_out_where_steps_begin(dataset: Path, run: Run) -> None:
    assert run("readout", dataset, "--class", "mine=the;close").code == 0
    with open_session(dataset) as session:
        rows = session.rows(
            "select prompt_id, position, tokens.token from layer_readouts "
            "inner join tokens using (prompt_id, position) "
            "where layer = 0 and model = 'adhd' order by all"
        )
        followed = session.rows(
            "select prompt_id, position from tokens where "
            "token in ('<|steps|>', '<|sep|>') order by all"
        )
    assert {row["token"] for row in rows} == {"<|steps|>", "<|sep|>"}
    assert [(row["prompt_id"], row["position"]) for row in rows] == [
        (row["prompt_id"], row["position"]) for row in followed
    ]


def test_only_what_is_missing_is_added(dataset: Path, run: Run) -> None:
    def added(*words: str) -> dict[str, int]:
        outcome = run("readout", dataset, "--model=adhd", *words, "--json")
        assert outcome.code == 0, outcome.err
        assert run("verify", dataset).code == 0
        return {table: counts["adhd"] for table, counts in json.loads(outcome.out)["added"].items()}

    (counted,) = _rows(
        dataset,
        "select count(*) as n, count(*) filter (token in ('<|steps|>', '<|sep|>')) as n_onsets "
        "from tokens",
    )
    n_tokens, n_onsets = counted["n"], counted["n_onsets"]
    a_position = N_LAYERS
    writes = n_tokens * N_LAYERS * N_HEADS
    assert added() == {"layer_readouts": 0, "head_writes": writes}
    assert added("--class=a=the") == {"layer_readouts": n_onsets * a_position, "head_writes": 0}
    before = content(dataset)
    assert added("--class=a=the") == {"layer_readouts": 0, "head_writes": 0}
    assert content(dataset) == before
    more = n_tokens - n_onsets
    found = added("--class=a=the", "--class=b=close", "--all-positions")
    assert found["layer_readouts"] == (more + n_tokens) * a_position
    (row,) = _rows(dataset, "select count(*) as n from layer_readouts where token_class = 'a'")
    assert row["n"] == n_tokens * a_position
    outcome = run("readout", dataset, "--class=a=close")
    assert outcome.code == 2
    assert "holds a class 'a' of other phrases: the" in outcome.err


def _rows(dataset: Path, query: str) -> list[dict[str, Any]]:
    with open_session(dataset) as session:
        return session.rows(query)


@pytest.mark.parametrize("n_files", [0, 1, 30])
def test_an_interrupted_read_out_goes_on_to_the_same_bytes(
    n_files: int, dataset: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_MAX_TOKENS_A_BATCH", 1)
    undisturbed = Path(shutil.copytree(dataset, tmp_path / "undisturbed"))
    assert run("readout", undisturbed, "--class=a=the").code == 0
    assert len(list(undisturbed.glob("head_writes/*/*.parquet"))) == 2 * N_PROMPTS
    before, n_noted = read_manifest(dataset), 0
    note = Addition._note

    def stop(self: Any, entry: Any) -> None:
        nonlocal n_noted
        if n_noted == n_files:
            raise KeyboardInterrupt
        n_noted += 1
        note(self, entry)

    with monkeypatch.context() as patched:
        patched.setattr(Addition, "_note", stop)
        assert run("readout", dataset, "--class=a=the").code == 130
    assert read_manifest(dataset) == before
    assert run("readout", dataset, "--class=a=the").code == 0
    assert content(dataset) == content(undisturbed)


def _set(**values: Any) -> Callable[[Rows], object]:
    return lambda rows: rows[0].update(values)


@pytest.mark.parametrize(
    ("table", "change", "what"),
    [
        ("layer_readouts", _set(probability=1.5), "a probability below 0 or above 1"),
        ("layer_readouts", _set(position=999), "a position that its prompt lacks"),
        ("layer_readouts", _set(token_class="x"), "a token_class that token_classes lacks"),
        ("layer_readouts", lambda rows: rows.pop(), "lacks a layer at a position"),
        ("head_writes", _set(output_norm=-1.0), "an output_norm below 0"),
        ("head_writes", _set(value_norm=float("nan")), "value_norm that is not finite"),
        ("head_writes", _set(position=-1), "a position that its prompt lacks"),
        ("head_writes", _set(direct_logit=None), "a direct_logit where no token follows, or none"),
        ("head_writes", lambda rows: rows.pop(), "lacks a head at a position"),
    ],
)
def test_a_broken_row_is_found(
    table: str, change: Callable[[Rows], object], what: str, reference_dataset: Path, tmp_path: Path
) -> None:
    dataset = Path(shutil.copytree(reference_dataset, tmp_path / "copy"))
    path = rewrite(dataset, table, change)
    (problem,) = [problem for check in verify(dataset) for problem in check.problems]
    assert problem.path == path
    assert what.replace("an output", "a output") in problem.what


def test_a_model_with_more_than_a_norm_and_an_unembedding_is_refused(
    run: Run, tmp_path: Path
) -> None:
    """Gemma 2 squashes its logits at the end."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": 325,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 32,
        "head_dim": 8,
        "intermediate_size": 48,
        "max_position_embeddings": 128,
    }
    config = Gemma2Config(**sizes, final_logit_softcapping=2.0)
    Gemma2ForCausalLM(config).save_pretrained(tmp_path / "model")
    shutil.copy(TOKENIZER, tmp_path / "model")
    dataset = tmp_path / "dataset"
    assert run("ingest", f"--model=mine={tmp_path / 'model'}", "--out", dataset).code == 0
    before = content(dataset)
    outcome = run("readout", dataset, "--class=a=the")
    assert outcome.code == 2
    assert "differs from the model's own logits" in outcome.err
    assert {path: digest for path, digest in content(dataset).items() if path in before} == before


def test_a_text_without_steps_has_no_onsets(run: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("close the box\n")
    dataset = tmp_path / "dataset"
    model = f"--model=mine={REFERENCE / 'standard'}"
    assert run("ingest", model, "--prompts", tmp_path / "texts.txt", "--out", dataset).code == 0
    outcome = run("readout", dataset, "--class=a=the")
    assert outcome.code == 2
    assert "has steps" in outcome.err
    assert "--all-positions" in outcome.err
    assert run("readout", dataset, "--class=a=the", "--all-positions").code == 0
    assert _rows(dataset, "select * from class_probability_by_layer") == []
