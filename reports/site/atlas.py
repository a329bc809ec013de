"""Every head of every model and what it attends to, for the pages that browse heads."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.data.patterns import MAX_TOKENS
from reports.data.report import Head
from reports.data.rounding import rounded
from reports.data.wording import COMPARED, grouped_scores, shortened, visible
from sql.session import Session

# A page holds the patterns of as many prompts as fit: two bytes a weight before they are packed.
MOST_WEIGHTS = 3_000_000
# Matches that a head's page lists for each other model.
N_MATCHES = 3
# Weights are stored as whole numbers of this unit: as exact as a page shows them.
WEIGHT_UNIT = 1e-4
LATE_MASS = "late_mass"


@dataclass(frozen=True)
class HeadMatch:
    """One of the most alike heads in another model. is_mutual: each is the other's best match."""

    best: Head
    cosine: float
    rank: int
    is_mutual: bool


@dataclass(frozen=True)
class HeadFacts:
    """One head: its scores in the order of the atlas's names, None where no query counts.

    mass: its profile, `[bin]`. matches: the best few in each other model, the best first; none
    where the similarity that was asked for is undefined for the head.
    """

    head: Head
    scores: tuple[float | None, ...]
    mass: tuple[float, ...]
    matches: tuple[HeadMatch, ...]


@dataclass(frozen=True)
class AtlasModel:
    """One model: its heads layer by layer. n_queries: what each bin's mean is taken over."""

    name: str
    tokenizer: str
    is_causal: bool
    n_queries: tuple[int, ...]
    heads: tuple[HeadFacts, ...]


@dataclass(frozen=True)
class AtlasToken:
    """A token of a prompt, as its tokenizer decodes it alone."""

    text: str
    is_structural: bool


@dataclass(frozen=True)
class AtlasPrompt:
    """A prompt as each tokenizer cuts it, its first MAX_TOKENS tokens; n_tokens: uncut."""

    prompt_id: int
    pair_id: str | None
    variant: str | None
    tokens: dict[str, tuple[AtlasToken, ...]]
    n_tokens: dict[str, int]


@dataclass(frozen=True)
class Atlas:
    """All heads, and their attention on the first prompts.

    similarity: what matches are by. n_analysed: prompts in all, of which the atlas holds some.
    patterns: the weights in units of WEIGHT_UNIT by model, head, prompt, query and key, as unsigned
    16-bit numbers.
    """

    similarity: str
    score_names: tuple[str, ...]
    models: tuple[AtlasModel, ...]
    prompts: tuple[AtlasPrompt, ...]
    n_analysed: int
    patterns: NDArray[np.uint16]

    @property
    def n_heads(self) -> int:
        return sum(len(model.heads) for model in self.models)


def read_atlas(session: Session) -> Atlas:
    """The atlas of a dataset, over its analysed prompts."""
    table = {row["model"]: row for row in session.rows("select * from models")}
    names = [entry.name for entry in session.dataset.manifest.models]
    score_names = _score_names(session)
    models = tuple(
        AtlasModel(
            name=name,
            tokenizer=table[name]["tokenizer"],
            is_causal=table[name]["is_causal"],
            n_queries=tuple(
                row["n_queries"]
                for row in session.rows(
                    "select distinct bin, n_queries from profiles where model = $m order by bin",
                    {"m": name},
                )
            ),
            heads=tuple(_heads(session, name, score_names)),
        )
        for name in names
    )
    analysed = session.rows(
        "select prompts.prompt_id, pair_id, variant from prompts inner join analysed_prompts "
        "on analysed_prompts.prompt_id = prompts.prompt_id order by prompts.prompt_id"
    )
    prompts = tuple(_fitting(session, models, analysed))
    return Atlas(
        similarity=session.parameters.chosen_similarity,
        score_names=score_names,
        models=models,
        prompts=prompts,
        n_analysed=len(analysed),
        patterns=_patterns(session, models, [prompt.prompt_id for prompt in prompts]),
    )


def _score_names(session: Session) -> tuple[str, ...]:
    """The scores that mean something for these prompts, group by group.

    What is 0 for every head, as attention to steps in a text without steps, says nothing of any.
    """
    found = {
        row["score"]
        for row in session.rows(
            "select score from head_scores group by score having max(abs(value)) > 0 "
            f"union all select '{LATE_MASS}' from late_mass having max(late_mass) > 0"
        )
    }
    return tuple(score for group in grouped_scores(found).values() for score in group)


def _heads(session: Session, model: str, score_names: tuple[str, ...]) -> Iterator[HeadFacts]:
    mass: dict[Head, list[float]] = {}
    for row in session.rows(
        "select layer, head, mass from profiles where model = $m order by layer, head, bin",
        {"m": model},
    ):
        mass.setdefault(Head(model, row["layer"], row["head"]), []).append(rounded(row["mass"]))
    scores: dict[Head, dict[str, float]] = {head: {} for head in mass}
    for row in session.rows("select * from head_scores where model = $m", {"m": model}):
        if row["value"] is not None:
            head = Head(model, row["layer"], row["head"])
            scores[head][row["score"]] = rounded(row["value"])
    matches: dict[Head, list[HeadMatch]] = {head: [] for head in mass}
    for row in session.rows(
        "select * from similarity_ranking where similarity = $similarity and model_a = $m "
        "and rank <= $n order by layer_a, head_a, model_b, rank",
        {"similarity": session.parameters.chosen_similarity, "m": model, "n": N_MATCHES},
    ):
        best = Head(row["model_b"], row["layer_b"], row["head_b"])
        matches[Head(model, row["layer_a"], row["head_a"])].append(
            HeadMatch(best, rounded(row["value"]), row["rank"], row["is_mutual"])
        )
    for row in session.rows("select * from late_mass where model = $m", {"m": model}):
        scores[Head(model, row["layer"], row["head"])][LATE_MASS] = rounded(row["late_mass"])
    for head, profile in mass.items():
        values = tuple(scores[head].get(name) for name in score_names)
        yield HeadFacts(head, values, tuple(profile), tuple(matches[head]))


def _fitting(
    session: Session, models: tuple[AtlasModel, ...], analysed: list[dict[str, Any]]
) -> Iterator[AtlasPrompt]:
    """The first prompts whose weights fit into a page, one at least."""
    room = MOST_WEIGHTS
    for row in analysed:
        prompt = _prompt(session, row)
        room -= sum(len(model.heads) * _n_weights(prompt, model) for model in models)
        if room < 0 and row is not analysed[0]:
            return
        yield prompt


def _n_weights(prompt: AtlasPrompt, model: AtlasModel) -> int:
    n = len(prompt.tokens[model.tokenizer])
    return n * (n + 1) // 2 if model.is_causal else n * n


def _prompt(session: Session, row: dict[str, Any]) -> AtlasPrompt:
    tokens: dict[str, list[AtlasToken]] = {}
    n_tokens: dict[str, int] = {}
    for token in session.rows(
        "select * from tokens where prompt_id = $id order by tokenizer, position",
        {"id": row["prompt_id"]},
    ):
        kept = tokens.setdefault(token["tokenizer"], [])
        n_tokens[token["tokenizer"]] = token["position"] + 1
        if len(kept) < MAX_TOKENS:
            kept.append(AtlasToken(token["token"], token["is_structural"]))
    return AtlasPrompt(
        tokens={name: tuple(kept) for name, kept in tokens.items()}, n_tokens=n_tokens, **row
    )


def _patterns(
    session: Session, models: tuple[AtlasModel, ...], prompt_ids: list[int]
) -> NDArray[np.uint16]:
    parts = []
    for model in models:
        relation = session.query(
            "select round(weight / $unit)::integer as units from attention where model = $m "
            "and prompt_id in (select unnest($ids)) and query < $n and key < $n "
            "order by layer, head, prompt_id, query, key",
            {"unit": WEIGHT_UNIT, "m": model.name, "ids": prompt_ids, "n": MAX_TOKENS},
        )
        parts.append(relation.fetchnumpy()["units"])
    return np.concatenate(parts).astype(np.uint16)


def as_json(atlas: Atlas) -> dict[str, Any]:
    """The atlas as `atlas.js` reads it: heads by their number in a model, models by theirs."""
    numbers = {
        facts.head: (number, place)
        for number, model in enumerate(atlas.models)
        for place, facts in enumerate(model.heads)
    }
    return {
        "scores": atlas.score_names,
        "groups": [
            [group, list(scores.items())]
            for group, scores in grouped_scores(atlas.score_names).items()
        ],
        "compared": COMPARED[atlas.similarity],
        "unit": WEIGHT_UNIT,
        "models": [
            {
                "name": model.name,
                "tokenizer": model.tokenizer,
                "causal": model.is_causal,
                "queries": model.n_queries,
                "heads": [facts.head.index for facts in model.heads],
                "values": [
                    [None if value is None else round(value, 6) for value in facts.scores]
                    for facts in model.heads
                ],
                "profiles": [[round(mass, 6) for mass in facts.mass] for facts in model.heads],
                "matches": [
                    [
                        [*numbers[match.best], round(match.cosine, 6), match.is_mutual]
                        for match in facts.matches
                    ]
                    for facts in model.heads
                ],
            }
            for model in atlas.models
        ],
        "prompts": [
            {
                "id": prompt.prompt_id,
                "name": prompt_name(prompt.prompt_id, prompt.pair_id, prompt.variant),
                "total": prompt.n_tokens,
                "tokens": {
                    name: [
                        [visible(token.text), shortened(token.text), token.is_structural]
                        for token in tokens
                    ]
                    for name, tokens in prompt.tokens.items()
                },
            }
            for prompt in atlas.prompts
        ],
        "patterns": _packed(atlas.patterns),
    }


def prompt_name(prompt_id: int, pair_id: str | None, variant: str | None) -> str:
    """A prompt's number, and what else tells it from others.

    >>> prompt_name(3, "1", "standard"), prompt_name(3, None, None)
    ('prompt 3, pair 1, standard', 'prompt 3')
    """
    pair = None if pair_id is None else f"pair {pair_id}"
    return ", ".join(filter(None, (f"prompt {prompt_id}", pair, variant)))


def _packed(units: NDArray[np.uint16]) -> str:
    """Numbers as text: all low bytes, then all high ones, deflated (RFC 1950) and in base 64."""
    planes = units.astype("<u2").view(np.uint8).reshape(-1, 2).T.tobytes()
    return base64.b64encode(zlib.compress(planes, 6)).decode()
