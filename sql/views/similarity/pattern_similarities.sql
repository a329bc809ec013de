-- purpose: how alike the whole patterns of two heads are, cell by cell on the same tokens
-- grain: one row per (similarity, model_a, layer_a, head_a, model_b, layer_b, head_b)
-- storage: kept
-- similarity: varchar, pattern, pattern_centred or jensen_shannon, and each with _no_sink
-- model_a: varchar, one model; every compared pair of models stands in both orders
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the other model
-- layer_b: integer, 0-based
-- head_b: integer, 0-based
-- value: double, cosine over all cells, or 1 less the mean Jensen-Shannon divergence in bits

-- Not among `similarities`: patterns are alike wherever two heads look at the same positions, related
-- or not, and comparing them reads every row. Ask for them here.
-- Queries as in profiles: all but query 0 of the analysed prompts, and only prompts that both
-- models cut into the same tokens. `_centred`: each cell less its mean over the heads of the model.
-- `_no_sink`: without key 0; for Jensen-Shannon what is left of a query is scaled to sum to 1.
-- The divergence between heads is that of Clark et al. (2019, arXiv 1906.04341), as a mean:
-- JS(p, q) = (sum p + sum q) / 2 + (sum p log2 p + q log2 q - (p + q) log2 (p + q)) / 2.
with

shared_prompts as (
    select
        pairs.model_a,
        pairs.model_b,
        positions_a.prompt_id,
        count(*) as n_shared,
        max(positions_a.n_tokens) as n_tokens_a,
        max(positions_b.n_tokens) as n_tokens_b
    from pairs
    inner join models as models_a on models_a.model = pairs.model_a
    inner join models as models_b on models_b.model = pairs.model_b
    inner join positions as positions_a on positions_a.model = pairs.model_a
    inner join positions as positions_b
        on positions_b.model = pairs.model_b
        and positions_b.prompt_id = positions_a.prompt_id
        and positions_b.query = positions_a.query
    inner join tokens as tokens_a
        on tokens_a.tokenizer = models_a.tokenizer
        and tokens_a.prompt_id = positions_a.prompt_id
        and tokens_a.position = positions_a.query
    inner join tokens as tokens_b
        on tokens_b.tokenizer = models_b.tokenizer
        and tokens_b.prompt_id = positions_b.prompt_id
        and tokens_b.position = positions_b.query
    where tokens_a.token = tokens_b.token
    group by all
),

compared_prompts as (
    select model_a, model_b, prompt_id
    from shared_prompts
    where n_shared = n_tokens_a and n_shared = n_tokens_b
),

-- Both orders of a pair have the same values: one is computed.
one_order as (
    select model_a, model_b, prompt_id from compared_prompts where model_a < model_b
),

profiled as (
    select model, prompt_id, query from positions where is_profiled
),

cells as (
    select
        attention.model,
        attention.layer,
        attention.head,
        attention.prompt_id,
        attention.query,
        attention.key,
        attention.weight,
        attention.weight - avg(attention.weight) over (
            partition by attention.model, attention.prompt_id, attention.query, attention.key
        ) as centred,
        case when attention.key > 0 then 1e0 else 0e0 end as is_rest,
        case when attention.key > 0 then attention.weight else 0e0 end
            / nullif(sum(case when attention.key > 0 then attention.weight else 0e0 end) over (
                partition by
                    attention.model, attention.layer, attention.head, attention.prompt_id, attention.query
            ), 0e0) as rest
    from attention
    inner join profiled
        on profiled.model = attention.model
        and profiled.prompt_id = attention.prompt_id
        and profiled.query = attention.query
),

-- w log2 w, 0 at 0.
terms as (
    select
        model,
        layer,
        head,
        prompt_id,
        query,
        key,
        weight,
        centred,
        is_rest,
        coalesce(rest, 0e0) as rest,
        case when weight > 0e0 then weight * ln(weight) / ln(2e0) else 0e0 end as weight_log,
        case when rest > 0e0 then rest * ln(rest) / ln(2e0) else 0e0 end as rest_log
    from cells
),

-- What each head brings to a pair: over the prompts that the pair shares.
own as (
    select
        compared_prompts.model_a as model,
        compared_prompts.model_b as other,
        terms.layer,
        terms.head,
        sum(terms.weight * terms.weight) as square,
        sum(terms.weight * terms.weight * terms.is_rest) as square_rest,
        sum(terms.centred * terms.centred) as centred_square,
        sum(terms.centred * terms.centred * terms.is_rest) as centred_square_rest,
        sum(terms.weight) as total,
        sum(terms.rest) as total_rest
    from terms
    inner join compared_prompts
        on compared_prompts.model_a = terms.model
        and compared_prompts.prompt_id = terms.prompt_id
    group by all
),

query_counts as (
    select one_order.model_a, one_order.model_b, count(*) as n_queries
    from one_order
    inner join profiled
        on profiled.model = one_order.model_a
        and profiled.prompt_id = one_order.prompt_id
    group by all
),

joint as (
    select
        one_order.model_a,
        terms_a.layer as layer_a,
        terms_a.head as head_a,
        one_order.model_b,
        terms_b.layer as layer_b,
        terms_b.head as head_b,
        sum(terms_a.weight * terms_b.weight) as product,
        sum(terms_a.weight * terms_b.weight * terms_a.is_rest) as product_rest,
        sum(terms_a.centred * terms_b.centred) as centred_product,
        sum(terms_a.centred * terms_b.centred * terms_a.is_rest) as centred_product_rest,
        sum(
            terms_a.weight_log + terms_b.weight_log
            - case
                when terms_a.weight + terms_b.weight > 0e0
                    then (terms_a.weight + terms_b.weight) * ln(terms_a.weight + terms_b.weight) / ln(2e0)
                else 0e0
            end
        ) as mixed,
        sum(
            terms_a.rest_log + terms_b.rest_log
            - case
                when terms_a.rest + terms_b.rest > 0e0
                    then (terms_a.rest + terms_b.rest) * ln(terms_a.rest + terms_b.rest) / ln(2e0)
                else 0e0
            end
        ) as mixed_rest
    from one_order
    inner join terms as terms_a
        on terms_a.model = one_order.model_a
        and terms_a.prompt_id = one_order.prompt_id
    inner join terms as terms_b
        on terms_b.model = one_order.model_b
        and terms_b.prompt_id = one_order.prompt_id
        and terms_b.query = terms_a.query
        and terms_b.key = terms_a.key
    group by all
),

wide as (
    select
        joint.model_a,
        joint.layer_a,
        joint.head_a,
        joint.model_b,
        joint.layer_b,
        joint.head_b,
        coalesce(joint.product / nullif(sqrt(own_a.square * own_b.square), 0e0), 0e0) as pattern,
        coalesce(joint.product_rest / nullif(sqrt(own_a.square_rest * own_b.square_rest), 0e0), 0e0)
            as pattern_no_sink,
        coalesce(
            joint.centred_product / nullif(sqrt(own_a.centred_square * own_b.centred_square), 0e0), 0e0
        ) as pattern_centred,
        coalesce(
            joint.centred_product_rest
                / nullif(sqrt(own_a.centred_square_rest * own_b.centred_square_rest), 0e0),
            0e0
        ) as pattern_no_sink_centred,
        1e0 - (own_a.total + own_b.total + joint.mixed) / 2e0 / query_counts.n_queries as jensen_shannon,
        1e0 - (own_a.total_rest + own_b.total_rest + joint.mixed_rest) / 2e0 / query_counts.n_queries
            as jensen_shannon_no_sink
    from joint
    inner join query_counts
        on query_counts.model_a = joint.model_a
        and query_counts.model_b = joint.model_b
    inner join own as own_a
        on own_a.model = joint.model_a
        and own_a.other = joint.model_b
        and own_a.layer = joint.layer_a
        and own_a.head = joint.head_a
    inner join own as own_b
        on own_b.model = joint.model_b
        and own_b.other = joint.model_a
        and own_b.layer = joint.layer_b
        and own_b.head = joint.head_b
),

kinds as (
    select similarity
    from (
        values
        ('pattern'),
        ('pattern_no_sink'),
        ('pattern_centred'),
        ('pattern_no_sink_centred'),
        ('jensen_shannon'),
        ('jensen_shannon_no_sink')
    ) as kinds (similarity)
),

long as (
    select
        kinds.similarity,
        wide.model_a,
        wide.layer_a,
        wide.head_a,
        wide.model_b,
        wide.layer_b,
        wide.head_b,
        case kinds.similarity
            when 'pattern' then wide.pattern
            when 'pattern_no_sink' then wide.pattern_no_sink
            when 'pattern_centred' then wide.pattern_centred
            when 'pattern_no_sink_centred' then wide.pattern_no_sink_centred
            when 'jensen_shannon' then wide.jensen_shannon
            else wide.jensen_shannon_no_sink
        end as value
    from wide
    cross join kinds
),

final as (
    select similarity, model_a, layer_a, head_a, model_b, layer_b, head_b, value
    from long
    union all
    select
        similarity,
        model_b as model_a,
        layer_b as layer_a,
        head_b as head_a,
        model_a as model_b,
        layer_a as layer_b,
        head_a as head_b,
        value
    from long
)

select * from final
