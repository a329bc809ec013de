"""What a report says, as data: gathered by `reports.data.queries`, drawn by the charts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Head:
    """One head of one model; layer and head are 0-based."""

    model: str
    layer: int
    head: int

    @property
    def index(self) -> str:
        """The head's place, whatever the model.

        >>> Head("standard", 3, 0).index
        'L3H0'
        """
        return f"L{self.layer}H{self.head}"

    @property
    def place(self) -> str:
        """The head as an address or an option names it.

        >>> Head("standard", 3, 0).place
        'standard:L3H0'
        """
        return f"{self.model}:{self.index}"

    def __str__(self) -> str:
        return f"{self.model} {self.index}"

    def in_model(self, model: str) -> Head:
        """The head of the same index in another model."""
        return Head(model, self.layer, self.head)


@dataclass(frozen=True)
class Model:
    """One model of the dataset. n_rows: its attention weights that are stored.

    What nobody knows of an imported model is None.
    """

    name: str
    architecture: str | None
    n_layers: int
    n_heads: int
    n_parameters: int | None
    source: str
    revision: str | None
    weights_sha256: str | None
    dtype: str
    device: str | None
    tokenizer: str
    n_rows: int


@dataclass(frozen=True)
class Reference:
    """The head whose counterpart is asked for.

    late_mass: mean of its profile over the later half; is_given: the user named it.
    """

    head: Head
    late_mass: float
    is_given: bool


@dataclass(frozen=True)
class Profile:
    """Structural mass along the prompt, `[bin]`; n_queries: what each bin's mean is taken over."""

    head: Head
    mass: tuple[float, ...]
    n_queries: tuple[int, ...]


@dataclass(frozen=True)
class Match:
    """A head and the most alike head of another model, by the similarity that was asked for.

    same_index_cosine: None where the other model has no head of that index; margin: cosine less
    that of the runner-up, None where there is none. p_value: corrected for the number of
    heads; None where the similarity is not tested.
    """

    head: Head
    best: Head
    cosine: float
    same_index_cosine: float | None
    margin: float | None
    runner_up: Head | None
    is_same_index: bool
    is_mutual: bool
    p_value: float | None


@dataclass(frozen=True)
class Spread:
    """All defined cosines between two models: what a match must stand out from.

    n_as_alike: pairs of heads whose cosine is at least that of the match, the match among them.
    """

    n_pairs: int
    median: float
    percentile_95: float
    n_as_alike: int


@dataclass(frozen=True)
class Chance:
    """The best match of the reference head among the other model's heads, mixed at random.

    high: 5 % of the draws are above.
    """

    mean: float
    high: float
    n_draws: int


@dataclass(frozen=True)
class Criterion:
    """The published criterion, asked of the reference head and one other model.

    Always by the published profiles. best, cosine: None where the profile of the reference head, or
    of every head of the model, is 0 in every bin. same_index_reference: cosine with the other
    model's head of the reference head's index; same_index_match: of the match with the reference
    model's head of the match's index. n_fulfil: heads of the reference head's model that fulfil the
    criterion, of n_defined whose profile has a cosine.
    """

    head: Head
    model: str
    best: Head | None
    cosine: float | None
    same_index_reference: float | None
    same_index_match: float | None
    is_moved: bool
    holds: bool
    n_fulfil: int
    n_defined: int

    @property
    def cosines(self) -> tuple[float, ...]:
        """The cosines that are defined, that of the most alike head first."""
        found = (self.cosine, self.same_index_reference, self.same_index_match)
        return tuple(value for value in found if value is not None)


@dataclass(frozen=True)
class Claim:
    """What is found of the reference head in one other model, and the published criterion.

    similarity: what all numbers but those of the criterion compare. is_one_shape: both models have
    the same layers and heads, so that an index means something in both.
    same_index_reference: cosine of the reference head with the other model's head of its index;
    same_index_match: cosine of the match with the reference model's head of the match's index.
    best_back: the head of the reference model that is most like the match.
    interval: 95 % interval of the match's cosine over blocks of prompts; None of a single prompt.
    """

    similarity: str
    is_one_shape: bool
    match: Match
    same_index_reference: float | None
    same_index_match: float | None
    best_back: Head
    spread: Spread
    chance: Chance
    interval: tuple[float, float] | None
    criterion: Criterion

    @property
    def is_moved(self) -> bool:
        """Whether the match has another index than the reference head."""
        return not self.match.is_same_index

    @property
    def holds(self) -> bool:
        """Whether the published criterion does."""
        return self.criterion.holds

    @property
    def cosines(self) -> tuple[float, ...]:
        """The match's cosine, and those of the same-index pairs that exist."""
        same_index = (self.same_index_reference, self.same_index_match)
        return (self.match.cosine, *(value for value in same_index if value is not None))


@dataclass(frozen=True)
class CosineMatrix:
    """Cosines `[head_a, head_b]` of all heads of two models, layer by layer.

    similarity: what they compare. A cosine is None where it is undefined.
    """

    similarity: str
    heads_a: tuple[Head, ...]
    heads_b: tuple[Head, ...]
    cosines: tuple[tuple[float | None, ...], ...]

    @property
    def defined(self) -> tuple[float, ...]:
        """All cosines that are defined, row by row."""
        return tuple(value for row in self.cosines for value in row if value is not None)


@dataclass(frozen=True)
class Pair:
    """The reference model and one other: claim, profiles by head, all cosines, ranking.

    unmatched: the heads of the reference model that the ranking lacks, their similarity undefined.
    """

    claim: Claim
    profiles: dict[Head, Profile]
    matrix: CosineMatrix
    ranking: tuple[Match, ...]
    unmatched: tuple[Head, ...]


@dataclass(frozen=True)
class Token:
    """A token's text as its tokenizer decodes it alone."""

    text: str
    is_structural: bool


@dataclass(frozen=True)
class Pattern:
    """A head's attention on one prompt: weights `[query][key]`, a causal row ending at its query.

    structural_share: mean over the queries but the first of their weights on structural keys.
    """

    head: Head
    tokens: tuple[Token, ...]
    weights: tuple[tuple[float, ...], ...]
    structural_share: float


@dataclass(frozen=True)
class Example:
    """The prompt on which patterns are shown, cut to the first n_shown of its n_tokens tokens."""

    prompt_id: int
    variant: str | None
    text: str
    n_tokens: int
    n_shown: int
    patterns: dict[Head, Pattern]


@dataclass(frozen=True)
class Verdict:
    """Whether heads of one model have counterparts in another beyond chance.

    similarity: by what, content or, where the two models cut the prompts into different tokens,
    profile_whitened; None where nothing could be tested. n_tested: heads of `model` whose best
    match has a p value. n_beyond: of them with a p value, corrected for the number of
    heads, at most `level`; smallest_p: the smallest. match, p_value: of the reference head.
    same_index_p, n_same_index: of the test of heads at the same index, None unless the two models
    have one shape.
    """

    model: str
    other: str
    similarity: str | None
    n_heads: int
    n_tested: int
    n_beyond: int
    smallest_p: float | None
    match: Head | None
    p_value: float | None
    same_index_p: float | None
    n_same_index: int | None
    level: float


@dataclass(frozen=True)
class ModelPair:
    """How alike two models are: the mean over their heads of atanh of the best match's cosine."""

    model_a: str
    model_b: str
    group_a: str
    group_b: str
    mean_best_match: float
    same_index_share: float | None

    @property
    def is_within(self) -> bool:
        return self.group_a == self.group_b


@dataclass(frozen=True)
class Groups:
    """Whether models of one group are more alike than models of different groups.

    similarity: by what. within, between, p_value: of mean_best_match; smallest_p: the smallest that
    so few models can reach. same_index_p: of the shares of heads at their own index, None of models
    of several shapes.
    """

    similarity: str
    names: tuple[str, ...]
    n_models: int
    within: float
    between: float
    p_value: float
    n_labelings: int
    smallest_p: float
    same_index_p: float | None
    level: float
    pairs: tuple[ModelPair, ...]


@dataclass(frozen=True)
class HeadMass:
    """A head of the reference model and the mean of its profile, whole and later half."""

    head: Head
    mean_mass: float
    late_mass: float


@dataclass(frozen=True)
class Report:
    """All that the page shows. pairs: one an other model, in the dataset's order.

    similarity: what matches, chance and intervals are about. has_structure: some token of the
    analysed prompts is structural; else every profile is 0. undefined: the published criterion for
    each model that is no pair, as the similarity to the reference head is undefined for its heads.
    verdicts: what the tests say, one an other model. groups: None where no groups were stated, or
    they cannot be compared. structural: the regular expression that chose
    the structural tokens, None for the default.
    """

    bins: int
    similarity: str
    variant: str
    stored_variant: str
    structural: str | None
    n_prompts: int
    n_analysed: int
    n_empty_bins: int
    has_structure: bool
    prompts_sha256: str
    left_out: tuple[str, ...]
    tokenizers: dict[str, str | None]
    written_with: dict[str, str]
    models: tuple[Model, ...]
    reference: Reference
    reference_profile: Profile
    head_masses: tuple[HeadMass, ...]
    pairs: tuple[Pair, ...]
    undefined: tuple[Criterion, ...]
    verdicts: tuple[Verdict, ...]
    groups: Groups | None
    example: Example

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The published criterion for every other model, in the order of verdicts."""
        found = [pair.claim.criterion for pair in self.pairs] + list(self.undefined)
        by_model = {criterion.model: criterion for criterion in found}
        return tuple(by_model[verdict.other] for verdict in self.verdicts)
