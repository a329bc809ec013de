-- purpose: cosines of the profiles of any two heads of two compared models, in four forms
-- grain: one row per (similarity, model_a, layer_a, head_a, model_b, layer_b, head_b)
-- storage: kept
-- similarity: varchar, as in profile_vectors
-- model_a: varchar, one model; every compared pair of models stands in both orders
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the other model
-- layer_b: integer, 0-based
-- head_b: integer, 0-based
-- value: double, cosine; 0 where a profile is 0 everywhere

with

norms as (
    select similarity, model, layer, head, sqrt(sum(value * value)) as norm
    from profile_vectors
    group by all
),

products as (
    select
        vectors_a.similarity,
        vectors_a.model as model_a,
        vectors_a.layer as layer_a,
        vectors_a.head as head_a,
        vectors_b.model as model_b,
        vectors_b.layer as layer_b,
        vectors_b.head as head_b,
        sum(vectors_a.value * vectors_b.value) as product
    from profile_vectors as vectors_a
    inner join profile_vectors as vectors_b
        on vectors_b.similarity = vectors_a.similarity
        and vectors_b.bin = vectors_a.bin
    inner join pairs
        on pairs.model_a = vectors_a.model
        and pairs.model_b = vectors_b.model
    group by all
),

final as (
    select
        products.similarity,
        products.model_a,
        products.layer_a,
        products.head_a,
        products.model_b,
        products.layer_b,
        products.head_b,
        coalesce(products.product / nullif(norms_a.norm * norms_b.norm, 0e0), 0e0) as value
    from products
    inner join norms as norms_a
        on norms_a.similarity = products.similarity
        and norms_a.model = products.model_a
        and norms_a.layer = products.layer_a
        and norms_a.head = products.head_a
    inner join norms as norms_b
        on norms_b.similarity = products.similarity
        and norms_b.model = products.model_b
        and norms_b.layer = products.layer_b
        and norms_b.head = products.head_b
)

select * from final
