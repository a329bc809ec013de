"""What the rows of ablations must keep beyond their schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.dataset.relations import ABLATION_KINDS, StoredTable
from ingest.dataset.rules.effect_rules import last_positions, lengths_of
from ingest.dataset.rules.row_rules import check_columns

if TYPE_CHECKING:
    from ingest.dataset.verification import Verification

_SINGLE = ("kind", "layer", "head", "prompt_id")
_PAIR = ("kind", "layer_a", "head_a", "layer_b", "head_b", "prompt_id")
_OF_TRUE_TOKEN = ("delta_loss_nats", "probability_before", "probability_after")
# Rounding of a sum over the vocabulary in single precision.
_LEAST_KL = -1e-4
_ROUNDING = 1e-5
# Probabilities below have lost their digits, or are 0, when the loss is taken of them again.
_LEAST_PROBABILITY = 1e-30


def check_ablations(verification: Verification, table: StoredTable) -> None:
    """Whether each ablated head has all positions of a prompt once, with what must be there."""
    _check(verification, table, _SINGLE, _ablation_problem)


def check_pairs(verification: Verification, table: StoredTable) -> None:
    """The same of two heads, the first of which stands before the second."""
    _check(verification, table, _PAIR, _pair_problem)


def check_attributions(verification: Verification, table: StoredTable) -> None:
    """Whether each estimated head has an estimate of a prompt where tokens are predicted."""
    _check(verification, table, _SINGLE, _estimate_problem)


# Finds what is wrong with the rows of a file of a model; the last are their groups with counts.
_Rule = Callable[["Verification", str, pa.Table, pa.Table], str | None]


def _check(
    verification: Verification, table: StoredTable, group: Sequence[str], rule: _Rule
) -> None:
    check_columns(verification, table)
    check = verification.checks["rows"]
    if check.problems:
        return  # what rows lack may be what the rule rests on
    for model in verification.manifest.models:
        seen: set[tuple[object, ...]] = set()
        for path, rows in verification.sound_rows(table, model.name):
            groups = rows.group_by(list(group)).aggregate([([], "count_all")])
            problem = _kind_problem(groups) or rule(verification, model.name, rows, groups)
            keys = set(zip(*(groups[name].to_pylist() for name in group), strict=True))
            if problem is None and keys & seen:
                problem = "ablates a head in a prompt that another file has"
            seen |= keys
            check.record(path, problem)


def _kind_problem(groups: pa.Table) -> str | None:
    if not pc.all(pc.is_in(groups["kind"], pa.array(ABLATION_KINDS)), min_count=0).as_py():
        return f"has a kind that is none of {', '.join(ABLATION_KINDS)}"
    return None


def _ablation_problem(
    verification: Verification, model: str, rows: pa.Table, groups: pa.Table
) -> str | None:
    return _numbers_problem(rows) or _places_problem(verification, model, rows, groups)


def _pair_problem(
    verification: Verification, model: str, rows: pa.Table, groups: pa.Table
) -> str | None:
    first, second = (
        zip(groups[f"layer_{end}"].to_pylist(), groups[f"head_{end}"].to_pylist(), strict=True)
        for end in "ab"
    )
    if any(a >= b for a, b in zip(first, second, strict=True)):
        return "has a pair whose first head does not stand before the second"
    return _ablation_problem(verification, model, rows, groups)


def _estimate_problem(
    verification: Verification, model: str, rows: pa.Table, groups: pa.Table
) -> str | None:
    lengths = lengths_of(verification, model)
    # A causal model has no token to predict after the last.
    n_without = int(verification.shape_of(model)["is_causal"])
    expected = [lengths[prompt] - n_without for prompt in rows["prompt_id"].to_pylist()]
    if rows["n_positions"].to_pylist() != expected:
        return "has another number of positions than its prompt"
    estimates = rows["estimated_delta_loss_nats"]
    if not np.array_equal(estimates.is_null().to_numpy(), np.array(expected) == 0):
        return "has an estimate where no token is predicted, or none where one is"
    return None


def _numbers_problem(rows: pa.Table) -> str | None:
    for name in ("probability_before", "probability_after"):
        bounds = pc.min_max(rows[name])
        if bounds["min"].is_valid and not (
            bounds["min"].as_py() >= 0 and bounds["max"].as_py() <= 1 + _ROUNDING
        ):
            return f"has a {name} below 0 or above 1"
    if len(rows) and pc.min(rows["kl_nats"]).as_py() < _LEAST_KL:
        return "has a kl_nats below 0"
    before, after, change = (
        rows[name].to_numpy().astype(np.float64)
        for name in ("probability_before", "probability_after", "delta_loss_nats")
    )
    is_there = (before > _LEAST_PROBABILITY) & (after > _LEAST_PROBABILITY) & ~np.isnan(change)
    again = np.log(before[is_there]) - np.log(after[is_there])
    if not np.allclose(again, change[is_there], rtol=1e-4, atol=1e-3):
        return "has a delta_loss_nats that is not that of its probabilities"
    return None


def _places_problem(
    verification: Verification, model: str, rows: pa.Table, groups: pa.Table
) -> str | None:
    lengths = lengths_of(verification, model)
    prompts, positions = (rows[name].to_numpy() for name in ("prompt_id", "position"))
    last = last_positions(lengths, prompts)
    if ((positions < 0) | (positions > last)).any():
        return "has a position that its prompt lacks"
    counts = zip(groups["prompt_id"].to_pylist(), groups["count_all"].to_pylist(), strict=True)
    if any(count != lengths[prompt] for prompt, count in counts):
        return "lacks a position of a prompt"
    is_causal = verification.shape_of(model)["is_causal"]
    is_null = (positions == last) & is_causal
    for name in _OF_TRUE_TOKEN:
        if not np.array_equal(rows[name].is_null().to_numpy(), is_null):
            return f"has a {name} where no token follows, or none where one does"
    return None
