-- purpose: for each head of one model, the heads of another by each measure of similarity
-- grain: one row per (similarity, model_a, layer_a, head_a, model_b, layer_b, head_b)
-- storage: kept
-- similarity: varchar, as in similarities
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- layer_b: integer, 0-based
-- head_b: integer, 0-based
-- rank: integer, 1 for the most alike head of model_b, ties by layer, then head; null as value is
-- value: double, how alike the two heads are; null where that is undefined
-- same_index_value: double, value with the head of model_b at layer_a, head_a; null without one
-- margin: double, value less that of the best other head: above 0 for rank 1, its lead over rank 2
-- is_same_index: boolean, true where both heads have the same layer and head
-- is_mutual: boolean, true where each of the two heads is the other's rank 1; null as value is

with

ranked as (
    select
        similarity,
        model_a,
        layer_a,
        head_a,
        model_b,
        layer_b,
        head_b,
        value,
        case
            when value is not null
                then row_number() over (
                    partition by similarity, model_a, layer_a, head_a, model_b
                    -- Rounded, so that engines which sum in another order rank ties alike.
                    order by round(value, 9) desc nulls last, layer_b, head_b
                )
        end as rank,
        case
            when value is not null
                then row_number() over (
                    partition by similarity, model_b, layer_b, head_b, model_a
                    order by round(value, 9) desc nulls last, layer_a, head_a
                )
        end as rank_back
    from similarities
),

best as (
    select
        similarity,
        model_a,
        layer_a,
        head_a,
        model_b,
        max(value) filter (where rank = 1) as first_value,
        max(value) filter (where rank = 2) as second_value
    from ranked
    group by all
),

same_index as (
    select similarity, model_a, layer_a, head_a, model_b, value
    from similarities
    where layer_a = layer_b and head_a = head_b
),

final as (
    select
        ranked.similarity,
        ranked.model_a,
        ranked.layer_a,
        ranked.head_a,
        ranked.model_b,
        ranked.layer_b,
        ranked.head_b,
        ranked.rank::integer as rank,
        ranked.value,
        same_index.value as same_index_value,
        case
            when ranked.rank = 1 then ranked.value - best.second_value
            else ranked.value - best.first_value
        end as margin,
        ranked.layer_a = ranked.layer_b and ranked.head_a = ranked.head_b as is_same_index,
        ranked.rank = 1 and ranked.rank_back = 1 as is_mutual
    from ranked
    inner join best
        on best.similarity = ranked.similarity
        and best.model_a = ranked.model_a
        and best.layer_a = ranked.layer_a
        and best.head_a = ranked.head_a
        and best.model_b = ranked.model_b
    left join same_index
        on same_index.similarity = ranked.similarity
        and same_index.model_a = ranked.model_a
        and same_index.layer_a = ranked.layer_a
        and same_index.head_a = ranked.head_a
        and same_index.model_b = ranked.model_b
)

select * from final
