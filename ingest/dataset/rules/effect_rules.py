"""What the rows of generated texts and of read-outs must keep beyond their schema.

As in `ingest.dataset.rules.row_rules`: one function a table, which `StoredTable.row_rule` names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.dataset.relations import StoredTable
from ingest.dataset.rules.row_rules import check_columns

if TYPE_CHECKING:
    from ingest.dataset.verification import Verification

_HEAD = re.compile(r"L(\d+)H(\d+)")
_NONE = "none"

# Finds what is wrong with the rows of one file of a model, if anything.
_Rule = Callable[["Verification", str, pa.Table], str | None]


def check_generations(verification: Verification, table: StoredTable) -> None:
    """Whether counts are those of the stored steps, and ablated heads and prompts exist."""
    _check(verification, table, _generation_problem)


def check_readouts(verification: Verification, table: StoredTable) -> None:
    """Whether probabilities are, and every layer has each class at the same positions."""
    _check(verification, table, _readout_problem)


def check_head_writes(verification: Verification, table: StoredTable) -> None:
    """Whether every head has each position of its prompts, with what it must have there."""
    _check(verification, table, _write_problem)


def _check(verification: Verification, table: StoredTable, rule: _Rule) -> None:
    check_columns(verification, table)
    if verification.checks["rows"].problems:
        return  # what rows lack may be what the rule rests on
    for model in verification.manifest.models:
        for path, rows in verification.sound_rows(table, model.name):
            verification.checks["rows"].record(path, rule(verification, model.name, rows))


def _generation_problem(verification: Verification, model: str, rows: pa.Table) -> str | None:
    shape = verification.shape_of(model)
    prompts = verification.small_table("prompts")
    id_of = dict(
        zip(prompts["prompt_key"].to_pylist(), prompts["prompt_id"].to_pylist(), strict=True)
    )
    for row in rows.to_pylist():
        if problem := _text_problem(row, shape, id_of):
            return f"{problem} (seed {row['seed']}, prompt {row['prompt_key']})"
    return None


def _text_problem(row: dict[str, Any], shape: dict[str, Any], id_of: dict[str, int]) -> str | None:
    steps, n_regulation = row["steps"], row["n_regulation_steps"]
    heads = [] if row["ablation"] == _NONE else row["ablation"].split("+")
    found = [_HEAD.fullmatch(head) for head in heads]
    has_heads = all(
        match and int(match[1]) < shape["n_layers"] and int(match[2]) < shape["n_heads"]
        for match in found
    )
    if not has_heads or (row["kind"] == _NONE) != (not heads):
        return f"has the ablation {row['ablation']!r}, {row['kind']}, which is none of the model"
    if row["n_steps"] != (None if steps is None else len(steps)):
        return "has another number of steps than steps"
    if n_regulation is not None and not 0 <= n_regulation <= (row["n_steps"] or 0):
        return "has more regulation steps than steps"
    if row["prompt_id"] != id_of.get(row["prompt_key"]):
        return "has a prompt_id that is not its prompt's"
    if row["n_tokens"] < 1 or row["seed"] < 0:
        return "has a text without tokens or a seed below 0"
    return None


def _readout_problem(verification: Verification, model: str, rows: pa.Table) -> str | None:
    bounds = pc.min_max(rows["probability"])
    if len(rows) and not (bounds["min"].as_py() >= 0 and bounds["max"].as_py() <= 1 + 1e-5):
        return "has a probability below 0 or above 1"
    if problem := _position_problem(verification, model, rows):
        return problem
    n_layers = _n_stored_layers(verification, model)
    places = rows.group_by(["token_class", "prompt_id", "position"]).aggregate([([], "count_all")])
    if not pc.all(pc.equal(places["count_all"], n_layers), min_count=0).as_py():
        return "lacks a layer at a position that others have"
    return None


def _write_problem(verification: Verification, model: str, rows: pa.Table) -> str | None:
    for name in ("output_norm", "value_norm"):
        if len(rows) and pc.min(rows[name]).as_py() < 0:
            return f"has a {name} below 0"
    if problem := _position_problem(verification, model, rows):
        return problem
    n_heads = verification.shape_of(model)["n_heads"] * _n_stored_layers(verification, model)
    lengths = lengths_of(verification, model)
    prompts, positions = (rows[name].to_numpy() for name in ("prompt_id", "position"))
    expected = sum(lengths[prompt] for prompt in np.unique(prompts).tolist())
    if len(rows) != expected * n_heads:
        return "lacks a head at a position that others have"
    is_last = positions == last_positions(lengths, prompts)
    if not np.array_equal(rows["direct_logit"].is_null().to_numpy(), is_last):
        return "has a direct_logit where no token follows, or none where one does"
    return None


def _n_stored_layers(verification: Verification, model: str) -> int:
    """The layers whose rows are stored: of a part of a dataset perhaps not all of the model's."""
    entry = verification.manifest.model(model)
    assert entry is not None, "files are asked for by the models of the manifest"
    return len(entry.stored_layers(verification.shape_of(model)["n_layers"]))


def _position_problem(verification: Verification, model: str, rows: pa.Table) -> str | None:
    prompts, positions = (rows[name].to_numpy() for name in ("prompt_id", "position"))
    last = last_positions(lengths_of(verification, model), prompts)
    if ((positions < 0) | (positions > last)).any():
        return "has a position that its prompt lacks"
    return None


def last_positions(lengths: dict[int, int], prompts: NDArray[np.int32]) -> NDArray[np.int64]:
    """The last position of each of some prompts."""
    known, places = np.unique(prompts, return_inverse=True)
    return np.array([lengths[prompt] - 1 for prompt in known.tolist()], dtype=np.int64)[places]


def lengths_of(verification: Verification, model: str) -> dict[int, int]:
    """The tokens of each prompt as the model's tokenizer cuts it."""
    tokens = verification.small_table("tokens")
    mine = tokens.filter(pc.equal(tokens["tokenizer"], verification.shape_of(model)["tokenizer"]))
    counted = mine.group_by("prompt_id").aggregate([([], "count_all")])
    return dict(
        zip(counted["prompt_id"].to_pylist(), counted["count_all"].to_pylist(), strict=True)
    )
