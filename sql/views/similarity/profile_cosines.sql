-- purpose: how alike the profiles of any two heads of two different models are
-- grain: one row per (model_a, layer_a, head_a, model_b, layer_b, head_b)
-- storage: kept
-- model_a: varchar, one model; every compared pair of models stands in both orders
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the other model
-- layer_b: integer, 0-based
-- head_b: integer, 0-based
-- cosine: double, cosine of the two profiles, 0 to 1; 0 where a profile is 0 everywhere

with

norms as (
    select model, layer, head, sqrt(sum(mass * mass)) as norm
    from profiles
    group by all
),

products as (
    select
        profiles_a.model as model_a,
        profiles_a.layer as layer_a,
        profiles_a.head as head_a,
        profiles_b.model as model_b,
        profiles_b.layer as layer_b,
        profiles_b.head as head_b,
        sum(profiles_a.mass * profiles_b.mass) as product
    from profiles as profiles_a
    inner join profiles as profiles_b
        on profiles_b.bin = profiles_a.bin
    inner join pairs
        on pairs.model_a = profiles_a.model
        and pairs.model_b = profiles_b.model
    group by all
),

final as (
    select
        products.model_a,
        products.layer_a,
        products.head_a,
        products.model_b,
        products.layer_b,
        products.head_b,
        coalesce(products.product / nullif(norms_a.norm * norms_b.norm, 0e0), 0e0) as cosine
    from products
    inner join norms as norms_a
        on norms_a.model = products.model_a
        and norms_a.layer = products.layer_a
        and norms_a.head = products.head_a
    inner join norms as norms_b
        on norms_b.model = products.model_b
        and norms_b.layer = products.layer_b
        and norms_b.head = products.head_b
)

select * from final
