"""What the rows of ablations must keep beyond their schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.dataset.relations import ABLATION_KINDS, StoredTable
from ingest.dataset.rules.effect_rules import last_positions, lengths_of
from ingest.dataset.rules.row_rules import check_columns

if TYPE_CHECKING:
    from ingest.dataset.verification import Verification

_GROUP = ("kind", "layer", "head", "prompt_id")
_OF_TRUE_TOKEN = ("delta_loss_nats", "probability_before", "probability_after")
# Rounding of a sum over the vocabulary in single precision.
_LEAST_KL = -1e-4
_ROUNDING = 1e-5
# Probabilities below have lost their digits, or are 0, when the loss is taken of them again.
_LEAST_PROBABILITY = 1e-30


def check_ablations(verification: Verification, table: StoredTable) -> None:
    """Whether each ablated head has all positions of a prompt once, with what must be there."""
    check_columns(verification, table)
    check = verification.checks["rows"]
    if check.problems:
        return  # what rows lack may be what the rule rests on
    for model in verification.manifest.models:
        seen: set[tuple[object, ...]] = set()
        for path, rows in verification.sound_rows(table, model.name):
            groups = rows.group_by(list(_GROUP)).aggregate([([], "count_all")])
            problem = _numbers_problem(rows) or _places_problem(
                verification, model.name, rows, groups
            )
            keys = set(zip(*(groups[name].to_pylist() for name in _GROUP), strict=True))
            if problem is None and keys & seen:
                problem = "ablates a head in a prompt that another file has"
            seen |= keys
            check.record(path, problem)


def _numbers_problem(rows: pa.Table) -> str | None:
    if not pc.all(pc.is_in(rows["kind"], pa.array(ABLATION_KINDS)), min_count=0).as_py():
        return f"has a kind that is none of {', '.join(ABLATION_KINDS)}"
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
