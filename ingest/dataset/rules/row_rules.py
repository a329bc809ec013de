"""What the rows of each stored table must keep beyond their schema: one function a kind of table.

`StoredTable.row_rule` names the function. Each gets the verification under way and its table, and
counts what it looked at in the verification's checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.dataset.manifest import Manifest, ModelEntry
from ingest.dataset.relations import StoredColumn, StoredTable
from ingest.dataset.rules.attention_rows import AttentionVerifier

if TYPE_CHECKING:
    from ingest.dataset.verification import Verification

# What the manifest and the table `models` both say of a model.
_IN_BOTH = (
    "source",
    "revision",
    "weights_sha256",
    "architecture",
    "tokenizer",
    "dtype",
    "precision",
)


def check_columns(verification: Verification, table: StoredTable) -> None:
    """Whether rows are told apart by the grain, refer to what exists, and hold finite numbers.

    Also that a file of one model, and a row's layer and head, are that model's.
    """
    owners: list[str | None] = [None]
    if table.split == "model":
        owners = [model.name for model in verification.manifest.models]
    for owner in owners:
        for path, rows in verification.sound_rows(table, owner):
            problem = _row_problem(verification, table, owner, rows)
            verification.checks["rows"].record(path, problem)


def _row_problem(
    verification: Verification, table: StoredTable, owner: str | None, rows: pa.Table
) -> str | None:
    if owner is not None and not _all(pc.equal(rows["model"], owner)):
        return f"has rows of another model than {owner!r}"
    keys = rows.select(list(table.grain))
    if len(keys.group_by(list(table.grain)).aggregate([])) < len(keys):
        return f"has two rows of one ({', '.join(table.grain)})"
    for column in table.columns:
        if column.refers_to is not None:
            values = verification.values_of(column.refers_to)
            if not _all(pc.is_in(rows[column.name].drop_null(), value_set=values)):
                return f"has a {column.name} that {column.refers_to.split('.')[0]} lacks"
        if problem := _number_problem(column, rows[column.name]):
            return problem
    return _head_problem(verification, table, owner, rows)


def _all(values: pa.ChunkedArray) -> bool:
    return bool(pc.all(values, min_count=0).as_py())


def _number_problem(column: StoredColumn, values: pa.ChunkedArray) -> str | None:
    if column.sql_type == "double" and not _all(pc.is_finite(values)):
        return f"has a number in {column.name} that is not finite"
    return None


def _head_problem(
    verification: Verification, table: StoredTable, owner: str | None, rows: pa.Table
) -> str | None:
    """Whether layers and heads are those that the model has."""
    if owner is None or not len(rows):
        return None
    shape = verification.shape_of(owner)
    limits = dict.fromkeys(table.layer_columns, "n_layers")
    limits |= {name.replace("layer", "head"): "n_heads" for name in table.layer_columns}
    for name, limit in limits.items():
        if name in table.grain:
            bounds = pc.min_max(rows[name])
            if bounds["min"].as_py() < 0 or bounds["max"].as_py() >= shape[limit]:
                return f"has a {name} that {owner!r} lacks"
    return None


def check_models(verification: Verification, table: StoredTable) -> None:
    """Whether the table and the manifest say the same of each model."""
    check, manifest = verification.checks["tables"], verification.manifest
    found = verification.small_table(table.name)
    rows = {row["model"]: row for row in found.to_pylist()}
    check.record("models.parquet", None if len(rows) == len(found) else "names one twice")
    for model in manifest.models:
        row = rows.pop(model.name, None)
        check.record("models.parquet", _model_problem(model, row, manifest))
    for name in rows:
        check.record("models.parquet", f"has the model {name!r}, which the manifest lacks")


def _model_problem(model: ModelEntry, row: dict[str, Any] | None, manifest: Manifest) -> str | None:
    if row is None:
        return f"lacks the model {model.name!r}"
    if model.tokenizer not in manifest.tokenizers:
        return f"{model.name!r} was read by a tokenizer that the manifest lacks"
    for name in _IN_BOTH:
        if row[name] != getattr(model, name):
            return f"says {name} = {row[name]!r} of {model.name!r}, not what the manifest says"
    if min(row["n_layers"], row["n_heads"]) < 1:
        return f"{model.name!r} has no heads"
    layers = model.stored_layers(row["n_layers"])
    if not layers or layers[0] < 0 or layers[-1] >= row["n_layers"]:
        return f"{model.name!r} has a layer that it lacks, or none, according to the manifest"
    return None


def check_prompts(verification: Verification, table: StoredTable) -> None:
    """Whether each prompt stands once, by its number and by the key of its content."""
    found = verification.small_table(table.name)
    for column in ("prompt_id", "prompt_key"):
        is_unique = len(pc.unique(found[column])) == len(found)
        verification.checks["tables"].record(
            "prompts.parquet", None if is_unique else f"has a {column} twice"
        )


def check_tokens(verification: Verification, table: StoredTable) -> None:
    """Whether each tokenizer has the tokens of all prompts, positions counting from 0."""
    prompt_ids = verification.small_table("prompts")["prompt_id"].to_numpy()
    tokens = verification.small_table(table.name)
    for tokenizer in verification.manifest.tokenizers:
        chosen = tokens.filter(pc.equal(tokens["tokenizer"], tokenizer))
        problem = _token_problem(tokenizer, chosen, prompt_ids)
        verification.checks["tables"].record("tokens.parquet", problem)


def _token_problem(tokenizer: str, tokens: pa.Table, prompt_ids: NDArray[np.int32]) -> str | None:
    prompts, positions = (tokens[name].to_numpy() for name in ("prompt_id", "position"))
    order = np.lexsort((positions, prompts))
    prompts, positions = prompts[order], positions[order]
    present, starts, counts = np.unique(prompts, return_index=True, return_counts=True)
    if set(present.tolist()) != set(prompt_ids.tolist()):
        return f"{tokenizer} does not have the tokens of just the stored prompts"
    if (positions != np.arange(len(positions)) - np.repeat(starts, counts)).any():
        return f"{tokenizer} has positions that do not count 0, 1, 2, ... in each prompt"
    return None


def check_attention(verification: Verification, table: StoredTable) -> None:
    """Whether every query of every head is there with each of its keys, weights summing to 1."""
    verifier = AttentionVerifier(verification)
    for model in verification.manifest.models:
        entries = verification.manifest.files_of(table.name, model.name)
        sound = [entry for entry in entries if entry.path in verification.sound]
        verifier.verify(model, sound, is_whole=len(sound) == len(entries))
