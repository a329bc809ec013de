"""`headswap ingest` with real small models: what it stores, adds, skips and prints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from sql.session import Parameters, open_session
from tests.support import REFERENCE, Run

STANDARD = f"standard={REFERENCE / 'standard'}"


@pytest.fixture(scope="module")
def grouped_query_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved Hugging Face folder: a small Llama whose four query heads share two key heads."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=325,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.3,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    shutil.copy(REFERENCE / "standard" / "tokenizer.json", folder)
    return folder


def test_huggingface_folder_equals_output_attentions(
    run: Run, grouped_query_llama: Path, tmp_path: Path
) -> None:
    outcome = run("ingest", "--model", f"llama={grouped_query_llama}", "--out", tmp_path / "ds")
    assert outcome.code == 0
    model = LlamaForCausalLM.from_pretrained(grouped_query_llama, attn_implementation="eager")
    with open_session(tmp_path / "ds") as session:
        for prompt in session.rows("select prompt_id from prompts order by prompt_id"):
            tokens = session.rows(
                "select token_id from tokens where $prompt_id = prompt_id order by position", prompt
            )
            ids = torch.tensor([[token["token_id"] for token in tokens]])
            with torch.inference_mode():
                expected = torch.stack(model(ids, output_attentions=True).attentions)[:, 0].numpy()
            columns = session.query(
                "select layer, head, query, key, weight from attention "
                "where prompt_id = $prompt_id",
                prompt,
            ).fetchnumpy()
            stored = np.zeros_like(expected)
            stored[tuple(columns[n] for n in ("layer", "head", "query", "key"))] = columns["weight"]
            np.testing.assert_allclose(stored, expected, atol=1e-5)
        (row,) = session.rows("select * from models")
    assert (row["n_layers"], row["n_heads"], row["architecture"]) == (2, 4, "LlamaForCausalLM")
    assert row["n_parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_later_model_is_added_and_known_one_skipped(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    assert run("ingest", "--model", STANDARD, "--out", out).code == 0
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    adhd = f"adhd={REFERENCE / 'adhd'}"
    outcome = run("ingest", "--model", STANDARD, "--model", adhd, "--out", out, "--json")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    assert list(report["added"]) == ["adhd"]
    assert list(report["skipped"]) == ["standard"]
    assert before == {path: path.read_bytes() for path in before}
    dataset = open_dataset(out)
    assert dataset.read_table("models")["model"].to_pylist() == ["standard", "adhd"]
    assert len(dataset.manifest.tokenizers) == 1


def test_same_ingest_gives_the_same_bytes(
    run: Run, reference_dataset: Path, tmp_path: Path
) -> None:
    models = [f"--model={name}={REFERENCE / name}" for name in ("standard", "adhd")]
    assert run("ingest", *models, "--out", tmp_path / "again").code == 0
    assert read_manifest(tmp_path / "again") == read_manifest(reference_dataset)


def test_all_variants_are_stored_and_the_views_use_one(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    assert run("ingest", "--model", STANDARD, "--variant", "all", "--out", out).code == 2
    prompts = tmp_path / "prompts.jsonl"
    records = [
        {"pair_id": "tea", "variant": variant, "task": "Make tea", "steps": steps, "mood": 1}
        for variant, steps in (("standard", ["Boil water"]), ("adhd", ["Fill pot", "sip water"]))
    ]
    prompts.write_text("\n".join(json.dumps(record) for record in records))
    arguments = ["--model", STANDARD, "--prompts", prompts, "--variant", "all", "--out", out]
    outcome = run("ingest", *arguments)
    assert outcome.code == 0
    assert "ignored the field 'mood' in 2 records" in outcome.err
    for variant, analysed in ((None, [0]), ("adhd", [1]), ("all", [0, 1])):
        with open_session(out, Parameters(variant=variant)) as session:
            rows = session.rows("select prompt_id from prompts where is_analysed order by all")
            assert [row["prompt_id"] for row in rows] == analysed


def test_left_out_prompts_and_progress_are_shown(run: Run, tmp_path: Path) -> None:
    outcome = run("ingest", "--model", STANDARD, "--out", tmp_path / "dataset")
    assert "12 prompts of the variant standard; 12 of other variants left out" in outcome.err
    assert "100%" in outcome.err
    assert "rows/s" in outcome.err
    assert outcome.out.splitlines()[0].startswith("standard: ")


def test_prompts_alone_and_together_give_the_same_rows(
    run: Run, reference_dataset: Path, tmp_path: Path
) -> None:
    """Padding and batching change nothing beyond rounding."""
    prompts = tmp_path / "one.jsonl"
    prompts.write_text(
        '{"pair_id": 0, "variant": "standard", "task": "Clean the kitchen", "steps": '
        '["Wash dishes", "Wipe counters", "Sweep floor", "Take out trash"]}'
    )
    out = tmp_path / "dataset"
    assert run("ingest", "--model", STANDARD, "--prompts", prompts, "--out", out).code == 0
    query = (
        "select weight from attention where model = 'standard' and prompt_id = 0 "
        "order by layer, head, query, key"
    )
    with open_session(out) as alone, open_session(reference_dataset) as together:
        a, b = (session.query(query).fetchnumpy()["weight"] for session in (alone, together))
    np.testing.assert_allclose(a, b, atol=1e-5)
