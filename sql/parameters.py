"""What the views are asked with, checked against a dataset."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingest.kernel.errors import InputError
from ingest.kernel.meant import choice_hint, head_hint

if TYPE_CHECKING:
    from ingest.dataset.reader import Dataset

# What heads are compared by. content: patterns beyond position and role, of models that cut the
# prompts into the same tokens. profile_whitened: what sets profiles apart from those of the layer.
CONTENT, PROFILE_WHITENED = "content", "profile_whitened"
# Those with p values: the errors of their test were measured (docs/explanation/statistics.md).
TESTED_SIMILARITIES = (CONTENT, PROFILE_WHITENED)
# The rest are the forms of a profile, as the view profile_vectors names them.
SIMILARITIES = (
    *TESTED_SIMILARITIES,
    "profile",
    "profile_centred",
    "profile_no_sink",
    "profile_no_sink_centred",
)
# The one that the claim was published with: the view swap_claims knows no other.
PUBLISHED_SIMILARITY = "profile"
# So that p values reach 0.001.
LEAST_DRAWS = 999

_HEAD = r"[lL](\d{1,4})[hH](\d{1,4})"
_HEAD_PATTERN = re.compile(_HEAD)
_CLAIM_PATTERN = re.compile(
    rf"\s*(?P<a>[^\s:]+):(?P<head_a>{_HEAD})\s*~\s*(?P<b>[^\s:]+):(?P<head_b>{_HEAD})\s+"
    r"(?P<test>above same index|best match|beyond chance|at least)(\s+(?P<bound>0?\.\d+|[01]))?\s*"
)


@dataclass(frozen=True)
class Claim:
    """A statement about two heads that the view `claims` holds true or not.

    test: above same index, best match, beyond chance, or at least (the bound, a cosine).
    """

    text: str
    model_a: str
    layer_a: int
    head_a: int
    model_b: str
    layer_b: int
    head_b: int
    test: str
    bound: float | None


@dataclass(frozen=True)
class Parameters:
    """What the views are asked with: the one row of the table `parameters`.

    variant, reference_model: None for the dataset's own (the variant that it stored, `all` where
    prompts have none; its first model). reference_layer, reference_head: both None to let the data
    choose. pairs: the models to compare, each pair once in any order; none for every two. groups:
    which models belong together, by the group's name; none, or two and more of two models and more.
    similarity: what matches and intervals are about; None for content, or for profile_whitened
    where models cut the prompts into different tokens. claim_similarity: the same for claims, None
    for the similarity that was asked for, or else the published one. n_splits, n_draws, seed: the
    random draws behind split halves and chance. significance_level: a match is beyond chance where
    its corrected p value is at most this.
    """

    bins: int = 20
    variant: str | None = None
    reference_model: str | None = None
    reference_layer: int | None = None
    reference_head: int | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    similarity: str | None = None
    claim_similarity: str | None = None
    n_splits: int = 20
    n_draws: int = 1000
    seed: int = 0
    claims: tuple[Claim, ...] = ()
    significance_level: float = 0.05

    @property
    def chosen_similarity(self) -> str:
        """What matches are about, of a session, which settles what was left open."""
        assert self.similarity is not None
        return self.similarity


def parse_head(text: str) -> tuple[int, int]:
    """Reads a head's name.

    >>> parse_head("L3H0")
    (3, 0)

    Raises: InputError where it is none.
    """
    match = _HEAD_PATTERN.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} names no head", hint=head_hint(text))
    return int(match[1]), int(match[2])


def parse_model_head(text: str) -> tuple[str | None, int, int]:
    """Reads a head's name with or without its model's.

    >>> parse_model_head("standard:L3H0"), parse_model_head("L3H0")
    (('standard', 3, 0), (None, 3, 0))

    Raises: InputError where it is none.
    """
    model, _, head = text.rpartition(":")
    return (model or None, *parse_head(head))


def parse_claim(text: str) -> Claim:
    """Reads a claim.

    >>> claim = parse_claim("standard:L3H0 ~ adhd:L3H5 above same index")
    >>> claim.model_b, claim.layer_b, claim.head_b, claim.test
    ('adhd', 3, 5, 'above same index')

    Raises: InputError where it is none.
    """
    match = _CLAIM_PATTERN.fullmatch(text)
    if match is None or (match["test"] == "at least") != (match["bound"] is not None):
        raise InputError(
            f"{text!r} is not a claim",
            hint="write MODEL:HEAD ~ MODEL:HEAD and one of: above same index, best match, "
            "beyond chance, at least 0.99",
        )
    if match["a"] == match["b"]:
        raise InputError(f"{text!r} is about one model", hint="a claim compares two models")
    return Claim(
        " ".join(text.split()),
        match["a"],
        *parse_head(match["head_a"]),
        match["b"],
        *parse_head(match["head_b"]),
        match["test"],
        float(match["bound"]) if match["bound"] else None,
    )


def completed(parameters: Parameters, dataset: Dataset) -> Parameters:
    """Fills what was left open from the dataset, and checks the rest against it."""
    manifest = dataset.manifest
    names = [model.name for model in manifest.models]
    check_values(parameters)
    reference = parameters.reference_model or names[0]
    check_model(dataset, reference)
    _check_pairs(parameters, reference, dataset)
    _check_groups(parameters, dataset)
    if parameters.reference_layer is not None and parameters.reference_head is not None:
        check_head(dataset, reference, parameters.reference_layer, parameters.reference_head)
    for claim in parameters.claims:
        _check_claim(claim, parameters, names, dataset)
    is_one_tokenizer = len({model.tokenizer for model in manifest.models}) == 1
    similarity = parameters.similarity or (CONTENT if is_one_tokenizer else PROFILE_WHITENED)
    stored = manifest.variant
    variant = parameters.variant or _own_variant(dataset)
    if variant not in ("all", stored) and stored != "all":
        raise InputError(
            f"{dataset.name} holds the variant {stored!r}, not {variant!r}",
            hint="ingest with --variant all to have every variant",
        )
    return replace(
        parameters,
        variant=variant,
        reference_model=reference,
        similarity=similarity,
        claim_similarity=parameters.claim_similarity
        or parameters.similarity
        or PUBLISHED_SIMILARITY,
    )


def _check_pairs(parameters: Parameters, reference: str, dataset: Dataset) -> None:
    for model in (model for pair in parameters.pairs for model in pair):
        check_model(dataset, model)
    if parameters.pairs and not any(reference in pair for pair in parameters.pairs):
        raise InputError(
            f"no pair holds {reference!r}, whose head is the reference",
            hint="name another with --reference MODEL:HEAD, or add a pair",
        )


def _check_groups(parameters: Parameters, dataset: Dataset) -> None:
    grouped = [model for _, models in parameters.groups for model in models]
    for model in grouped:
        check_model(dataset, model)
    if parameters.pairs and grouped:
        missing = {frozenset(pair) for pair in itertools.combinations(grouped, 2)} - {
            frozenset(pair) for pair in parameters.pairs
        }
        if missing:
            raise InputError(
                f"{len(missing)} pairs of grouped models are not compared",
                hint="groups need every two of their models; leave pairs out",
            )


def _own_variant(dataset: Dataset) -> str:
    """What a dataset is about: of several variants `standard`, `all` where prompts have none."""
    stored = dataset.manifest.variant
    if stored != "all":
        return stored
    has_standard = "standard" in dataset.read_table("prompts")["variant"].to_pylist()
    return "standard" if has_standard else "all"


def check_values(parameters: Parameters) -> None:
    """Checks what can be checked without a dataset.

    Raises: InputError where a number is out of its range, or there is no such similarity.
    """
    if not 1 <= parameters.bins <= 10_000:
        raise InputError(f"{parameters.bins} bins are not possible", hint="give 1 to 10,000")
    if parameters.similarity not in (None, *SIMILARITIES):
        raise InputError(
            f"there is no similarity {parameters.similarity!r}",
            hint=choice_hint(parameters.similarity or "", SIMILARITIES, "there are"),
        )
    for name, least in (("n_splits", 1), ("n_draws", LEAST_DRAWS)):
        value = getattr(parameters, name)
        if not least <= value <= 100_000:
            what = name.removeprefix("n_")
            raise InputError(f"{value} {what} are not possible", hint=f"give {least} to 100,000")
    check_groups(parameters.groups)
    if parameters.seed < 0:
        raise InputError(f"{parameters.seed} is no seed", hint="give 0 or a number above")


def _check_claim(claim: Claim, parameters: Parameters, names: list[str], dataset: Dataset) -> None:
    compared = parameters.pairs or tuple(itertools.combinations(names, 2))
    pair = (claim.model_a, claim.model_b)
    if pair not in compared and pair[::-1] not in compared:
        raise InputError(
            f"the claim {claim.text!r} is about models that are not compared",
            hint=f"compared are {', '.join(':'.join(pair) for pair in compared) or 'none'}",
        )
    check_head(dataset, claim.model_a, claim.layer_a, claim.head_a)
    check_head(dataset, claim.model_b, claim.layer_b, claim.head_b)


def check_groups(groups: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
    """Raises: InputError where groups are too few, too small, or share a model or a name."""
    if not groups:
        return
    small = [name for name, models in groups if len(models) < 2]
    if len(groups) < 2 or small:
        raise InputError(
            f"the group {small[0]!r} has fewer than two models" if small else "one group is none",
            hint="name two groups or more, each of two models or more",
        )
    for what, names in (
        ("group", [name for name, _ in groups]),
        ("model", [model for _, models in groups for model in models]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise InputError(f"the {what} {twice!r} is named twice", hint="name each once")


def check_model(dataset: Dataset, model: str) -> None:
    """Raises: InputError where a dataset has no model of that name."""
    names = [entry.name for entry in dataset.manifest.models]
    if model not in names:
        raise InputError(
            f"{dataset.name} has no model {model!r}", hint=choice_hint(model, names, "it has")
        )


def check_head(dataset: Dataset, model: str, layer: int, head: int) -> None:
    """Raises: InputError where a model of the dataset has no such head."""
    table = dataset.read_table("models").to_pylist()
    shape = next(row for row in table if row["model"] == model)
    if layer >= shape["n_layers"] or head >= shape["n_heads"]:
        raise InputError(
            f"model {model!r} has no head L{layer}H{head}",
            hint=f"it has the layers 0 to {shape['n_layers'] - 1} "
            f"and the heads 0 to {shape['n_heads'] - 1}",
        )
    entry = dataset.manifest.model(model)
    if entry and layer not in entry.stored_layers(shape["n_layers"]):
        stored = ", ".join(map(str, entry.stored_layers(shape["n_layers"])))
        raise InputError(
            f"layer {layer} of model {model!r} is not stored in {dataset.path}, which is a part of "
            "a dataset",
            hint=f"it has the layers {stored}",
        )
