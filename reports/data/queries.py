"""From SQL to the report's data: every number that a page shows is read here."""

from __future__ import annotations

from typing import Any

from ingest.kernel.errors import InputError
from reports.data.report import (
    Chance,
    Claim,
    CosineMatrix,
    Example,
    Head,
    HeadMass,
    Match,
    Model,
    Pair,
    Pattern,
    Profile,
    Reference,
    Report,
    Spread,
    Token,
)
from sql.session import Session

# A heat map with more tokens than this has no room for their names.
MAX_TOKENS = 80
# With more prompts than this an interval takes minutes; `match_intervals` has it all the same.
MOST_RESAMPLED = 300
# Sums of doubles come in any order, so that the last bits of two runs differ.
_DIGITS = 9


def read_report(session: Session) -> Report:
    """All that the report of a dataset says.

    Raises: InputError where no stored prompt is of the variant that was asked for.
    """
    check_prompts(session)
    manifest = session.dataset.manifest
    models = _models(session)
    reference = read_reference(session)
    others = compared_models(session, reference.head.model)
    pairs = tuple(read_pair(session, reference.head, other) for other in others)
    counts = session.rows(
        "select (select count(*) from prompts) as n_prompts, "
        "(select count(*) from analysed_prompts) as n_analysed"
    )[0]
    reference_profile = read_profile(session, reference.head)
    assert session.parameters.variant is not None  # a session settles what was left open
    return Report(
        bins=session.parameters.bins,
        variant=session.parameters.variant,
        stored_variant=manifest.variant,
        structural=manifest.structural,
        n_prompts=counts["n_prompts"],
        n_analysed=counts["n_analysed"],
        n_empty_bins=reference_profile.n_queries.count(0),
        prompts_sha256=manifest.prompts_sha256,
        tokenizers=manifest.tokenizers,
        written_with=manifest.written_with,
        models=models,
        reference=reference,
        reference_profile=reference_profile,
        head_masses=_head_masses(session, reference.head.model),
        pairs=pairs,
        example=_example(session, [reference.head, *(pair.claim.match.best for pair in pairs)]),
    )


def check_prompts(session: Session) -> None:
    """Raises: InputError where no stored prompt is of the variant that was asked for."""
    if session.rows("select 1 from analysed_prompts limit 1"):
        return
    variants = session.rows("select distinct variant from prompts order by variant nulls last")
    held = ", ".join(str(row["variant"]) for row in variants)
    raise InputError(
        f"{session.dataset.path} has no prompt of the variant {session.parameters.variant!r}",
        hint=f"it has {held}; choose one with --variant, or all",
    )


def _models(session: Session) -> tuple[Model, ...]:
    """The models in the order in which they were ingested."""
    manifest = session.dataset.manifest
    rows = {row["model"]: row for row in session.rows("select * from models order by model")}
    return tuple(
        Model(
            name=entry.name,
            architecture=entry.architecture,
            n_layers=rows[entry.name]["n_layers"],
            n_heads=rows[entry.name]["n_heads"],
            n_parameters=rows[entry.name]["n_parameters"],
            source=entry.source,
            revision=entry.revision,
            weights_sha256=entry.weights_sha256,
            dtype=entry.dtype,
            device=entry.device,
            tokenizer=entry.tokenizer,
            n_rows=manifest.rows_of("attention", entry.name),
        )
        for entry in manifest.models
    )


def compared_models(session: Session, model: str) -> list[str]:
    """The models that a model is compared with, in the order in which they were ingested."""
    compared = set(session.pairs())
    names = [entry.name for entry in session.dataset.manifest.models]
    return [name for name in names if (model, name) in compared]


def read_reference(session: Session) -> Reference:
    """The head whose counterpart is asked for.

    Raises: InputError where the profiles have no later half to choose it by.
    """
    found = session.rows("select * from reference_head")
    if not found:
        raise InputError(
            "a profile of one bin has no later half to choose the reference head by",
            hint="give --bins 2 or more",
        )
    row = found[0]
    head = Head(row["model"], row["layer"], row["head"])
    return Reference(head, settled(row["late_mass"]), row["is_given"])


def read_pair(session: Session, reference: Head, other: str) -> Pair:
    """The claim about the reference head and another model, with what it rests on."""
    ranking = _ranking(session, reference.model, other)
    claim = _claim(session, ranking, reference, other)
    best = claim.match.best
    shown = [reference, best]
    if claim.same_index_reference is not None:
        shown.append(reference.in_model(other))
    if claim.same_index_match is not None:
        shown.append(best.in_model(reference.model))
    return Pair(
        claim=claim,
        profiles={head: read_profile(session, head) for head in shown},
        matrix=_matrix(session, reference.model, other),
        ranking=ranking,
    )


def _claim(session: Session, ranking: tuple[Match, ...], reference: Head, other: str) -> Claim:
    row = session.rows("select * from swap_claims where model_b = $other", {"other": other})[0]
    match = next(match for match in ranking if match.head == reference)
    back = session.rows(
        "select layer_b, head_b from swap_ranking where model_a = $other and layer_a = $layer "
        "and head_a = $head and model_b = $model and rank = 1",
        {
            "other": other,
            "layer": match.best.layer,
            "head": match.best.head,
            "model": reference.model,
        },
    )[0]
    spread = session.rows(
        "select count(*) as n_pairs, quantile_cont(cosine, 0.5) as median, "
        "quantile_cont(cosine, 0.95) as percentile_95, "
        "count(*) filter (where round(cosine, 9) >= round($cosine, 9)) as n_as_alike "
        "from profile_cosines where model_a = $model and model_b = $other",
        {"model": reference.model, "other": other, "cosine": match.cosine},
    )[0]
    return Claim(
        match=match,
        same_index_reference=_settled_or_none(row["same_index_cosine_a"]),
        same_index_match=_settled_or_none(row["same_index_cosine_b"]),
        best_back=Head(reference.model, back["layer_b"], back["head_b"]),
        is_moved=row["is_moved"],
        holds=row["holds"],
        spread=Spread(
            n_pairs=spread["n_pairs"],
            median=settled(spread["median"]),
            percentile_95=settled(spread["percentile_95"]),
            n_as_alike=spread["n_as_alike"],
        ),
        chance=_chance(session, match),
        interval=_interval(session, match),
    )


def _interval(session: Session, match: Match) -> tuple[float, float] | None:
    n_analysed = session.rows("select count(*) as n from analysed_prompts")[0]["n"]
    if n_analysed > MOST_RESAMPLED:
        return None
    row = session.rows(
        "select low, high from match_intervals where model_a = $model and layer_a = $layer "
        "and head_a = $head and model_b = $other",
        {**vars(match.head), "other": match.best.model},
    )[0]
    return settled(row["low"]), settled(row["high"])


def _chance(session: Session, match: Match) -> Chance:
    row = session.rows(
        "select null_mean, null_high, p_value, n_draws from match_chance where model_a = $model "
        "and layer_a = $layer and head_a = $head and model_b = $other",
        {**vars(match.head), "other": match.best.model},
    )[0]
    return Chance(
        mean=settled(row["null_mean"]),
        high=settled(row["null_high"]),
        p_value=row["p_value"],
        n_draws=row["n_draws"],
    )


def _ranking(session: Session, model: str, other: str) -> tuple[Match, ...]:
    """The best match of every head of a model, the most alike first."""
    rows = session.rows(
        """
        with
        best as (select * from swap_ranking where rank = 1),
        second as (select * from swap_ranking where rank = 2)
        select
            best.*,
            second.layer_b as second_layer,
            second.head_b as second_head
        from best
        left join second
            on second.model_a = best.model_a
            and second.layer_a = best.layer_a
            and second.head_a = best.head_a
            and second.model_b = best.model_b
        where best.model_a = $model and best.model_b = $other
        order by
            round(best.cosine, 9) desc,
            round(best.margin, 9) desc nulls last,
            best.layer_a,
            best.head_a
        """,
        {"model": model, "other": other},
    )
    return tuple(_match(row) for row in rows)


def _match(row: dict[str, Any]) -> Match:
    other, second_layer, second_head = row["model_b"], row["second_layer"], row["second_head"]
    return Match(
        head=Head(row["model_a"], row["layer_a"], row["head_a"]),
        best=Head(other, row["layer_b"], row["head_b"]),
        cosine=settled(row["cosine"]),
        same_index_cosine=_settled_or_none(row["same_index_cosine"]),
        margin=_settled_or_none(row["margin"]),
        runner_up=None if second_layer is None else Head(other, second_layer, second_head),
        is_same_index=row["is_same_index"],
        is_mutual=row["is_mutual"],
    )


def _matrix(session: Session, model: str, other: str) -> CosineMatrix:
    relation = session.query(
        "select layer_a, head_a, layer_b, head_b, cosine from profile_cosines "
        "where model_a = $model and model_b = $other "
        "order by layer_a, head_a, layer_b, head_b",
        {"model": model, "other": other},
    )
    by_head: dict[Head, dict[Head, float]] = {}
    for layer_a, head_a, layer_b, head_b, cosine in relation.fetchall():
        row = by_head.setdefault(Head(model, layer_a, head_a), {})
        row[Head(other, layer_b, head_b)] = settled(cosine)
    return CosineMatrix(
        heads_a=tuple(by_head),
        heads_b=tuple(next(iter(by_head.values()))),
        cosines=tuple(tuple(row.values()) for row in by_head.values()),
    )


def read_profile(session: Session, head: Head) -> Profile:
    """A head's profile; without bins where the dataset has no such head."""
    rows = session.rows(
        "select mass, n_queries from profiles "
        "where model = $model and layer = $layer and head = $head order by bin",
        vars(head),
    )
    return Profile(
        head=head,
        mass=tuple(settled(row["mass"]) for row in rows),
        n_queries=tuple(row["n_queries"] for row in rows),
    )


def _head_masses(session: Session, model: str) -> tuple[HeadMass, ...]:
    """The heads of a model, the one with the most structural mass in the later half first."""
    rows = session.rows(
        "select layer, head, avg(mass) as mean_mass, "
        "avg(mass) filter (where bin * 2 >= bins) as late_mass "
        "from profiles cross join parameters where model = $model group by layer, head "
        "order by round(late_mass, 9) desc, layer, head",
        {"model": model},
    )
    return tuple(
        HeadMass(
            head=Head(model, row["layer"], row["head"]),
            mean_mass=settled(row["mean_mass"]),
            late_mass=settled(row["late_mass"]),
        )
        for row in rows
    )


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


def _example(session: Session, heads: list[Head]) -> Example:
    """The shortest analysed prompt, ties by prompt_id, with the patterns of the heads on it."""
    row = read_prompt(session, heads[0].model)
    assert row is not None  # `check_prompts` found one
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
        structural_share=settled(share),
    )


def settled(value: float) -> float:
    """A computed number without the bits that differ from run to run, and without a minus zero."""
    return round(value, _DIGITS) + 0.0


def _settled_or_none(value: float | None) -> float | None:
    return None if value is None else settled(value)
