"""Types and places that several test modules name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sql.session import Session

REFERENCE = Path(__file__).parents[1] / "fixtures" / "reference"


@dataclass(frozen=True)
class Reference:
    """What TransformerLens 2.4.1 computed for the two reference bundles, one prompt at a time."""

    patterns: dict[str, list[NDArray[np.float32]]]  # model: one [layer, head, query, key] a prompt
    tokens: list[NDArray[np.int32]]
    marker_ids: dict[str, int]
    head_permutation: list[list[int]]

    @property
    def structural(self) -> list[NDArray[np.bool_]]:
        return [np.isin(tokens, list(self.marker_ids.values())) for tokens in self.tokens]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


def reference_commands(dataset: Path, folder: Path) -> list[list[str]]:
    """What gives an ingested dataset rows of every table that it may have.

    folder: for the prompts that are continued.
    """
    tasks = folder / "tasks.jsonl"
    records = [{"task": f"Clean room {n}", "complexity": 1 + n % 3} for n in range(6)]
    tasks.write_text("\n".join(map(json.dumps, records)))
    asked = ["--prompts", str(tasks), "--ablate", "L0H0", "--class", "regulation=rest;sip"]
    limits = ["--seeds", "2", "--max-new-tokens", "48", "--temperature", "2"]
    kinds = ["--kind=zero", "--kind=mean", "--kind=resample"]
    return [
        ["ablate", str(dataset), "--pairs=L0H0+L2H1", "--pairs=L1H0+L1H3"],
        ["ablate", str(dataset)],
        ["ablate", str(dataset), "--method=attribution", *kinds],
        ["generate", str(dataset), *asked, *limits],
        ["readout", str(dataset), "--class", "regulation=close;the"],
    ]


def token_ids(session: Session, model: str, prompt_id: int) -> list[int]:
    """The tokens of one prompt as a model's tokenizer cuts it."""
    rows = session.rows(
        "select token_id from tokens inner join models on models.tokenizer = tokens.tokenizer "
        "where model = $model and prompt_id = $prompt_id order by position",
        {"model": model, "prompt_id": prompt_id},
    )
    return [row["token_id"] for row in rows]


def stored_patterns(session: Session, model: str, prompt_id: int) -> NDArray[np.float64]:
    """One prompt's weights `[layer, head, query, key]`; NaN where no row is stored."""
    columns = session.query(
        "select layer, head, query, key, weight from attention "
        "where model = $model and prompt_id = $prompt_id",
        {"model": model, "prompt_id": prompt_id},
    ).fetchnumpy()
    index = tuple(columns[name] for name in ("layer", "head", "query", "key"))
    patterns = np.full([int(axis.max()) + 1 for axis in index], np.nan)
    patterns[index] = columns["weight"]
    return patterns
