"""From SQL to the report's data: every number that a page shows is read here."""

from __future__ import annotations

from typing import Any

from ingest.kernel.errors import InputError
from reports.data import questions
from reports.data.patterns import read_example
from reports.data.report import (
    Chance,
    Claim,
    CosineMatrix,
    Criterion,
    Head,
    HeadMass,
    Match,
    Model,
    Pair,
    Profile,
    Reference,
    Report,
    Spread,
)
from reports.data.rounding import rounded, rounded_or_none
from reports.data.verdicts import read_groups, read_verdict
from sql.session import Session


def read_report(session: Session) -> Report:
    """All that the report of a dataset says.

    Raises: InputError where no stored prompt is of the variant that was asked for.
    """
    check_prompts(session)
    manifest = session.dataset.manifest
    models = _models(session)
    reference = read_reference(session)
    others = compared_models(session, reference.head.model)
    found = {other: read_pair(session, reference.head, other) for other in others}
    pairs = tuple(pair for pair in found.values() if pair)
    (counts,) = session.rows(questions.COUNTS)
    reference_profile = read_profile(session, reference.head)
    variant = session.parameters.variant
    assert variant is not None  # a session settles what was left open
    return Report(
        bins=session.parameters.bins,
        similarity=session.parameters.chosen_similarity,
        variant=variant,
        stored_variant=manifest.variant,
        structural=manifest.structural,
        n_prompts=counts["n_prompts"],
        n_analysed=counts["n_analysed"],
        n_empty_bins=reference_profile.n_queries.count(0),
        has_structure=bool(counts["has_structure"]),
        prompts_sha256=manifest.prompts_sha256,
        left_out=manifest.part_of.left_out if manifest.part_of else (),
        tokenizers=manifest.tokenizers,
        written_with=manifest.written_with,
        models=models,
        reference=reference,
        reference_profile=reference_profile,
        head_masses=_head_masses(session, reference.head.model),
        pairs=pairs,
        undefined=tuple(read_criterion(session, other) for other in others if not found[other]),
        verdicts=tuple(read_verdict(session, reference.head, other) for other in others),
        groups=read_groups(session),
        example=read_example(session, [reference.head, *(pair.claim.match.best for pair in pairs)]),
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
    rows = {row["model"]: row for row in session.rows(questions.MODELS)}
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
    found = session.rows(questions.REFERENCE)
    if not found:
        raise InputError(
            "a profile of one bin has no later half to choose the reference head by",
            hint="give --bins 2 or more",
        )
    row = found[0]
    head = Head(row["model"], row["layer"], row["head"])
    return Reference(head, rounded(row["late_mass"]), row["is_given"])


def read_pair(session: Session, reference: Head, other: str) -> Pair | None:
    """What is found of the reference head in another model, with what it rests on.

    Returns: None where the similarity that was asked for is undefined for the reference head.
    """
    ranking = _ranking(session, reference.model, other)
    match = next((match for match in ranking if match.head == reference), None)
    if match is None:
        return None
    claim = _claim(session, match)
    criterion = claim.criterion
    shown = [reference, claim.match.best]
    if criterion.same_index_reference is not None:
        shown.append(reference.in_model(other))
    if criterion.best is not None:
        shown.append(criterion.best)
        if criterion.same_index_match is not None:
            shown.append(criterion.best.in_model(reference.model))
    return Pair(
        claim=claim,
        profiles={head: read_profile(session, head) for head in shown},
        matrix=_matrix(session, reference.model, other),
        ranking=ranking,
        unmatched=_unmatched(session, reference.model, other),
    )


def read_criterion(session: Session, other: str) -> Criterion:
    """The published criterion, asked of the reference head and another model."""
    row = session.rows(questions.CRITERION, {"other": other})[0]
    (counts,) = session.rows(
        "select count(*) filter (where holds) as n_fulfil, count(cosine) as n_defined "
        "from published_criterion where model_a = $model and model_b = $other",
        {"model": row["model_a"], "other": other},
    )
    return Criterion(
        head=Head(row["model_a"], row["layer_a"], row["head_a"]),
        model=other,
        best=None if row["cosine"] is None else Head(other, row["layer_b"], row["head_b"]),
        cosine=rounded_or_none(row["cosine"]),
        same_index_reference=rounded_or_none(row["same_index_cosine_a"]),
        same_index_match=rounded_or_none(row["same_index_cosine_b"]),
        is_moved=bool(row["is_moved"]),
        holds=row["holds"],
        **counts,
    )


def read_cosine(session: Session, head_a: Head, head_b: Head) -> float | None:
    """How alike two heads are, by the similarity that was asked for.

    Returns: None where that is undefined, there is no such head, or their models are not compared.
    """
    found = session.rows(
        questions.COSINE,
        {"similarity": session.parameters.similarity, **sides(head_a, head_b)},
    )
    return rounded_or_none(found[0]["value"]) if found else None


def sides(head_a: Head, head_b: Head) -> dict[str, Any]:
    """Two heads as the columns of views name them."""
    return {
        **{f"{name}_a": value for name, value in vars(head_a).items()},
        **{f"{name}_b": value for name, value in vars(head_b).items()},
    }


def _claim(session: Session, match: Match) -> Claim:
    model, other = match.head.model, match.best.model
    similarity = session.parameters.chosen_similarity
    back = session.rows(
        questions.MATCH_OF_MATCH,
        {"other": other, "layer": match.best.layer, "head": match.best.head, "model": model},
    )[0]
    spread = session.rows(
        questions.SPREAD,
        {"similarity": similarity, "model": model, "other": other, "cosine": match.cosine},
    )[0]
    shapes = {
        (shape["n_layers"], shape["n_heads"])
        for shape in session.rows("select n_layers, n_heads, model from models")
        if shape["model"] in (model, other)
    }
    is_one_shape = len(shapes) == 1
    return Claim(
        similarity=similarity,
        is_one_shape=is_one_shape,
        match=match,
        same_index_reference=match.same_index_cosine if is_one_shape else None,
        same_index_match=(
            read_cosine(session, match.best.in_model(model), match.best) if is_one_shape else None
        ),
        best_back=Head(model, back["layer_b"], back["head_b"]),
        spread=Spread(
            n_pairs=spread["n_pairs"],
            median=rounded(spread["median"]),
            percentile_95=rounded(spread["percentile_95"]),
            n_as_alike=spread["n_as_alike"],
        ),
        chance=_chance(session, match),
        interval=_interval(session, match),
        criterion=read_criterion(session, other),
    )


def _interval(session: Session, match: Match) -> tuple[float, float] | None:
    row = session.rows(
        questions.INTERVAL,
        {**vars(match.head), "other": match.best.model},
    )[0]
    return None if row["low"] is None else (rounded(row["low"]), rounded(row["high"]))


def _chance(session: Session, match: Match) -> Chance:
    row = session.rows(
        questions.CHANCE,
        {
            **vars(match.head),
            "other": match.best.model,
            "similarity": session.parameters.similarity,
        },
    )[0]
    return Chance(rounded(row["null_mean"]), rounded(row["null_high"]), row["n_draws"])


def _ranking(session: Session, model: str, other: str) -> tuple[Match, ...]:
    """The best match of every head of a model that has one, the most alike first."""
    rows = session.rows(
        questions.RANKING,
        {"similarity": session.parameters.similarity, "model": model, "other": other},
    )
    return tuple(_match(row) for row in rows)


def _unmatched(session: Session, model: str, other: str) -> tuple[Head, ...]:
    """The heads of a model that have no best match, as the similarity is undefined for them."""
    rows = session.rows(
        "select layer_a, head_a from matches where model_a = $model and model_b = $other "
        "and value is null order by layer_a, head_a",
        {"model": model, "other": other},
    )
    return tuple(Head(model, row["layer_a"], row["head_a"]) for row in rows)


def _match(row: dict[str, Any]) -> Match:
    other, second_layer, second_head = row["model_b"], row["second_layer"], row["second_head"]
    return Match(
        head=Head(row["model_a"], row["layer_a"], row["head_a"]),
        best=Head(other, row["layer_b"], row["head_b"]),
        cosine=rounded(row["value"]),
        same_index_cosine=rounded_or_none(row["same_index_value"]),
        margin=rounded_or_none(row["margin"]),
        runner_up=None if second_layer is None else Head(other, second_layer, second_head),
        is_same_index=row["is_same_index"],
        is_mutual=row["is_mutual"],
        p_value=rounded_or_none(row["p_family"]),
    )


def _matrix(session: Session, model: str, other: str) -> CosineMatrix:
    relation = session.query(
        questions.COSINES,
        {"similarity": session.parameters.similarity, "model": model, "other": other},
    )
    by_head: dict[Head, dict[Head, float | None]] = {}
    for layer_a, head_a, layer_b, head_b, cosine in relation.fetchall():
        row = by_head.setdefault(Head(model, layer_a, head_a), {})
        row[Head(other, layer_b, head_b)] = rounded_or_none(cosine)
    return CosineMatrix(
        similarity=session.parameters.chosen_similarity,
        heads_a=tuple(by_head),
        heads_b=tuple(next(iter(by_head.values()))),
        cosines=tuple(tuple(row.values()) for row in by_head.values()),
    )


def read_profile(session: Session, head: Head) -> Profile:
    """A head's profile; without bins where the dataset has no such head."""
    rows = session.rows(questions.PROFILE, vars(head))
    return Profile(
        head=head,
        mass=tuple(rounded(row["mass"]) for row in rows),
        n_queries=tuple(row["n_queries"] for row in rows),
    )


def _head_masses(session: Session, model: str) -> tuple[HeadMass, ...]:
    """The heads of a model, the one with the most structural mass in the later half first."""
    rows = session.rows(questions.HEAD_MASSES, {"model": model})
    return tuple(
        HeadMass(
            head=Head(model, row["layer"], row["head"]),
            mean_mass=rounded(row["mean_mass"]),
            late_mass=rounded(row["late_mass"]),
        )
        for row in rows
    )
