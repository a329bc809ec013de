"""What ablations say of heads: which matter, and whether matched heads do the same work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sql.computed.arrow import rows_table
from sql.computed.matching.gram import vector_gram
from sql.computed.matching.jackknife import interval, leave_one_out
from sql.computed.matching.match_test import MatchTest, two_way_match_tests

if TYPE_CHECKING:
    from sql.session import Inputs

Floats = NDArray[np.float64]
# A stream of draws of its own, so that changing one number leaves the others alone.
_FUNCTIONAL = 5
_Head = tuple[str, int, int]


def ablation_ranking(inputs: Inputs) -> pa.Table:
    """The mean effect of each head over prompts, with its interval.

    Returns: the columns of the relation `ablation_ranking`.
    """
    rows = _means(
        inputs,
        "select model, kind, layer, head, prompt_id, mean_delta_loss_nats, mean_kl_nats "
        "from prompt_effects where mean_delta_loss_nats is not null",
        n_values=2,
    )
    return rows_table(_ranked(rows), _RANKING)


def attribution_ranking(inputs: Inputs) -> pa.Table:
    """The mean estimated effect of each head over prompts, with its interval.

    Returns: the columns of the relation `attribution_ranking`.
    """
    rows = _means(
        inputs,
        "select model, kind, layer, head, prompt_id, estimated_delta_loss_nats "
        "from attribution_effects inner join analysed_prompts using (prompt_id) "
        "where estimated_delta_loss_nats is not null",
        n_values=1,
    )
    schema = pa.schema(
        [
            *list(_RANKING)[:6],
            ("mean_estimated_delta_loss_nats", pa.float64()),
            *list(_RANKING)[7:9],
        ]
    )
    return rows_table(_ranked(rows), schema)


def pair_interactions(inputs: Inputs) -> pa.Table:
    """What ablating two heads together changes beyond what each does by itself, with its interval.

    Returns: the columns of the relation `pair_interactions`.
    """
    rows = _means(
        inputs,
        "select model, kind, layer_a, head_a, layer_b, head_b, prompt_id, joint_delta_loss_nats, "
        "delta_loss_a_nats + delta_loss_b_nats as sum_of_singles, interaction_nats "
        "from prompt_pair_effects where interaction_nats is not null",
        n_values=3,
    )
    # Of the joint change and of the sum only the means.
    return rows_table([(*row[:8], row[10], *row[13:]) for row in rows], _INTERACTIONS)


def _means(inputs: Inputs, query: str, n_values: int) -> list[tuple[Any, ...]]:
    """Means over prompts, in order of what they are of.

    query: its rows are what a value is of, the prompt, and n_values values of it.

    Returns: what they are of, the number of prompts, then of each value its mean and 95 % interval.
    """
    unit_of = dict(inputs.query("select prompt_id, block from blocks").fetchall())
    found: dict[tuple[Any, ...], list[tuple[int, ...]]] = {}
    for row in inputs.query(query).fetchall():
        place, (prompt_id, *values) = row[: -n_values - 1], row[-n_values - 1 :]
        found.setdefault(place, []).append((prompt_id, *values))
    rows = []
    for place, of_place in sorted(found.items()):
        of_place.sort()  # the order of a sum decides its last bits
        units = np.array([unit_of[prompt_id] for prompt_id, *_ in of_place])
        columns = np.array([values for _, *values in of_place], dtype=np.float64).T
        intervals = [number for column in columns for number in mean_interval(column, units)]
        rows.append((*place, len(of_place), *intervals))
    return rows


def _ranked(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows of (model, kind, layer, head, n_prompts, mean, ...) with the rank by the mean.

    Ranks are put after the head, and begin anew in each model and kind.
    """
    # Rounded, so that what is equal but for its last bits ranks alike on every machine.
    rows = sorted(rows, key=lambda row: (row[0], row[1], -round(row[5], 9), row[2], row[3]))
    ranked: list[tuple[Any, ...]] = []
    before, rank = (), 0
    for row in rows:
        rank = rank + 1 if row[:2] == before else 1
        before = row[:2]
        ranked.append((*row[:4], rank, *row[4:]))
    return ranked


_RANKING = pa.schema(
    [
        ("model", pa.string()),
        ("kind", pa.string()),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("rank", pa.int32()),
        ("n_prompts", pa.int32()),
        ("mean_delta_loss_nats", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("mean_kl_nats", pa.float64()),
        ("kl_low", pa.float64()),
        ("kl_high", pa.float64()),
    ]
)


_INTERACTIONS = pa.schema(
    [
        ("model", pa.string()),
        ("kind", pa.string()),
        ("layer_a", pa.int32()),
        ("head_a", pa.int32()),
        ("layer_b", pa.int32()),
        ("head_b", pa.int32()),
        ("n_prompts", pa.int32()),
        ("mean_joint_delta_loss_nats", pa.float64()),
        ("mean_sum_of_singles_nats", pa.float64()),
        ("interaction_nats", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)


def mean_interval(values: Floats, units: NDArray[np.int64]) -> tuple[float, float, float]:
    """A mean and its 95 % interval: the jackknife over units, Student's t with units less 1.

    units: of each value the unit that it is drawn with. With a unit a value this is the ordinary
    interval of a mean. NaN ends of fewer than two units.

    >>> mean_interval(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 2]))[0]
    2.0
    """
    known, codes = np.unique(units, return_inverse=True)
    weights = leave_one_out(len(known))
    sums, counts = np.bincount(codes, values), np.bincount(codes)
    mean = float(sums.sum() / counts.sum())
    if len(known) < 2:
        return mean, np.nan, np.nan
    low, high = interval(np.array(mean), (weights @ sums) / (weights @ counts))
    return mean, float(low), float(high)


def functional_match(inputs: Inputs) -> pa.Table:
    """Of each head the correlation with its match by attention, and its best match by effect.

    The effects of a head are its mean loss changes prompt by prompt; their correlation over prompts
    is a cosine, so that `match_test` tests the best one as it does any similarity.

    Returns: the columns of the relation `functional_match`.
    """
    effects = _effects(inputs)
    matched = _matched_heads(inputs)
    heads: dict[str, list[tuple[int, int]]] = {}
    for model, layer, head in inputs.query(
        "select model, layer, head from heads order by model, layer, head"
    ).fetchall():
        heads.setdefault(model, []).append((layer, head))
    pairs = inputs.query("select model_a, model_b from pairs order by model_a, model_b").fetchall()
    n_draws = inputs.parameters.n_draws
    rows: list[tuple[Any, ...]] = []
    for kind_number, (kind, of_head) in enumerate(sorted(effects.items())):
        for number, (model_a, model_b) in enumerate(pairs):
            ablated_a, ablated_b = (
                [place for place in heads[model] if (model, *place) in of_head]
                for model in (model_a, model_b)
            )
            if model_a > model_b or not ablated_a or not ablated_b:
                continue  # tested with the other order, or not ablated
            of_a, of_b = (
                [of_head[model, *place] for place in places]
                for model, places in ((model_a, ablated_a), (model_b, ablated_b))
            )
            # Models that cut a prompt into one token have nothing to predict there.
            common = sorted(set.intersection(*map(set, (*of_a, *of_b))))
            if not common:
                continue
            a, b = _vectors(of_a, common), _vectors(of_b, common)
            layers_a, layers_b = (
                np.array([layer for layer, _ in places]) for places in (ablated_a, ablated_b)
            )
            gram = vector_gram(a, b, layers_a, layers_b)
            seed = [inputs.parameters.seed, _FUNCTIONAL, kind_number, number]
            forth, back = two_way_match_tests(gram, n_draws, np.random.default_rng(seed))
            ends = ((model_a, ablated_a), (model_b, ablated_b))
            rows += _functional_rows(kind, ends, forth, gram.cosines(), matched)
            rows += _functional_rows(kind, ends[::-1], back, gram.cosines().T, matched)
    rows.sort(key=lambda row: row[:5])
    return rows_table(rows, _FUNCTIONAL_ROWS)


_FUNCTIONAL_ROWS = pa.schema(
    [
        ("kind", pa.string()),
        ("model_a", pa.string()),
        ("layer_a", pa.int32()),
        ("head_a", pa.int32()),
        ("model_b", pa.string()),
        ("layer_b", pa.int32()),
        ("head_b", pa.int32()),
        ("correlation", pa.float64()),
        ("best_layer_b", pa.int32()),
        ("best_head_b", pa.int32()),
        ("best_correlation", pa.float64()),
        ("is_best", pa.bool_()),
        ("p_value", pa.float64()),
        ("p_family", pa.float64()),
    ]
)


def _effects(inputs: Inputs) -> dict[str, dict[_Head, dict[int, float]]]:
    """By kind and head the mean effect on each prompt."""
    found: dict[str, dict[_Head, dict[int, float]]] = {}
    for kind, model, layer, head, prompt_id, effect in inputs.query(
        "select kind, model, layer, head, prompt_id, mean_delta_loss_nats from prompt_effects "
        "where mean_delta_loss_nats is not null"
    ).fetchall():
        found.setdefault(kind, {}).setdefault((model, layer, head), {})[prompt_id] = effect
    return found


def _vectors(effects: list[dict[int, float]], prompts: list[int]) -> Floats:
    """`[head, prompt]`, less each head's mean."""
    values = np.array([[of_prompt[prompt] for prompt in prompts] for of_prompt in effects])
    centred: Floats = values - values.mean(axis=1, keepdims=True)
    return centred


def _matched_heads(inputs: Inputs) -> dict[tuple[_Head, str], tuple[int, int]]:
    """The match by attention of each head in another model."""
    found = {}
    for relation in ("matches", "verdicts"):  # the latter goes first where it has a match
        for model_a, layer_a, head_a, model_b, layer_b, head_b in inputs.query(
            f"select model_a, layer_a, head_a, model_b, layer_b, head_b from {relation} "
            "where layer_b is not null"
        ).fetchall():
            found[(model_a, layer_a, head_a), model_b] = (layer_b, head_b)
    return found


def _functional_rows(
    kind: str,
    ends: tuple[tuple[str, list[tuple[int, int]]], ...],
    test: MatchTest,
    correlations: Floats,
    matched: dict[tuple[_Head, str], tuple[int, int]],
) -> list[tuple[Any, ...]]:
    (model_a, places_a), (model_b, places_b) = ends
    rows: list[tuple[Any, ...]] = []
    for number, place in enumerate(places_a):
        match = matched.get(((model_a, *place), model_b))
        correlation = np.nan
        if match in places_b:
            correlation = correlations[number, places_b.index(match)]
        best = places_b[test.match[number]] if test.match[number] >= 0 else None
        is_best = match == best if match is not None and best is not None else None
        rows.append(
            (
                *(kind, model_a, *place, model_b),
                *(match or (None, None)),
                correlation,
                *(best or (None, None)),
                test.cosine[number],
                is_best,
                test.p_value[number],
                test.p_family[number],
            )
        )
    return rows
