"""What is drawn at random over prompts: resamples and halves, from a seed, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from sql.session import Inputs

# What is drawn together: a prompt with the others of its pair, as one is not news beside the other.
UNITS = """
    select
        dense_rank() over (order by coalesce(pair_id, prompts.prompt_id::varchar)) - 1 as unit,
        prompts.prompt_id
    from prompts
    inner join analysed_prompts on analysed_prompts.prompt_id = prompts.prompt_id
    order by prompts.prompt_id
"""
# Each kind of draw has a stream of its own, so that changing one number leaves the others alone.
_RESAMPLES, _SPLITS = 0, 1


def resamples(inputs: Inputs) -> pa.Table:
    """How often each resample draws each analysed prompt.

    A resample draws as many units as there are, with replacement: the bootstrap over clusters
    (Efron and Tibshirani 1993, chapter 8).

    Returns: the columns of the view `resamples`.
    """
    units, prompt_ids = _units(inputs)
    n_units = int(units.max(initial=-1)) + 1
    n_resamples = inputs.parameters.n_resamples
    if not n_units:
        return _table(resample=[], prompt_id=[], n_drawn=[])
    generator = np.random.default_rng([inputs.parameters.seed, _RESAMPLES])
    counts = generator.multinomial(n_units, np.full(n_units, 1 / n_units), n_resamples)
    drawn = counts[:, units]  # [resample, prompt]
    resample, prompt = np.nonzero(drawn)
    return _table(resample=resample, prompt_id=prompt_ids[prompt], n_drawn=drawn[resample, prompt])


def splits(inputs: Inputs) -> pa.Table:
    """The analysed prompts in two halves, the second larger by one where their number is odd.

    Returns: the columns of the view `splits`; no row where there are not two to split.
    """
    units, prompt_ids = _units(inputs)
    n_units = int(units.max(initial=-1)) + 1
    n_splits = inputs.parameters.n_splits if n_units > 1 else 0
    generator = np.random.default_rng([inputs.parameters.seed, _SPLITS])
    halves = np.array(
        [generator.permutation(n_units) >= n_units // 2 for _ in range(n_splits)], dtype=int
    ).reshape(n_splits, n_units)[:, units]  # [split, prompt]
    split, prompt = np.indices(halves.shape)
    return _table(split=split.ravel(), prompt_id=prompt_ids[prompt.ravel()], half=halves.ravel())


def _units(inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    columns = inputs.query(UNITS).fetchnumpy()
    return columns["unit"].astype(int), columns["prompt_id"].astype(int)


def _table(**columns: np.ndarray | list[int]) -> pa.Table:
    return pa.table({name: np.asarray(values, np.int32) for name, values in columns.items()})
