-- purpose: every measure of how alike two heads of two compared models are, side by side
-- grain: one row per (similarity, model_a, layer_a, head_a, model_b, layer_b, head_b)
-- storage: view
-- similarity: varchar, one of profile_similarities or pattern_similarities
-- model_a: varchar, one model; every compared pair of models stands in both orders
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the other model
-- layer_b: integer, 0-based
-- head_b: integer, 0-based
-- value: double, higher is more alike, at most 1

with

final as (
    select similarity, model_a, layer_a, head_a, model_b, layer_b, head_b, value
    from profile_similarities
    union all
    select similarity, model_a, layer_a, head_a, model_b, layer_b, head_b, value
    from pattern_similarities
)

select * from final
