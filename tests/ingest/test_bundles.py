"""Bundles of both families against plain forwards; hostile and unsuitable ones are refused."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ingest.dataset.reader import open_dataset
from sql.session import open_session
from tests.support.models.bundles import (
    GPT2,
    LLAMA,
    SMALL,
    Sizes,
    config_of,
    gpt2_patterns,
    gpt2_state,
    llama_patterns,
    llama_state,
    write_bundle,
)
from tests.support.running import Outcome, Run, stored_patterns, token_ids

RELEASED_PARAMETERS = 23_471_104
PROMPTS = (
    {"pair_id": 0, "variant": "standard", "task": "Make tea", "steps": ["Boil water", "Pour it"]},
    {"pair_id": 1, "variant": "standard", "task": "Clean the kitchen", "steps": ["Wash dishes"]},
)


@pytest.fixture
def ingest(run: Run, tmp_path: Path) -> Callable[[Path], Outcome]:
    """Ingests a model on two short prompts into tmp_path / "dataset"."""

    def ingest_model(folder: Path) -> Outcome:
        prompts = tmp_path / "prompts.jsonl"
        prompts.write_text("\n".join(map(json.dumps, PROMPTS)))
        words = ["--model", f"mine={folder}", "--prompts", prompts, "--out", tmp_path / "dataset"]
        return run("ingest", *words)

    return ingest_model


def assert_patterns_equal(
    dataset: Path, expected: Callable[[list[int]], Tensor], atol: float = 1e-5
) -> None:
    with open_session(dataset) as session:
        for prompt_id in range(len(PROMPTS)):
            stored = stored_patterns(session, "mine", prompt_id)
            oracle = expected(token_ids(session, "mine", prompt_id)).numpy()
            causal = np.tril(np.ones(stored.shape[-2:], dtype=bool))
            assert np.isnan(stored[..., ~causal]).all()
            np.testing.assert_allclose(stored[..., causal], oracle[..., causal], atol=atol)


def test_bundle_of_the_released_shape_equals_a_plain_forward(
    ingest: Callable[[Path], Outcome], tmp_path: Path
) -> None:
    sizes = Sizes()
    state = llama_state(sizes, seed=3)
    outcome = ingest(write_bundle(tmp_path / "model", config_of(sizes, **LLAMA), state))
    assert outcome.code == 0, outcome.err
    assert_patterns_equal(tmp_path / "dataset", lambda ids: llama_patterns(sizes, state, ids))
    (row,) = open_dataset(tmp_path / "dataset").read_table("models").to_pylist()
    assert row["n_parameters"] == RELEASED_PARAMETERS
    assert (row["n_layers"], row["n_heads"], row["d_model"], row["d_vocab"]) == (6, 8, 512, 8197)


@pytest.mark.parametrize("norms", ["LN", "LNPre"])
def test_gpt2_like_bundle_equals_a_plain_forward(
    norms: str, ingest: Callable[[Path], Outcome], tmp_path: Path
) -> None:
    state = gpt2_state(SMALL, seed=4, is_folded=norms == "LNPre")
    config = config_of(SMALL, **(GPT2 | {"normalization_type": norms}))
    outcome = ingest(write_bundle(tmp_path / "model", config, state))
    assert outcome.code == 0, outcome.err
    assert_patterns_equal(tmp_path / "dataset", lambda ids: gpt2_patterns(SMALL, state, ids))
    (row,) = open_dataset(tmp_path / "dataset").read_table("models").to_pylist()
    assert row["architecture"] == "GPT2LMHeadModel"


UNSUITABLE: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "positions of another kind": (
        GPT2,
        {"positional_embedding_type": "shortformer"},
        "positional_embedding_type = 'shortformer'",
    ),
    "rotary of neighbours": (
        LLAMA,
        {"rotary_adjacent_pairs": True},
        "rotary_adjacent_pairs = True",
    ),
    "rotary of a part": (LLAMA, {"rotary_dim": 4}, "rotary_dim = 4"),
    "grouped queries": (LLAMA, {"n_key_value_heads": 2}, "n_key_value_heads = 2"),
    "Llama with another activation": (LLAMA, {"act_fn": "gelu"}, "act_fn = 'gelu'"),
    "GPT-2 with another activation": (GPT2, {"act_fn": "solu_ln"}, "act_fn = 'solu_ln'"),
    "GPT-2 without norms": (GPT2, {"normalization_type": None}, "normalization_type = None"),
    "attention alone": (GPT2, {"attn_only": True}, "attn_only = True"),
    "attention beside the MLP": (GPT2, {"parallel_attn_mlp": True}, "parallel_attn_mlp = True"),
    "another scale": (LLAMA, {"attn_scale": 8.0}, "attn_scale = 8.0"),
    "heads that do not fill d_model": (GPT2, {"d_model": 40}, "do not make d_model = 40"),
    "no size": (LLAMA, {"n_layers": None}, "n_layers = None"),
    "a size that is a text": (LLAMA, {"d_model": "32"}, "d_model = '32'"),
    "more layers than weights": (LLAMA, {"n_layers": 3}, "the weights lack blocks.2."),
    "fewer layers than weights": (LLAMA, {"n_layers": 1}, "blocks.1."),
    "another width": (LLAMA, {"d_mlp": 64}, "has the shape [32, 48]"),
    "another number of heads": (LLAMA, {"n_heads": 2}, "has the shape [4, 32, 8]"),
    "a smaller vocabulary": (LLAMA, {"d_vocab": 300}, "embed.W_E has the shape [325, 32]"),
}


@pytest.mark.parametrize("case", UNSUITABLE)
def test_bundle_that_is_neither_family_is_refused_by_name(
    case: str, ingest: Callable[[Path], Outcome], tmp_path: Path
) -> None:
    family, changes, message = UNSUITABLE[case]
    state = llama_state(SMALL, 0) if family is LLAMA else gpt2_state(SMALL, 0)
    folder = write_bundle(tmp_path / "model", config_of(SMALL, **family) | changes, state)
    assert_refused(ingest(folder), message, tmp_path)


class RunsCode:
    """Pickles to a call of os.system that leaves a file behind."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.canary}",)


def bundle_with(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        state = llama_state(SMALL, 0)
        change(state)
        write_bundle(folder, config_of(SMALL, **LLAMA), state)

    return write


def with_value(name: str, value: float) -> Callable[[dict[str, Tensor]], object]:
    def change(state: dict[str, Tensor]) -> None:
        state[name] = state[name].clone()
        state[name].view(-1)[7] = value

    return change


def with_huge_tensor(state: dict[str, Tensor]) -> None:
    """A kilobyte that unfolds to 4 TB."""
    state["embed.W_E"] = torch.zeros(1).expand(10**9, 1024)


def rewrite(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """Writes a sound bundle, then changes its file."""

    def write(folder: Path) -> None:
        write_bundle(folder, config_of(SMALL, **LLAMA), llama_state(SMALL, 0))
        change(folder / "hooked_transformer.pt")

    return write


def compress(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def huge_storage(path: Path) -> None:
    """Rewrites the pickle so that one storage claims far more values than its record holds."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    (name,) = (name for name in entries if name.endswith("data.pkl"))
    sizes = (325 * 32).to_bytes(2, "little")  # M: a two-byte whole number, the embedding's size
    assert b"M" + sizes in entries[name]
    claimed = b"J" + (2**31 - 1).to_bytes(4, "little")  # J: a four-byte one
    entries[name] = entries[name].replace(b"M" + sizes, claimed)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)


def save_in_the_old_format(path: Path) -> None:
    content = {"config": config_of(SMALL, **LLAMA), "model_state_dict": llama_state(SMALL, 0)}
    torch.save(content, path, _use_new_zipfile_serialization=False)


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a tensor larger than the file": (bundle_with(with_huge_tensor), "more than the file holds"),
    "a storage larger than its record": (rewrite(huge_storage), "no readable bundle"),
    "compressed": (rewrite(compress), "is compressed"),
    "truncated": (
        rewrite(lambda path: path.write_bytes(path.read_bytes()[:-5000])),
        "no readable bundle",
    ),
    "empty": (rewrite(lambda path: path.write_bytes(b"")), "no readable bundle"),
    "before zip": (rewrite(save_in_the_old_format), "no readable bundle"),
    "NaN": (bundle_with(with_value("blocks.1.attn.W_K", np.nan)), "blocks.1.attn.W_K holds values"),
    "infinite": (bundle_with(with_value("blocks.0.mlp.W_in", np.inf)), "not finite"),
    "a bias in a Llama": (bundle_with(with_value("blocks.0.attn.b_Q", 1.0)), "attn.b_Q has no"),
    "an unknown tensor": (
        bundle_with(lambda state: state.update({"blocks.0.attn.W_new": torch.ones(2)})),
        "blocks.0.attn.W_new has no place",
    ),
    "a list for a tensor": (
        bundle_with(lambda state: state.update({"ln_final.w": [1.0]})),  # type: ignore[dict-item]
        "ln_final.w in 'model_state_dict' is no tensor",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_bundle_is_refused(
    case: str, ingest: Callable[[Path], Outcome], tmp_path: Path
) -> None:
    write, message = HOSTILE[case]
    write(tmp_path / "model")
    assert_refused(ingest(tmp_path / "model"), message, tmp_path)


@pytest.mark.parametrize("place", ["config", "model_state_dict", "beside them"])
def test_code_in_a_bundle_never_runs(
    place: str, ingest: Callable[[Path], Outcome], tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    parts: dict[str, dict[str, Any]] = {
        "config": config_of(SMALL, **LLAMA),
        "model_state_dict": dict(llama_state(SMALL, 0)),
        "beside them": {},
    }
    folder = write_bundle(tmp_path / "model", {}, {})
    parts[place]["trap"] = RunsCode(canary)
    torch.save(parts, folder / "hooked_transformer.pt")
    assert_refused(
        ingest(folder), "needs a type that headswap does not load: posix.system", tmp_path
    )
    assert not canary.exists()
    torch.load(folder / "hooked_transformer.pt", weights_only=False)  # the trap is a real one
    assert canary.exists()


def assert_refused(outcome: Outcome, message: str, folder: Path) -> None:
    assert outcome.code == 2, outcome.err
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) <= 2
    assert not (folder / "dataset").exists()


def test_config_entries_are_stored_as_plain_values(
    ingest: Callable[[Path], Outcome], tmp_path: Path
) -> None:
    config: Mapping[str, Any] = config_of(SMALL, **LLAMA)
    assert isinstance(config["attn_scale"], np.float64)
    assert ingest(write_bundle(tmp_path / "model", config, llama_state(SMALL, 0))).code == 0
    stored = json.loads((tmp_path / "dataset" / "manifest.json").read_text())
    assert stored["models"][0]["config"]["attn_scale"] == SMALL.d_head**0.5
