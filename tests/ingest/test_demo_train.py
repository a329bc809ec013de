"""Training of the demo models: short runs of the real thing."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from ingest.demo import train as training  # noqa: E402
from ingest.demo.network import Network, Shape  # noqa: E402
from ingest.demo.saved_bundle import WEIGHTS_NAME, load_bundle  # noqa: E402
from ingest.demo.text import VARIANTS  # noqa: E402

SHORT = replace(
    training.RECIPES["standard-1"],
    n_pairs=60,
    n_logged_prompts=8,
    n_steps=12,
    n_batch_tokens=512,
    n_warmup_steps=2,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folders of two runs of one recipe, and the progress that they printed."""
    folders = [tmp_path_factory.mktemp("run") for _ in range(2)]
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    progress = io.StringIO()
    for folder in folders:
        training.train(SHORT, folder, progress)
    torch.set_num_threads(n_threads)
    return folders, progress.getvalue()


def weights(folder):
    return torch.load(folder / WEIGHTS_NAME, weights_only=True)["model_state_dict"]


def test_train_same_seed_gives_the_same_weights(trained):
    (first, second), _ = trained
    other = weights(second)
    assert all(torch.equal(tensor, other[name]) for name, tensor in weights(first).items())


def test_network_starts_where_its_seed_says():
    starts = []
    for seed in (1, 1, 2):
        network = Network(Shape(d_vocab=8, n_layers=1))
        network.initialize(torch.Generator().manual_seed(seed))
        starts.append(network.embedding.weight)
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_recipes_share_one_start_only():
    starts = {name: recipe.seed for name, recipe in training.RECIPES.items()}
    assert starts.pop("adhd-shared") == starts["standard-1"]
    assert len(set(starts.values())) == len(starts) == 8


def test_recipes_have_four_starts_each_variant():
    numbered = [recipe for name, recipe in training.RECIPES.items() if name != "adhd-shared"]
    for variant in VARIANTS:
        names = [recipe.name for recipe in numbered if recipe.variant == variant]
        assert names == [f"{variant}-{number}" for number in range(1, 5)]


def test_recipes_differ_in_name_variant_and_seed_only():
    common = {replace(recipe, name="", variant="", seed=0) for recipe in training.RECIPES.values()}
    assert len(common) == 1


def test_train_lowers_the_loss(trained):
    (folder, *_), _ = trained
    lines = (folder / training.LOG_NAME).read_text(encoding="utf-8").splitlines()
    settings, untrained, last = map(json.loads, lines)
    assert settings["n_steps"] == last["step"] == SHORT.n_steps
    chance_loss = torch.log(torch.tensor(768.0)).item()
    assert untrained["step"] == 0
    assert untrained["held_out_loss_nats"] == pytest.approx(chance_loss, abs=0.3)
    assert last["held_out_loss_nats"] < untrained["held_out_loss_nats"] - 0.2


def test_train_says_loss_and_time_left(trained):
    _, progress = trained
    assert "standard-1: step 12/12, loss " in progress
    assert "ETA 0 s" in progress


def test_train_bundle_reads_back(trained):
    (folder, *_), _ = trained
    network, tokenizer = load_bundle(folder)
    assert network.shape.d_vocab == tokenizer.get_vocab_size()


@pytest.mark.parametrize(
    ("step", "share"), [(0, 0.01), (99, 1.0), (100, 1.0), (10**6, 0.02)], ids=str
)
def test_learning_rate_warms_up_and_decays(step, share):
    recipe = replace(SHORT, n_steps=10**6, n_warmup_steps=100)
    assert training.learning_rate(recipe, step) == pytest.approx(share * recipe.peak_rate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nobody"], "no demo model named 'nobody'\nHint: choose from standard"),
        (["--model", "adhd-1", "--steps", "0"], "0 training steps\nHint: give --steps"),
    ],
    ids=["model", "steps"],
)
def test_command_user_mistakes_are_messages(arguments, message, capsys, tmp_path):
    assert training.main([*arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
