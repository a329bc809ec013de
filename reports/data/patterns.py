"""From SQL to patterns: the attention of single heads on one prompt."""

from __future__ import annotations

from typing import Any

from reports.data.report import Example, Head, Pattern, Token
from reports.data.rounding import rounded
from sql.session import Session

# A heat map with more tokens than this has no room for their names.
MAX_TOKENS = 80


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
    tokens = session.rows(
        """
        select tokens.token, tokens.is_structural
        from tokens
        inner join models on models.tokenizer = tokens.tokenizer
        where models.model = $model and tokens.prompt_id = $prompt_id
            and tokens.position < $max_tokens
        order by tokens.position
        """,
        {"model": head.model, "prompt_id": prompt_id, "max_tokens": MAX_TOKENS},
    )
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
        tokens=tuple(Token(row["token"], row["is_structural"]) for row in tokens),
        weights=tuple(tuple(row) for row in weights),
        structural_share=rounded(share),
    )
