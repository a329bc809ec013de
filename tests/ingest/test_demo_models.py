"""The stored demo models: their size, their files, and the figures that are told of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import pytest

torch = pytest.importorskip("torch")

from ingest.demo import evaluate as evaluation  # noqa: E402
from ingest.demo.saved_bundle import (  # noqa: E402
    MODELS_FOLDER,
    TOKENIZER_NAME,
    WEIGHTS_NAME,
    load_bundle,
)
from ingest.demo.text import VARIANTS, generate_pairs  # noqa: E402
from ingest.demo.train import LOG_NAME, RECIPES  # noqa: E402
from ingest.kernel.errors import InputError  # noqa: E402

STORED_BYTES = 16_000_000
N_RECOMPUTED_PAIRS = 24
OTHER = {"standard": "adhd", "adhd": "standard"}


@pytest.fixture(scope="module")
def figures():
    return json.loads(evaluation.EVALUATION_FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=list(RECIPES))
def model(request):
    """Name, network and tokenizer of a stored model."""
    return request.param, *load_bundle(MODELS_FOLDER / request.param)


def test_models_stored_are_those_of_the_recipes():
    assert {folder.name for folder in MODELS_FOLDER.iterdir()} == set(RECIPES)


def test_models_stored_within_their_size():
    stored = [path.stat().st_size for path in MODELS_FOLDER.rglob("*") if path.is_file()]
    assert sum(stored) <= STORED_BYTES


def test_models_share_one_tokenizer():
    assert len({(MODELS_FOLDER / name / TOKENIZER_NAME).read_bytes() for name in RECIPES}) == 1


@pytest.mark.parametrize("name", RECIPES)
def test_bundle_has_the_released_names_and_shapes(name):
    bundle = torch.load(MODELS_FOLDER / name / WEIGHTS_NAME, weights_only=True)
    config, state = bundle["config"], bundle["model_state_dict"]
    assert {type(value) for value in config.values()} <= {bool, int, float, str}
    assert (config["n_layers"], config["n_heads"], config["d_model"]) == (6, 8, 96)
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    assert shapes["embed.W_E"] == shapes["unembed.W_U"][::-1] == (config["d_vocab"], 96)
    assert shapes["blocks.5.attn.W_Q"] == shapes["blocks.0.attn.W_V"] == (8, 96, 12)
    assert shapes["blocks.5.attn.W_O"] == (8, 12, 96)
    assert shapes["blocks.0.mlp.W_gate"] == shapes["blocks.0.mlp.W_in"] == (96, 264)
    assert state["embed.W_E"].data_ptr() == state["unembed.W_U"].data_ptr()
    assert not any(tensor.any() for key, tensor in state.items() if ".b_" in key)


@pytest.mark.parametrize("missing", [WEIGHTS_NAME, TOKENIZER_NAME])
def test_load_incomplete_folder_is_an_input_error(tmp_path, missing):
    for name in {WEIGHTS_NAME, TOKENIZER_NAME} - {missing}:
        (tmp_path / name).write_bytes((MODELS_FOLDER / "standard-1" / name).read_bytes())
    with pytest.raises(InputError, match=missing) as raised:
        load_bundle(tmp_path)
    assert raised.value.hint == "train it: python -m ingest.demo.train"


def test_pattern_rows_are_causal_and_sum_to_one(model):
    _, network, _ = model
    with torch.no_grad():
        patterns = network.patterns(torch.arange(40).reshape(2, 20))
    assert patterns.shape == (6, 2, 8, 20, 20)
    assert torch.allclose(patterns.sum(-1), torch.ones(()), atol=1e-5)
    assert not patterns.triu(1).any()


def test_figures_are_of_the_stored_weights(figures):
    for name, recipe in RECIPES.items():
        weights = (MODELS_FOLDER / name / WEIGHTS_NAME).read_bytes()
        assert figures[name]["weights_sha256"] == hashlib.sha256(weights).hexdigest()
        assert figures[name]["variant"] == recipe.variant


def test_loss_is_lower_on_the_own_variant_than_the_other_models(figures):
    for variant in VARIANTS:
        own = [figures[name] for name, recipe in RECIPES.items() if recipe.variant == variant]
        others = [figures[name] for name, recipe in RECIPES.items() if recipe.variant != variant]
        worst_own = max(item["held_out"][variant]["loss_nats"] for item in own)
        best_other = min(item["held_out"][variant]["loss_nats"] for item in others)
        assert worst_own < best_other


def test_regulation_probability_is_the_adhd_models(figures):
    for name, recipe in RECIPES.items():
        onset = figures[name]["held_out"][recipe.variant]["regulation_onset_probability"]
        if recipe.variant == "adhd":
            assert onset >= 0.15
        else:
            assert onset <= 0.01


def test_loss_flattened_in_the_last_quarter(figures):
    for item in figures.values():
        training = item["training"]
        assert training["last_quarter_from_step"] >= 0.7 * training["n_steps"]
        whole = training["first_held_out_loss_nats"] - training["last_held_out_loss_nats"]
        assert abs(training["last_quarter_drop_nats"]) < 0.01 * whole


def test_figures_recomputed_on_fewer_prompts_agree(model, figures):
    name, network, tokenizer = model
    records = generate_pairs("held-out", N_RECOMPUTED_PAIRS, evaluation.HELD_OUT_SEED)
    found = evaluation.measure(network, tokenizer, records)
    for variant in VARIANTS:
        told = figures[name]["held_out"][variant]
        assert found[variant].loss_nats == pytest.approx(told["loss_nats"], rel=0.15)
        assert found[variant].regulation_onset_probability == pytest.approx(
            told["regulation_onset_probability"], abs=0.03
        )
    own = RECIPES[name].variant
    assert found[own].loss_nats < found[OTHER[own]].loss_nats


def test_figures_of_the_paired_tasks_are_recomputed_exactly(model, figures):
    name, network, tokenizer = model
    found = evaluation.measure(network, tokenizer, evaluation.read_paired_tasks())
    for variant in VARIANTS:
        assert asdict(found[variant]) == pytest.approx(
            figures[name]["paired_tasks"][variant], rel=1e-3, abs=1e-6
        )


def test_training_log_tells_the_recipe(figures):
    for name, recipe in RECIPES.items():
        lines = (MODELS_FOLDER / name / LOG_NAME).read_text(encoding="utf-8").splitlines()
        first, *steps = map(json.loads, lines)
        assert {key: first[key] for key in asdict(recipe)} == asdict(recipe)
        assert steps[-1]["step"] == recipe.n_steps == figures[name]["training"]["n_steps"]
        assert steps[-1]["held_out_loss_nats"] < steps[0]["held_out_loss_nats"]


def test_evaluate_without_models_says_how_to_train(tmp_path, capsys):
    assert evaluation.main(["--models", str(tmp_path), "--out", str(tmp_path / "out.json")]) == 2
    assert "Hint: train it: python -m ingest.demo.train" in capsys.readouterr().err


def test_table_has_a_line_for_each_measure(figures):
    whole = {
        name: evaluation.Evaluation(
            **{
                **item,
                "training": evaluation.Training(**item["training"]),
                **{
                    prompts: {
                        variant: evaluation.Measures(**measures)
                        for variant, measures in item[prompts].items()
                    }
                    for prompts in ("held_out", "paired_tasks")
                },
            }
        )
        for name, item in figures.items()
    }
    lines = evaluation.table(whole).splitlines()
    assert len(lines) == 1 + len(RECIPES) * 2 * len(VARIANTS)
    assert all(line.split()[0] in RECIPES for line in lines[1:])
