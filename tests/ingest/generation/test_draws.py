"""Draws of tokens: the softmax's probabilities, and which draws are too close to call."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.generation.draws import chosen_token, noise_of
from ingest.generation.sampling import Sampling
from ingest.kernel.errors import InputError

LOGITS = np.array([2.0, 1.0, 0.5, -1.0, 1.5])
N_DRAWS = 4000


def probabilities(temperature: float, top_k: int | None) -> NDArray[np.float64]:
    weights = np.exp(LOGITS / temperature)
    if top_k:
        weights[np.argsort(-LOGITS)[top_k:]] = 0
    expected: NDArray[np.float64] = weights / weights.sum()
    return expected


@pytest.mark.parametrize(
    ("temperature", "top_k"), [(1.0, None), (0.7, None), (2.0, 3), (1.0, 5), (0.5, 2)]
)
def test_tokens_come_as_often_as_the_softmax_says(temperature: float, top_k: int | None) -> None:
    sampling = Sampling(temperature, top_k)
    counts = np.zeros(len(LOGITS))
    for seed in range(N_DRAWS):
        noise = next(noise_of("prompt", seed, len(LOGITS)))
        counts[chosen_token(LOGITS, noise, sampling)[0]] += 1
    expected = probabilities(temperature, top_k)
    assert (counts[expected == 0] == 0).all()
    deviation = np.sqrt(N_DRAWS * expected * (1 - expected))
    assert (np.abs(counts - N_DRAWS * expected) <= 4 * deviation + 1e-9).all()


def test_temperature_0_takes_the_most_probable() -> None:
    noise = next(noise_of("prompt", 0, len(LOGITS)))
    assert chosen_token(LOGITS, 100 * noise, Sampling(0.0)) == (0, True)


def test_noise_depends_on_prompt_seed_and_step_only() -> None:
    stream = noise_of("prompt", 3, 7)
    first, second = next(stream), next(stream)
    again = noise_of("prompt", 3, 7)
    assert (next(again) == first).all()
    assert (next(again) == second).all()
    others = [first, second, next(noise_of("prompt", 4, 7)), next(noise_of("prompts", 3, 7))]
    assert len({tuple(noise) for noise in others}) == 4


@pytest.mark.parametrize("top_k", [None, 1, 2, 4])
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_a_draw_that_is_certain_is_the_same_near_by(temperature: float, top_k: int | None) -> None:
    generator, tolerance = np.random.default_rng(0), 0.1
    sampling = Sampling(temperature, top_k)
    n_certain = n_changed = 0
    for trial in range(400):
        logits = generator.normal(size=6)
        noise = next(noise_of("prompt", trial, 6))
        token, is_certain = chosen_token(logits, noise, sampling, tolerance)
        near = logits + generator.uniform(-tolerance / 2, tolerance / 2, (30, 6))
        tokens = {chosen_token(other, noise, sampling)[0] for other in near}
        n_certain += is_certain
        n_changed += tokens != {token}
        assert not is_certain or tokens == {token}
    assert n_certain > 200  # most need no second look
    assert n_changed > 0  # and some do


@pytest.mark.parametrize(
    "values", [(-1.0,), (float("nan"),), (101.0,), (1.0, 0), (1.0, None, 0), (1.0, None, 1 << 21)]
)
def test_impossible_settings_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(InputError):
        Sampling(*values)  # type: ignore[arg-type]
