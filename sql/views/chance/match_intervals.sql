-- purpose: how far each best match, and its lead over the same index, vary with the prompts
-- grain: one row per (model_a, layer_a, head_a, model_b)
-- storage: kept
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- n_resamples: bigint, resamples of prompts that the interval rests on
-- low: double, 2.5 % of the resamples have a lower cosine of head and match
-- high: double, 2.5 % have a higher
-- lead: double, cosine with the match less cosine with the same index, on all prompts; null without
-- lead_low: double, 2.5 % of the resamples have a lower lead
-- lead_high: double, 2.5 % have a higher

-- Percentile intervals (Efron and Tibshirani 1993, chapter 13) over resampled prompts; the match
-- stays the one of all prompts. A resample repeats some prompts and lacks others, so that its
-- profiles are noisier and cosines near 1 fall: an interval may lie below the cosine. A quantile is the value at rank ceil(share * n), no interpolation.
with

-- Numbers in place of a head's name, layer and head: a million groups are found faster by them.
sums as (
    select
        heads.head_id,
        prompt_profiles.prompt_id,
        prompt_profiles.bin,
        prompt_profiles.n_queries,
        case
            when parameters.similarity in ('profile_no_sink', 'profile_no_sink_centred')
                then prompt_profiles.mass_no_sink
            else prompt_profiles.mass
        end as mass
    from prompt_profiles
    inner join heads
        on heads.model = prompt_profiles.model
        and heads.layer = prompt_profiles.layer
        and heads.head = prompt_profiles.head
    cross join parameters
),

drawn as (
    select
        resamples.resample,
        sums.head_id,
        sums.bin,
        sum(resamples.n_drawn * sums.mass) / sum(resamples.n_drawn * sums.n_queries) as value
    from sums
    inner join resamples on resamples.prompt_id = sums.prompt_id
    group by all
),

model_means as (
    select drawn.resample, heads.model, drawn.bin, avg(drawn.value) as value
    from drawn
    inner join heads on heads.head_id = drawn.head_id
    inner join parameters
        on parameters.similarity in ('profile_centred', 'profile_no_sink_centred')
    group by all
),

vectors as (
    select
        drawn.resample,
        drawn.head_id,
        drawn.bin,
        drawn.value - coalesce(model_means.value, 0e0) as value
    from drawn
    inner join heads on heads.head_id = drawn.head_id
    left join model_means
        on model_means.resample = drawn.resample
        and model_means.model = heads.model
        and model_means.bin = drawn.bin
),

norms as (
    select resample, head_id, sqrt(sum(value * value)) as norm
    from vectors
    group by all
),

wanted as (
    select model_a, layer_a, head_a, model_b, layer_b, head_b, 'match' as kind
    from matches
    union all
    select model_a, layer_a, head_a, model_b, layer_a as layer_b, head_a as head_b, 'same index' as kind
    from matches
    where same_index_value is not null
),

wanted_ids as (
    select
        wanted.model_a,
        wanted.layer_a,
        wanted.head_a,
        wanted.model_b,
        wanted.kind,
        heads_a.head_id as id_a,
        heads_b.head_id as id_b
    from wanted
    inner join heads as heads_a
        on heads_a.model = wanted.model_a
        and heads_a.layer = wanted.layer_a
        and heads_a.head = wanted.head_a
    inner join heads as heads_b
        on heads_b.model = wanted.model_b
        and heads_b.layer = wanted.layer_b
        and heads_b.head = wanted.head_b
),

id_pairs as (
    select distinct least(id_a, id_b) as id_low, greatest(id_a, id_b) as id_high
    from wanted_ids
),

products as (
    select
        id_pairs.id_low,
        id_pairs.id_high,
        vectors_low.resample,
        sum(vectors_low.value * vectors_high.value) as product
    from id_pairs
    inner join vectors as vectors_low on vectors_low.head_id = id_pairs.id_low
    inner join vectors as vectors_high
        on vectors_high.head_id = id_pairs.id_high
        and vectors_high.resample = vectors_low.resample
        and vectors_high.bin = vectors_low.bin
    group by all
),

cosines as (
    select
        wanted_ids.model_a,
        wanted_ids.layer_a,
        wanted_ids.head_a,
        wanted_ids.model_b,
        wanted_ids.kind,
        products.resample,
        coalesce(products.product / nullif(norms_low.norm * norms_high.norm, 0e0), 0e0) as value
    from wanted_ids
    inner join products
        on products.id_low = least(wanted_ids.id_a, wanted_ids.id_b)
        and products.id_high = greatest(wanted_ids.id_a, wanted_ids.id_b)
    inner join norms as norms_low
        on norms_low.head_id = products.id_low
        and norms_low.resample = products.resample
    inner join norms as norms_high
        on norms_high.head_id = products.id_high
        and norms_high.resample = products.resample
),

resampled as (
    select
        model_a,
        layer_a,
        head_a,
        model_b,
        resample,
        max(case when kind = 'match' then value end) as value,
        max(case when kind = 'match' then value end)
            - max(case when kind = 'same index' then value end) as lead
    from cosines
    group by all
),

ranked as (
    select
        model_a,
        layer_a,
        head_a,
        model_b,
        value,
        lead,
        row_number() over (
            partition by model_a, layer_a, head_a, model_b order by value asc, resample asc
        ) as value_rank,
        row_number() over (
            partition by model_a, layer_a, head_a, model_b order by lead asc nulls last, resample asc
        ) as lead_rank,
        count(*) over (partition by model_a, layer_a, head_a, model_b) as n_resamples
    from resampled
),

intervals as (
    select
        model_a,
        layer_a,
        head_a,
        model_b,
        max(n_resamples) as n_resamples,
        max(case when value_rank = ceil(n_resamples * 0.025e0) then value end) as low,
        max(case when value_rank = ceil(n_resamples * 0.975e0) then value end) as high,
        max(case when lead_rank = ceil(n_resamples * 0.025e0) then lead end) as lead_low,
        max(case when lead_rank = ceil(n_resamples * 0.975e0) then lead end) as lead_high
    from ranked
    group by all
),

final as (
    select
        intervals.model_a,
        intervals.layer_a,
        intervals.head_a,
        intervals.model_b,
        intervals.n_resamples,
        intervals.low,
        intervals.high,
        matches.value - matches.same_index_value as lead,
        intervals.lead_low,
        intervals.lead_high
    from intervals
    inner join matches
        on matches.model_a = intervals.model_a
        and matches.layer_a = intervals.layer_a
        and matches.head_a = intervals.head_a
        and matches.model_b = intervals.model_b
)

select * from final
