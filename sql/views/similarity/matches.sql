-- purpose: every head's best match in every other model, by the similarity of parameters
-- grain: one row per (model_a, layer_a, head_a, model_b)
-- storage: table
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- layer_b: integer, layer of the most alike head in model_b
-- head_b: integer, that head
-- value: double, cosine of the two profiles
-- same_index_value: double, cosine with the head of model_b at layer_a, head_a; null without one
-- is_moved: boolean, true where the match has another layer or head
-- is_mutual: boolean, true where each of the two is the other's best match

with

ranked as (
    select
        profile_similarities.model_a,
        profile_similarities.layer_a,
        profile_similarities.head_a,
        profile_similarities.model_b,
        profile_similarities.layer_b,
        profile_similarities.head_b,
        profile_similarities.value,
        row_number() over (
            partition by
                profile_similarities.model_a,
                profile_similarities.layer_a,
                profile_similarities.head_a,
                profile_similarities.model_b
            order by
                round(profile_similarities.value, 9) desc nulls last,
                profile_similarities.layer_b,
                profile_similarities.head_b
        ) as rank,
        row_number() over (
            partition by
                profile_similarities.model_b,
                profile_similarities.layer_b,
                profile_similarities.head_b,
                profile_similarities.model_a
            order by
                round(profile_similarities.value, 9) desc nulls last,
                profile_similarities.layer_a,
                profile_similarities.head_a
        ) as rank_back
    from profile_similarities
    inner join parameters on parameters.similarity = profile_similarities.similarity
),

same_index as (
    select model_a, layer_a, head_a, model_b, value
    from ranked
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
        ranked.value,
        same_index.value as same_index_value,
        not (ranked.layer_a = ranked.layer_b and ranked.head_a = ranked.head_b) as is_moved,
        ranked.rank_back = 1 as is_mutual
    from ranked
    left join same_index
        on same_index.model_a = ranked.model_a
        and same_index.layer_a = ranked.layer_a
        and same_index.head_a = ranked.head_a
        and same_index.model_b = ranked.model_b
    where ranked.rank = 1
)

select * from final
