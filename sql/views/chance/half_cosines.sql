-- purpose: cosines of profiles within each half of a split, and of a head with itself across both
-- grain: one row per (split, half, model_a, layer_a, head_a, model_b, layer_b, head_b)
-- storage: table
-- split: integer, 0-based
-- half: integer, 0 or 1; 2 where one profile is of half 0 and the other of half 1
-- model_a: varchar, one model
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the other model; model_a itself for half 2
-- layer_b: integer, 0-based
-- head_b: integer, 0-based
-- value: double, cosine in the form that parameters.similarity names; null with a profile of 0

-- Numbers in place of a head's name, layer and head: a million groups are found faster by them.
with

halves as (
    select
        splits.split,
        splits.half,
        heads.head_id,
        prompt_profiles.model,
        prompt_profiles.bin,
        sum(
            case
                when parameters.similarity in ('profile_no_sink', 'profile_no_sink_centred')
                    then prompt_profiles.mass_no_sink
                else prompt_profiles.mass
            end
        ) / sum(prompt_profiles.n_queries) as value
    from prompt_profiles
    inner join heads
        on heads.model = prompt_profiles.model
        and heads.layer = prompt_profiles.layer
        and heads.head = prompt_profiles.head
    inner join splits on splits.prompt_id = prompt_profiles.prompt_id
    cross join parameters
    group by all
),

centred as (
    select
        halves.split,
        halves.half,
        halves.model,
        halves.head_id,
        halves.bin,
        halves.value
        - case
            when parameters.similarity in ('profile_centred', 'profile_no_sink_centred')
                then avg(halves.value) over (
                    partition by halves.split, halves.half, halves.model, halves.bin
                )
            else 0e0
        end as value
    from halves
    cross join parameters
),

norms as (
    select split, half, model, head_id, sqrt(sum(value * value)) as norm
    from centred
    group by all
),

-- Vectors of length 1, so that a product is a cosine.
vectors as (
    select
        centred.split,
        centred.half,
        centred.model,
        centred.head_id,
        centred.bin,
        centred.value / nullif(norms.norm, 0e0) as value
    from centred
    inner join norms
        on norms.split = centred.split
        and norms.half = centred.half
        and norms.head_id = centred.head_id
),

-- Both orders of a pair have the same cosines: one is computed.
compared as (
    select pairs.model_a, pairs.model_b, both_halves.half as half_a, both_halves.half as half_b, both_halves.half
    from pairs
    cross join (values (0), (1)) as both_halves (half)
    where pairs.model_a < pairs.model_b
    union all
    select model as model_a, model as model_b, 0 as half_a, 1 as half_b, 2 as half
    from models
),

products as (
    select
        vectors_a.split,
        compared.half,
        vectors_a.head_id as id_a,
        vectors_b.head_id as id_b,
        sum(vectors_a.value * vectors_b.value) as value
    from compared
    inner join vectors as vectors_a
        on vectors_a.model = compared.model_a
        and vectors_a.half = compared.half_a
    inner join vectors as vectors_b
        on vectors_b.model = compared.model_b
        and vectors_b.half = compared.half_b
        and vectors_b.split = vectors_a.split
        and vectors_b.bin = vectors_a.bin
    group by all
),

both_orders as (
    select split, half, id_a, id_b, value from products
    union all
    select split, half, id_b as id_a, id_a as id_b, value from products where half < 2
),

final as (
    select
        both_orders.split,
        both_orders.half,
        heads_a.model as model_a,
        heads_a.layer as layer_a,
        heads_a.head as head_a,
        heads_b.model as model_b,
        heads_b.layer as layer_b,
        heads_b.head as head_b,
        both_orders.value
    from both_orders
    inner join heads as heads_a on heads_a.head_id = both_orders.id_a
    inner join heads as heads_b on heads_b.head_id = both_orders.id_b
)

select * from final
