-- purpose: the ceiling: how alike a head is to itself on other prompts
-- grain: one row per (model, layer, head)
-- storage: kept
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- n_splits: bigint, splits that the means are over
-- value: double, mean cosine of the head's profiles on the two halves
-- is_found: double, share of the splits in which it is its own best match in the other half

with

ranked as (
    select
        split,
        model_a as model,
        layer_a as layer,
        head_a as head,
        layer_b,
        head_b,
        value,
        row_number() over (
            partition by split, model_a, layer_a, head_a
            order by round(value, 9) desc nulls last, layer_b, head_b
        ) as rank
    from half_cosines
    where half = 2 and value is not null
),

final as (
    select
        model,
        layer,
        head,
        count(*) as n_splits,
        avg(value) as value,
        avg(case when rank = 1 then 1e0 else 0e0 end) as is_found
    from ranked
    where layer = layer_b and head = head_b
    group by all
)

select * from final
