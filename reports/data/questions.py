"""The queries behind what pages show, with `$name` where a model, a head or a choice goes.

Where a page's data are the rows of its query, the query is read from here by both; where they are
made of more, a test holds the page against the rows of the query.
"""

from __future__ import annotations

import re

from sql.graph.literals import literal


def filled(sql: str, **values: object) -> str:
    """A query with values in place of its parameters, as a person would have written it.

    >>> filled("select * from heads where model = $model and head = $head", model="it's", head=0)
    "select * from heads where model = 'it''s' and head = 0"

    Raises: KeyError where a parameter has no value.
    """
    return re.sub(r"\$(\w+)", lambda found: literal(values[found[1]]), sql.strip())


# --- the dataset ----------------------------------------------------------------------------

COUNTS = """
select
    (select count(*) from prompts) as n_prompts,
    (select count(*) from analysed_prompts) as n_analysed,
    (select bool_or(is_structural) from positions where is_profiled) as has_structure
"""
MODELS = "select * from models order by model"
ROW_CHECKS = "select * from row_checks order by model"

# --- verdicts -------------------------------------------------------------------------------

VERDICTS = "select * from verdicts where model_a = $model and model_b = $other"
VERDICT = """
select layer_b, head_b, p_family
from verdicts
where model_a = $model and layer_a = $layer and head_a = $head and model_b = $other
    and p_family is not null
"""
VERDICT_COUNTS = """
select
    model_b,
    min(similarity) as similarity,
    count(*) filter (where is_beyond_chance) as n_beyond,
    count(*) as n_heads,
    min(p_family) as smallest_p
from verdicts
where model_a = $model
group by model_b
order by model_b
"""
SAME_INDEX_TESTS = "select * from same_index_tests where model_a = $model and model_b = $other"
SAME_INDEX_COUNTS = """
select model_b, n_same_index, n_heads, p_value
from same_index_tests
where model_a = $model and layer is null
order by model_b
"""
GROUP_TESTS = "select * from group_comparison where similarity = $similarity"
MODEL_PAIRS = """
select model_a, model_b, group_a, group_b, mean_best_match, same_index_share
from model_similarities
where similarity = $similarity and group_a is not null and group_b is not null
order by model_a, model_b
"""

# --- matches --------------------------------------------------------------------------------

CRITERION = "select * from swap_claims where model_b = $other"
CRITERION_OF_ALL = "select * from published_criterion where model_a = $model and model_b = $other"
COSINE = """
select value
from similarities
where similarity = $similarity
    and model_a = $model_a and layer_a = $layer_a and head_a = $head_a
    and model_b = $model_b and layer_b = $layer_b and head_b = $head_b
"""
COSINES = """
select layer_a, head_a, layer_b, head_b, value
from similarities
where similarity = $similarity and model_a = $model and model_b = $other
order by layer_a, head_a, layer_b, head_b
"""
COSINES_RANKED = """
select
    layer_a, head_a, layer_b, head_b, value,
    count(*) over (order by round(value, 9) desc) as n_as_alike
from similarities
where similarity = $similarity and model_a = $model and model_b = $other
    and value is not null
order by n_as_alike, layer_a, head_a, layer_b, head_b
"""
SPREAD = """
select
    count(value) as n_pairs,
    quantile_cont(value, 0.5) as median,
    quantile_cont(value, 0.95) as percentile_95,
    count(*) filter (where round(value, 9) >= round($cosine, 9)) as n_as_alike
from similarities
where similarity = $similarity and model_a = $model and model_b = $other
"""
MATCH_OF_MATCH = """
select layer_b, head_b
from matches
where model_a = $other and layer_a = $layer and head_a = $head and model_b = $model
"""
INTERVAL = """
select low, high
from match_intervals
where model_a = $model and layer_a = $layer and head_a = $head and model_b = $other
"""
CHANCE = """
select value, null_mean, null_high, n_draws, p_family
from match_tests
where similarity = $similarity
    and model_a = $model and layer_a = $layer and head_a = $head
    and model_b = $other
"""
CHANCE_AND_INTERVAL = """
select
    value, low, high, null_mean, null_high, p_family,
    same_index_value as same_index_reference,
    (
        select value
        from similarities
        where similarity = $similarity
            and model_a = $model_a and layer_a = $layer_b and head_a = $head_b
            and model_b = $model_b and layer_b = $layer_b and head_b = $head_b
    ) as same_index_match
from match_statistics
where model_a = $model_a and layer_a = $layer_a and head_a = $head_a and model_b = $model_b
"""
NEAREST = """
select rank, layer_b, head_b, value, margin, is_mutual
from similarity_ranking
where similarity = $similarity
    and model_a = $model and layer_a = $layer and head_a = $head
    and model_b = $other
    and value is not null and rank <= $most
order by rank
"""
NEAREST_OF_ALL = """
select model_b, rank, layer_b, head_b, value, is_mutual
from similarity_ranking
where similarity = $similarity
    and model_a = $model and layer_a = $layer and head_a = $head
    and value is not null and rank <= $most
order by model_b, rank
"""
RANKING = """
with
ranked as (
    select *
    from similarity_ranking
    where similarity = $similarity and model_a = $model and model_b = $other
),
best as (select * from ranked where rank = 1),
second as (select * from ranked where rank = 2)
select
    best.*,
    second.layer_b as second_layer,
    second.head_b as second_head,
    match_tests.p_family
from best
left join match_tests
    on match_tests.similarity = best.similarity
    and match_tests.model_a = best.model_a
    and match_tests.layer_a = best.layer_a
    and match_tests.head_a = best.head_a
    and match_tests.model_b = best.model_b
left join second on second.layer_a = best.layer_a and second.head_a = best.head_a
order by
    round(best.value, 9) desc,
    round(best.margin, 9) desc nulls last,
    best.layer_a,
    best.head_a
"""
MATCH_COUNTS = """
select
    count(*) as n_heads,
    count(value) as n_matched,
    count(value) filter (where is_moved) as n_moved,
    count(value) filter (where is_mutual) as n_mutual
from matches
where model_a = $model and model_b = $other
"""

# --- heads ----------------------------------------------------------------------------------

REFERENCE = "select * from reference_head"
PROFILE = """
select model, layer, head, bin, mass, n_queries
from profiles
where model = $model and layer = $layer and head = $head
order by bin
"""
PROFILES = """
select model, layer, head, bin, mass, n_queries
from profiles
where (model = $model_a and layer = $layer_a and head = $head_a)
    or (model = $model_b and layer = $layer_b and head = $head_b)
order by model, layer, head, bin
"""
PATTERN = """
select query, key, tokens.token as key_token, tokens.is_structural, weight
from attention
inner join models on models.model = attention.model
inner join tokens
    on tokens.tokenizer = models.tokenizer
    and tokens.prompt_id = attention.prompt_id
    and tokens.position = attention.key
where attention.model = $model and layer = $layer and head = $head
    and attention.prompt_id = $prompt_id
order by query, key
"""
RECEIVED = """
select key, avg(weight) as received
from attention
where model = $model and prompt_id = $prompt_id and query <> key
group by key
order by key
"""
HEAD_MASSES = """
select layer, head, avg(mass) as mean_mass, late_mass
from profiles
inner join late_mass using (model, layer, head)
where model = $model
group by layer, head, late_mass
order by round(late_mass, 9) desc, layer, head
"""
SCORE = "select model, layer, head, value from head_scores where score = $score"
SCORES = """
with scores as (
    select model, layer, head, score, value from head_scores
    union all
    select model, layer, head, 'late_mass' as score, late_mass as value from late_mass
)
select
    model, layer, head, score, value,
    rank() over (partition by model, score order by round(value, 6) desc nulls last) as rank
from scores
qualify (model = $model_a and layer = $layer_a and head = $head_a)
    or (model = $model_b and layer = $layer_b and head = $head_b)
order by score, model, layer, head
"""
TREND = """
select *
from score_trends
where run = $run and score = $score and value is not null
order by last_value desc, layer, head, step, model
"""

# --- effects --------------------------------------------------------------------------------

ABLATIONS = "select * from ablation_ranking where kind = $kind and model = $model order by rank"
ABLATIONS_OF_TWO = """
select model, layer, head, rank, mean_delta_loss_nats
from ablation_ranking
where kind = $kind and model in ($model, $other)
order by model, rank
"""
HEAD_EFFECTS = """
select
    kind, layer, head, mean_delta_loss_nats, low, high, rank,
    count(*) over (partition by kind) as n_heads
from ablation_ranking
where model = $model
qualify layer = $layer and head = $head
order by kind
"""
WORK = """
select *
from functional_match
where kind = $kind
    and model_a = $model and layer_a = $layer and head_a = $head
    and model_b = $other
"""
WORK_OF_ALL = (
    "select * from functional_match where kind = $kind and model_a = $model and model_b = $other"
)
WORK_COUNTS = """
select
    count(*) as n_heads,
    count(*) filter (where p_family <= $level) as n_beyond,
    count(*) filter (where p_family <= $level and is_best) as n_beyond_matched
from functional_match
where kind = $kind and model_a = $model and model_b = $other
"""
TOP_TOKENS = """
select top_token_before, top_token_after, count(*) as n_positions
from ablation_effects
inner join analysed_prompts on analysed_prompts.prompt_id = ablation_effects.prompt_id
where model = $model and layer = $layer and head = $head and kind = $kind
group by all
order by n_positions desc, top_token_before, top_token_after
"""
ESTIMATES = "select * from attribution_ranking where kind = $kind and model = $model order by rank"
ESTIMATES_AND_EFFECTS = """
select layer, head, mean_estimated_delta_loss_nats, mean_delta_loss_nats
from attribution_ranking
inner join ablation_ranking using (model, kind, layer, head)
where kind = $kind and model = $model
order by attribution_ranking.rank
"""
AGREEMENT = "select * from attribution_agreement where kind = $kind and model = $model"
PAIRS = """
select *
from pair_interactions
where kind = $kind and model = $model
order by round(abs(interaction_nats), 9) desc, layer_a, head_a, layer_b, head_b
"""
READOUTS = """
select model, layer, n_positions, mean_probability
from class_probability_by_layer
where token_class = $token_class
order by model, layer
"""
CORRELATIONS = """
select *
from spearman_complexity_steps
order by model, prompt_set, sampling, ablation <> 'none', ablation, kind, seed
"""
CORRELATION_CHANGES = "select * from spearman_changes order by model, ablation, kind"
SEEDS = """
select seed, ablation, kind, spearman
from spearman_complexity_steps
where model = $model and prompt_set = $prompt_set and sampling = $sampling
    and (ablation = 'none' or (ablation = $ablation and kind = $kind))
order by seed, ablation <> 'none'
"""
EXAMPLES = """
select
    ablated.model,
    ablated.ablation,
    ablated.kind,
    coalesce(ablated.task, ablated.prompt) as prompt,
    ablated.complexity,
    ablated.seed,
    whole.steps as steps_before,
    whole.text as text_before,
    ablated.steps as steps_after,
    ablated.text as text_after
from generations as ablated
inner join generations as whole
    on whole.model = ablated.model
    and whole.prompt_set = ablated.prompt_set
    and whole.sampling = ablated.sampling
    and whole.seed = ablated.seed
    and whole.prompt_key = ablated.prompt_key
    and whole.ablation = 'none'
where ablated.ablation <> 'none'
qualify row_number() over (
    partition by ablated.model, ablated.ablation, ablated.kind
    order by
        ablated.seed,
        ablated.complexity desc nulls last,
        ablated.prompt_key,
        ablated.prompt_set,
        ablated.sampling
) = 1
order by ablated.model, ablated.ablation, ablated.kind
"""
