"""Prompts as texts: each token with its role, and how much attention it receives."""

from __future__ import annotations

from dataclasses import dataclass

from reports.data.rounding import rounded
from reports.site.atlas import prompt_name
from sql.session import Session

# Prompts, and tokens of each, that the page has room for.
MOST_PROMPTS = 100
MOST_TOKENS = 400


@dataclass(frozen=True)
class TokenText:
    """A token in its prompt.

    received: by model, the mean weight that it gets from the queries at other positions that see
    it, over all heads; None where there is no such query.
    """

    position: int
    text: str
    role: str
    step_index: int | None
    is_structural: bool
    received: dict[str, float | None]


@dataclass(frozen=True)
class PromptText:
    """A prompt as one tokenizer cuts it, its first MOST_TOKENS tokens."""

    prompt_id: int
    name: str
    tokenizer: str
    tokens: tuple[TokenText, ...]
    n_tokens: int


@dataclass(frozen=True)
class PromptTexts:
    """The first MOST_PROMPTS analysed prompts. models: names by tokenizer."""

    models: dict[str, str]
    prompts: tuple[PromptText, ...]
    n_analysed: int
    n_shown: int


def read_prompt_texts(session: Session) -> PromptTexts:
    """The analysed prompts, token by token."""
    tokenizers = {row["model"]: row["tokenizer"] for row in session.rows("select * from models")}
    models = {entry.name: tokenizers[entry.name] for entry in session.dataset.manifest.models}
    analysed = session.rows(
        "select prompts.prompt_id, pair_id, variant from prompts inner join analysed_prompts "
        "on analysed_prompts.prompt_id = prompts.prompt_id order by prompts.prompt_id"
    )
    shown = analysed[:MOST_PROMPTS]
    names = {row["prompt_id"]: prompt_name(**row) for row in shown}
    received = _received(session, list(names))
    prompts: dict[tuple[int, str], list[TokenText]] = {}
    n_tokens: dict[tuple[int, str], int] = {}
    for row in session.rows(
        "select * from tokens where prompt_id in (select unnest($ids)) "
        "order by prompt_id, tokenizer, position",
        {"ids": list(names)},
    ):
        place = (row["prompt_id"], row["tokenizer"])
        tokens = prompts.setdefault(place, [])
        n_tokens[place] = row["position"] + 1
        if len(tokens) < MOST_TOKENS:
            tokens.append(
                TokenText(
                    position=row["position"],
                    text=row["token"],
                    role=row["role"],
                    step_index=row["step_index"],
                    is_structural=row["is_structural"],
                    received={
                        model: received.get((model, row["prompt_id"], row["position"]))
                        for model, tokenizer in models.items()
                        if tokenizer == row["tokenizer"]
                    },
                )
            )
    return PromptTexts(
        models=models,
        prompts=tuple(
            PromptText(prompt_id, names[prompt_id], tokenizer, tuple(tokens), n_tokens[place])
            for place, tokens in prompts.items()
            for prompt_id, tokenizer in [place]
        ),
        n_analysed=len(analysed),
        n_shown=len(shown),
    )


def _received(session: Session, prompt_ids: list[int]) -> dict[tuple[str, int, int], float]:
    """By model, prompt and position."""
    rows = session.rows(
        "select model, prompt_id, key, avg(weight) as received from attention "
        "where prompt_id in (select unnest($ids)) and query <> key and key < $n group by all",
        {"ids": prompt_ids, "n": MOST_TOKENS},
    )
    return {(row["model"], row["prompt_id"], row["key"]): rounded(row["received"]) for row in rows}
