-- purpose: how alike any two heads of two compared models are, by each measure that is ranked
-- grain: one row per (similarity, model_a, layer_a, head_a, model_b, layer_b, head_b)
-- storage: kept
-- similarity: varchar, as in profile_vectors (profile is the published one) or whitened_similarities
-- model_a: varchar, one model; every compared pair of models stands in both orders
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the other model
-- layer_b: integer, 0-based
-- head_b: integer, 0-based
-- value: double, cosine; null where one of the two has nothing to compare, as a profile of 0

-- Both orders of a pair have the same cosines: one is computed.
with

one_order as (
    select model_a, model_b from pairs where model_a < model_b
),

products as (
    select
        vectors_a.similarity,
        one_order.model_a,
        vectors_a.layer as layer_a,
        vectors_a.head as head_a,
        one_order.model_b,
        vectors_b.layer as layer_b,
        vectors_b.head as head_b,
        sum(vectors_a.value * vectors_b.value) as value
    from one_order
    inner join unit_vectors as vectors_a on vectors_a.model = one_order.model_a
    inner join unit_vectors as vectors_b
        on vectors_b.model = one_order.model_b
        and vectors_b.similarity = vectors_a.similarity
        and vectors_b.bin = vectors_a.bin
    group by all
),

final as (
    select similarity, model_a, layer_a, head_a, model_b, layer_b, head_b, value
    from products
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
    from products
    union all
    select similarity, model_a, layer_a, head_a, model_b, layer_b, head_b, value
    from whitened_similarities
)

select * from final
