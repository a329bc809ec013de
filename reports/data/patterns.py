"""From SQL to patterns: the attention of heads on one prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.data.report import Example, Head, Pattern, Token
from reports.data.rounding import rounded
from sql.session import Session

# A heat map with more tokens than this has no room for their names.
MAX_TOKENS = 80


@dataclass(frozen=True)
class ModelPatterns:
    """All heads of one model on one prompt, its first MAX_TOKENS tokens.

    n_tokens: of the whole prompt. weights: `[layer, head, query, key]`, NaN where no row is stored,
    as for the keys after a query of a causal model.
    """

    model: str
    text: str
    tokens: tuple[Token, ...]
    n_tokens: int
    weights: NDArray[np.float32]

    @property
    def heads(self) -> tuple[Head, ...]:
        """All of them, layer by layer."""
        n_layers, n_heads = self.weights.shape[:2]
        return tuple(
            Head(self.model, layer, head) for layer in range(n_layers) for head in range(n_heads)
        )

    def rows_of(self, head: Head) -> list[list[float]]:
        """The stored weights of one head, `[query][key]`; a causal row ends at its query."""
        weights = self.weights[head.layer, head.head]
        return [[float(weight) for weight in row[~np.isnan(row)]] for row in weights]

    def pattern_of(self, head: Head) -> Pattern:
        """One head, as it is drawn alone."""
        rows = self.rows_of(head)
        structural = [number for number, token in enumerate(self.tokens) if token.is_structural]
        shares = [sum(row[key] for key in structural if key < len(row)) for row in rows[1:]]
        share = rounded(sum(shares) / len(shares)) if shares else 0.0
        return Pattern(head, self.tokens, tuple(tuple(row) for row in rows), share)


def read_model_patterns(
    session: Session, model: str, prompt_id: int | None = None
) -> ModelPatterns | None:
    """All heads of a model on one prompt; None where there is none such.

    prompt_id: None for the shortest analysed prompt.
    """
    prompt = read_prompt(session, model, prompt_id)
    if prompt is None:
        return None
    tokens = _tokens(session, model, prompt["prompt_id"])
    (size,) = session.rows("select n_layers, n_heads from models where model = $m", {"m": model})
    columns = session.query(
        "select layer, head, query, key, weight from attention where model = $model "
        "and prompt_id = $prompt_id and query < $max_tokens and key < $max_tokens",
        {"model": model, "prompt_id": prompt["prompt_id"], "max_tokens": MAX_TOKENS},
    ).fetchnumpy()
    shape = (size["n_layers"], size["n_heads"], len(tokens), len(tokens))
    weights = np.full(shape, np.nan, dtype=np.float32)
    weights[tuple(columns[name] for name in ("layer", "head", "query", "key"))] = columns["weight"]
    return ModelPatterns(model, prompt["text"], tokens, prompt["n_tokens"], weights)


def read_prompt(
    session: Session, model: str, prompt_id: int | None = None
) -> dict[str, Any] | None:
    """An analysed prompt: prompt_id, variant, text, n_tokens; None where there is none such.

    prompt_id: None for the shortest, ties by prompt_id.
    """
    found = session.rows(
        """
        select prompts.prompt_id, prompts.variant, prompts.text, max(positions.n_tokens) as n_tokens
        from prompts
        inner join analysed_prompts on analysed_prompts.prompt_id = prompts.prompt_id
        inner join positions on positions.prompt_id = prompts.prompt_id
        where positions.model = $model
        and coalesce(prompts.prompt_id = $prompt_id, true)
        group by all
        order by n_tokens, prompts.prompt_id
        limit 1
        """,
        {"model": model, "prompt_id": prompt_id},
    )
    return found[0] if found else None


def read_example(session: Session, heads: list[Head]) -> Example:
    """The shortest analysed prompt, ties by prompt_id, with the patterns of the heads on it."""
    row = read_prompt(session, heads[0].model)
    assert row is not None  # the caller checked that there are prompts
    prompt_id = row["prompt_id"]
    return Example(
        prompt_id=prompt_id,
        variant=row["variant"],
        text=row["text"],
        n_tokens=row["n_tokens"],
        n_shown=min(row["n_tokens"], MAX_TOKENS),
        patterns={head: read_pattern(session, head, prompt_id) for head in heads},
    )


def read_pattern(session: Session, head: Head, prompt_id: int) -> Pattern:
    """A head's attention on one prompt, its first MAX_TOKENS tokens."""
    tokens = _tokens(session, head.model, prompt_id)
    where = vars(head) | {"prompt_id": prompt_id}
    relation = session.query(
        "select query, weight from attention where model = $model and layer = $layer "
        "and head = $head and prompt_id = $prompt_id and query < $max_tokens "
        "and key < $max_tokens order by query, key",
        where | {"max_tokens": MAX_TOKENS},
    )
    weights: list[list[float]] = [[] for _ in tokens]
    for query, weight in relation.fetchall():
        weights[query].append(weight)
    share = session.rows(
        "select coalesce(avg(mass), 0) as share from structural_mass where model = $model "
        "and layer = $layer and head = $head and prompt_id = $prompt_id and query > 0",
        where,
    )[0]["share"]
    return Pattern(
        head=head,
        tokens=tokens,
        weights=tuple(tuple(row) for row in weights),
        structural_share=rounded(share),
    )


def _tokens(session: Session, model: str, prompt_id: int) -> tuple[Token, ...]:
    """The first MAX_TOKENS tokens of a prompt, as the model's tokenizer cuts it."""
    rows = session.rows(
        """
        select tokens.token, tokens.is_structural
        from tokens
        inner join models on models.tokenizer = tokens.tokenizer
        where models.model = $model and tokens.prompt_id = $prompt_id
            and tokens.position < $max_tokens
        order by tokens.position
        """,
        {"model": model, "prompt_id": prompt_id, "max_tokens": MAX_TOKENS},
    )
    return tuple(Token(row["token"], row["is_structural"]) for row in rows)
