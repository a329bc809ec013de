-- purpose: matches chosen on half of the prompts and scored on the other half
-- grain: one row per (model_a, layer_a, head_a, model_b)
-- storage: kept
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- n_splits: bigint, splits that the means are over
-- chosen: double, mean cosine with the best match in the half that chose it
-- held_out: double, mean cosine with that match in the other half
-- agreement: double, share of the splits whose two halves choose the same head

with

ranked as (
    select
        split,
        half,
        model_a,
        layer_a,
        head_a,
        model_b,
        layer_b,
        head_b,
        value,
        row_number() over (
            partition by split, half, model_a, layer_a, head_a, model_b
            order by round(value, 9) desc nulls last, layer_b, head_b
        ) as rank
    from half_cosines
    where half < 2 and value is not null
),

scored as (
    select
        chosen.model_a,
        chosen.layer_a,
        chosen.head_a,
        chosen.model_b,
        chosen.value as chosen,
        held_out.value as held_out,
        case when held_out.rank = 1 then 1e0 else 0e0 end as agrees
    from ranked as chosen
    inner join ranked as held_out
        on held_out.split = chosen.split
        and held_out.half = 1 - chosen.half
        and held_out.model_a = chosen.model_a
        and held_out.layer_a = chosen.layer_a
        and held_out.head_a = chosen.head_a
        and held_out.model_b = chosen.model_b
        and held_out.layer_b = chosen.layer_b
        and held_out.head_b = chosen.head_b
    where chosen.rank = 1
),

final as (
    select
        model_a,
        layer_a,
        head_a,
        model_b,
        -- Each split stands twice: either half chooses once.
        count(*) // 2 as n_splits,
        avg(chosen) as chosen,
        avg(held_out) as held_out,
        avg(agrees) as agreement
    from scored
    group by all
)

select * from final
