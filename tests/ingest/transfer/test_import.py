"""Attention that others computed: the rows are the arrays' own, and what is unsound is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

import headswap
from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from ingest.kernel.errors import InputError
from sql.session import Session, open_session
from tests.ingest.test_reference import rounding
from tests.support.running import REFERENCE, Reference, Run, stored_patterns
from tests.support.transfer.foreign import (
    TOKENS,
    Array,
    arrays,
    layers_of_a_batch,
    patterns,
    table,
)


def stored(dataset: Path, model: str) -> list[NDArray[np.float64]]:
    """The stored patterns; what is not stored is 0."""
    with open_session(dataset) as session:
        ids = [row["prompt_id"] for row in session.rows("select prompt_id from prompts order by 1")]
        return [np.nan_to_num(stored_patterns(session, model, number)) for number in ids]


def assert_stored(dataset: Path, made: list[Array], model: str, tolerance: float = 0.0) -> None:
    for found, expected in zip(stored(dataset, model), made, strict=True):
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= tolerance


# --- the reference --------------------------------------------------------------------------


def test_reference_patterns_become_the_rows_that_they_are(
    reference: Reference,
    reference_dataset: Path,
    reference_session: Session,
    run: Run,
    tmp_path: Path,
) -> None:
    """Within 1e-7 of the arrays; of an ingest on this processor, what its arithmetic leaves."""
    order = reference_session.rows("select prompt_id from prompts order by pair_id::integer")
    for model in ("standard", "adhd"):
        words = ["--model", model, "--array", f"{model}_pattern"]
        known = ["--tokenizer", REFERENCE / model / "tokenizer.json"]
        prompts = ["--prompts", Path("ingest/prompts/paired_tasks.jsonl")]
        out = tmp_path / model
        source = REFERENCE / "reference.npz"
        outcome = run("import", source, *words, *known, *prompts, "--out", out)
        assert outcome.code == 0, outcome.err
        assert run("verify", out).code == 0
        assert_stored(out, reference.patterns[model], model, tolerance=1e-7)
        ingested, imported = open_dataset(reference_dataset), open_dataset(out)
        for name in ("prompts", "tokens"):
            assert imported.read_table(name).equals(ingested.read_table(name))
        assert imported.manifest.prompts_sha256 == ingested.manifest.prompts_sha256
        assert imported.manifest.tokenizers == ingested.manifest.tokenizers
        largest = max(
            np.abs(found - np.nan_to_num(stored_patterns(reference_session, model, number))).max()
            for found, number in zip(
                stored(out, model), [row["prompt_id"] for row in order], strict=True
            )
        )
        assert largest < max(1e-5, 2 * rounding(model, reference))


def test_an_ingest_that_is_exported_and_imported_has_the_same_rows(
    reference_dataset: Path, run: Run, tmp_path: Path
) -> None:
    """Row for row within 1e-7, in the same files' order; then both models merge into one."""
    parts = []
    with open_session(reference_dataset) as session:
        prompts = session.rows("select prompt_id, text from prompts order by prompt_id")
        for model in ("standard", "adhd"):
            named: dict[str, Any] = {}
            for number, prompt in enumerate(prompts):
                pattern = np.nan_to_num(stored_patterns(session, model, prompt["prompt_id"]))
                tokens = session.rows(
                    "select token from tokens where prompt_id = $id order by position",
                    {"id": prompt["prompt_id"]},
                )
                named[f"attention_{number}"] = pattern.astype(np.float32)
                named[f"tokens_{number}"] = np.array([row["token"] for row in tokens])
            np.savez(tmp_path / f"{model}.npz", **named)
            parts.append(tmp_path / model)
            words = ["--prompts", Path("ingest/prompts/paired_tasks.jsonl"), "--out", parts[-1]]
            assert run("import", tmp_path / f"{model}.npz", *words).code == 0
    assert run("merge", *parts, "--out", tmp_path / "merged").code == 0
    assert run("verify", tmp_path / "merged").code == 0
    keys = [(c, "ascending") for c in ("model", "layer", "head", "prompt_id", "query", "key")]
    one, other = (
        open_dataset(path).read_table("attention").sort_by(keys)
        for path in (reference_dataset, tmp_path / "merged")
    )
    assert len(one) == len(other) > 300_000
    assert one.drop_columns("weight").equals(other.drop_columns("weight"))
    assert np.abs(one["weight"].to_numpy() - other["weight"].to_numpy()).max() <= 1e-7
    # Spans are not known: this tokenizer's tokens, decoded one by one, lack the text's blanks.
    columns = ["prompt_id", "position", "token", "role", "step_index"]
    tokens, imported = (
        open_dataset(path).read_table("tokens").select([*columns, "is_structural"])
        for path in (reference_dataset, tmp_path / "merged")
    )
    assert imported.equals(tokens)


# --- every kind of source -------------------------------------------------------------------


def _npz(folder: Path, made: list[Array]) -> tuple[Path, list[str]]:
    np.savez_compressed(folder / "mine.npz", **arrays(made))
    return folder / "mine.npz", []


def _folder(folder: Path, made: list[Array]) -> tuple[Path, list[str]]:
    """Two files, the second of which sorts before the first by its letters."""
    (folder / "mine").mkdir()
    for number, pattern, tokens in zip((2, 10), made, TOKENS, strict=True):
        np.savez(folder / "mine" / f"p{number}.npz", attention=pattern, tokens=np.array(tokens))
    return folder / "mine", []


def _safetensors(folder: Path, made: list[Array]) -> tuple[Path, list[str]]:
    texts = {f"tokens_{number}": json.dumps(tokens) for number, tokens in enumerate(TOKENS)}
    named = {f"attention_{number}": pattern for number, pattern in enumerate(made)}
    save_file(named, folder / "mine.safetensors", texts)
    return folder / "mine.safetensors", []


def _tokens_apart(folder: Path, made: list[Array]) -> tuple[Path, list[str]]:
    named: dict[str, Any] = {f"w_{number}": one for number, one in enumerate(made)}
    np.savez(folder / "mine.npz", **named)
    (folder / "tokens.json").write_text(json.dumps(TOKENS))
    return folder / "mine.npz", ["--array", "w", "--tokens", str(folder / "tokens.json")]


def _torch(folder: Path, made: list[Array]) -> tuple[Path, list[str]]:
    torch.save(layers_of_a_batch(made), folder / "mine.pt")
    (folder / "tokens.json").write_text(json.dumps(TOKENS))
    return folder / "mine.pt", ["--tokens", str(folder / "tokens.json")]


def _torch_with_mask(folder: Path, made: list[Array]) -> tuple[Path, list[str]]:
    """Padded in front, which the mask says."""
    layers = []
    for layer in layers_of_a_batch(made):
        moved = layer.clone()
        moved[1] = 0
        moved[1, :, 1:, 1:] = layer[1, :, :2, :2]
        layers.append(moved)
    tokens = [TOKENS[0], ["<pad>", *TOKENS[1]]]
    mask = torch.tensor([[1, 1, 1], [0, 1, 1]])
    saved = {"attentions": tuple(layers), "tokens": tokens, "attention_mask": mask}
    torch.save(saved | {"input_ids": torch.tensor([[4, 5, 6], [0, 7, 8]])}, folder / "mine.pt")
    return folder / "mine.pt", []


def _parquet(folder: Path, made: list[Array]) -> tuple[Path, list[str]]:
    names = {"weight": "attn", "prompt_id": "text", "query": "dst", "key": "src"}
    table(made, **names).write_parquet(folder / "mine.parquet")
    words = [f"--column={ours}={theirs}" for ours, theirs in names.items()]
    return folder / "mine.parquet", words


def _csv(folder: Path, made: list[Array]) -> tuple[Path, list[str]]:
    own = table(made).with_columns(model=pl.lit("mine"))
    other = own.with_columns(model=pl.lit("yours"), weight=pl.lit(9.0))
    pl.concat([own, other]).write_csv(folder / "mine.csv")
    return folder / "mine.csv", []


SOURCES: dict[str, Callable[[Path, list[Array]], tuple[Path, list[str]]]] = {
    "npz": _npz,
    "folder": _folder,
    "safetensors": _safetensors,
    "tokens apart": _tokens_apart,
    "torch": _torch,
    "torch with a mask": _torch_with_mask,
    "parquet": _parquet,
    "csv": _csv,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_gives_its_rows(kind: str, run: Run, tmp_path: Path) -> None:
    made = patterns()
    source, words = SOURCES[kind](tmp_path, made)
    out = tmp_path / "dataset"
    outcome = run("import", source, *words, "--out", out, "--json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert said == {"dataset": str(out), "model": "mine", "prompts": 2, "rows": 6 * (6 + 3)}
    assert_stored(out, made, "mine")
    assert run("verify", out).code == 0
    with open_session(out) as session:
        found = session.rows("select prompt_id, token from tokens order by prompt_id, position")
        texts = session.rows("select text from prompts order by prompt_id")
        (model,) = session.rows("select * from models")
        assert session.rows("select distinct mass from profiles where mass <> 0") == []
    assert [row["token"] for row in found] == [token for tokens in TOKENS for token in tokens]
    assert [row["text"] for row in texts] == ["Make tea now", "Rest."]
    assert model["is_causal"]
    unknown = {name for name, value in model.items() if value is None}
    assert unknown == {
        *("architecture", "d_model", "d_head", "n_ctx", "d_vocab", "n_parameters"),
        *("revision", "weights_sha256", "device"),
    }


def test_attention_to_later_keys_is_kept(run: Run, tmp_path: Path) -> None:
    made = patterns(is_causal=False)
    source, _ = _npz(tmp_path, made)
    (tmp_path / "d").mkdir()  # an empty folder is as good as none
    assert run("import", source, "--model", "enc", "--out", tmp_path / "d").code == 0
    assert_stored(tmp_path / "d", made, "enc")
    assert run("verify", tmp_path / "d").code == 0
    assert read_manifest(tmp_path / "d").rows_of("attention") == 6 * (9 + 4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounded_weights_are_taken_as_what_they_are(dtype: str, run: Run, tmp_path: Path) -> None:
    layers = tuple(layer.to(getattr(torch, dtype)) for layer in layers_of_a_batch(patterns()))
    torch.save({"attentions": layers, "tokens": TOKENS}, tmp_path / "mine.pt")
    assert run("import", tmp_path / "mine.pt", "--out", tmp_path / "d").code == 0
    assert read_manifest(tmp_path / "d").models[0].dtype == dtype
    assert run("verify", tmp_path / "d").code == 0
    outcome = run("import", tmp_path / "mine.pt", "--dtype", "float32", "--out", tmp_path / "e")
    assert outcome.code == 2
    assert "sum to 1 only within" in outcome.err


def test_structural_tokens_and_reports(run: Run, tmp_path: Path) -> None:
    """An import is a dataset like any other: profiles, a report, no repair."""
    source, _ = _npz(tmp_path, patterns())
    out = tmp_path / "d"
    assert run("import", source, "--structural", "e", "--out", out, "--precision=float16").code == 0
    with open_session(out) as session:
        rows = session.rows("select token from tokens where is_structural order by 1")
        assert [row["token"] for row in rows] == [" tea", "Make", "Rest"]
    assert run("verify", out).code == 0
    assert "| mine | unknown | import:" in (out / "README.md").read_text()
    second, _ = _safetensors(tmp_path, patterns()[:1] + patterns()[1:])
    words = ["--model", "second", "--structural", "e", "--precision=float16"]
    assert run("import", second, *words, "--out", tmp_path / "e").code == 0
    assert run("merge", out, tmp_path / "e", "--out", tmp_path / "both").code == 0
    assert run("report", tmp_path / "both", "--out", tmp_path / "report").code == 0
    page = "".join(path.read_text() for path in (tmp_path / "report").glob("*.html"))
    assert "unknown, as imported" in page
    assert "no command runs it again" in page
    damaged = out / read_manifest(out).tables["attention"][0].path
    damaged.write_bytes(b"x")
    outcome = run("verify", out, "--repair")
    assert outcome.code == 2
    assert "was imported, so that no model makes it again" in outcome.err


# --- in memory ------------------------------------------------------------------------------


def test_arrays_in_memory(tmp_path: Path) -> None:
    """As CircuitsVis takes a layer, as BertViz takes all, as one array, as several prompts."""
    made = patterns()
    one = made[0]
    layers = [torch.from_numpy(layer)[None] for layer in one]
    shapes: dict[str, tuple[Any, Any, list[Array]]] = {
        "layer": (one[1], TOKENS[0], [one[1:]]),
        "layers": (tuple(layers), TOKENS[0], [one]),
        "layers without a batch": (list(one), TOKENS[0], [one]),
        "array": (one, np.array(TOKENS[0]), [one]),
        "tensor": (torch.from_numpy(one).requires_grad_(), TOKENS[0], [one]),
        "prompts": (made, TOKENS, made),
        "prompts in layers": ([layers, list(made[1])], TOKENS, made),
    }
    for name, (attention, tokens, expected) in shapes.items():
        out = headswap.from_arrays(attention, tokens, tmp_path / name, model="m")
        assert out == tmp_path / name
        assert (out / "views.sql").is_file()
        assert_stored(out, expected, "m")
    with pytest.raises(InputError, match="attention of 2 prompts, but tokens of 1"):
        headswap.from_arrays(made, [TOKENS[0]], tmp_path / "none")
    with pytest.raises(InputError, match="exists already"):
        headswap.from_arrays(one, TOKENS[0], tmp_path / "layer")
    with pytest.raises(InputError, match="not \\[layer, head, query, key\\] of 2 tokens"):
        headswap.from_arrays(one, TOKENS[1], tmp_path / "none")
    assert not (tmp_path / "none").exists()
