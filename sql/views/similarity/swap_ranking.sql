-- purpose: for each head of one model, the heads of another by likeness of profile
-- grain: one row per (model_a, layer_a, head_a, model_b, layer_b, head_b)
-- storage: kept
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- layer_b: integer, 0-based
-- head_b: integer, 0-based
-- rank: integer, 1 for the most alike head of model_b; ties go to the lower layer, then head
-- cosine: double, cosine of the two profiles
-- same_index_cosine: double, cosine with the head of model_b at layer_a, head_a; null without one
-- margin: double, cosine less that of the best other head: above 0 for rank 1, its lead over rank 2
-- is_same_index: boolean, true where both heads have the same layer and head
-- is_mutual: boolean, true where each of the two heads is the other's rank 1

with

ranked as (
    select
        model_a,
        layer_a,
        head_a,
        model_b,
        layer_b,
        head_b,
        cosine,
        row_number() over (
            partition by model_a, layer_a, head_a, model_b
            -- Rounded, so that engines which sum in another order rank ties alike.
            order by round(cosine, 9) desc nulls last, layer_b, head_b
        ) as rank,
        row_number() over (
            partition by model_b, layer_b, head_b, model_a
            order by round(cosine, 9) desc nulls last, layer_a, head_a
        ) as rank_back
    from profile_cosines
),

best as (
    select
        model_a,
        layer_a,
        head_a,
        model_b,
        max(cosine) filter (where rank = 1) as first_cosine,
        max(cosine) filter (where rank = 2) as second_cosine
    from ranked
    group by all
),

same_index as (
    select model_a, layer_a, head_a, model_b, cosine
    from profile_cosines
    where layer_a = layer_b and head_a = head_b
),

final as (
    select
        ranked.model_a,
        ranked.layer_a,
        ranked.head_a,
        ranked.model_b,
        ranked.layer_b,
        ranked.head_b,
        ranked.rank::integer as rank,
        ranked.cosine,
        same_index.cosine as same_index_cosine,
        case
            when ranked.rank = 1 then ranked.cosine - best.second_cosine
            else ranked.cosine - best.first_cosine
        end as margin,
        ranked.layer_a = ranked.layer_b and ranked.head_a = ranked.head_b as is_same_index,
        ranked.rank = 1 and ranked.rank_back = 1 as is_mutual
    from ranked
    inner join best
        on best.model_a = ranked.model_a
        and best.layer_a = ranked.layer_a
        and best.head_a = ranked.head_a
        and best.model_b = ranked.model_b
    left join same_index
        on same_index.model_a = ranked.model_a
        and same_index.layer_a = ranked.layer_a
        and same_index.head_a = ranked.head_a
        and same_index.model_b = ranked.model_b
)

select * from final
