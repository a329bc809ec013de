-- purpose: the profiles of every head in the four forms that similarities compare
-- grain: one row per (similarity, model, layer, head, bin)
-- storage: table
-- similarity: varchar, profile (as published), profile_no_sink, and both with _centred
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- bin: integer, 0-based part of the prompt
-- value: double, mean structural mass; centred: less its mean over all heads of the model

with

long as (
    select 'profile' as similarity, model, layer, head, bin, mass as value from profiles
    union all
    select 'profile_no_sink' as similarity, model, layer, head, bin, mass_no_sink as value from profiles
),

centred as (
    select
        similarity || '_centred' as similarity,
        model,
        layer,
        head,
        bin,
        value - avg(value) over (partition by similarity, model, bin) as value
    from long
),

final as (
    select similarity, model, layer, head, bin, value from long
    union all
    select similarity, model, layer, head, bin, value from centred
)

select * from final
