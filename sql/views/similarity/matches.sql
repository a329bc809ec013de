-- purpose: every head's best match in every other model, by the similarity of parameters
-- grain: one row per (model_a, layer_a, head_a, model_b)
-- storage: table
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- layer_b: integer, layer of the most alike head in model_b; null as value is
-- head_b: integer, that head; null as value is
-- value: double, how alike the two are; null where the similarity is undefined for the head
-- same_index_value: double, the same for the head of model_b at layer_a, head_a; null without one
-- is_moved: boolean, true where the match has another layer or head; null as value is
-- is_mutual: boolean, true where each of the two is the other's best match; null as value is

with

best as (
    select
        similarity_ranking.model_a,
        similarity_ranking.layer_a,
        similarity_ranking.head_a,
        similarity_ranking.model_b,
        similarity_ranking.layer_b,
        similarity_ranking.head_b,
        similarity_ranking.value,
        similarity_ranking.same_index_value,
        similarity_ranking.is_same_index,
        similarity_ranking.is_mutual
    from similarity_ranking
    inner join parameters on parameters.similarity = similarity_ranking.similarity
    where similarity_ranking.rank = 1
),

final as (
    select
        pairs.model_a,
        heads.layer as layer_a,
        heads.head as head_a,
        pairs.model_b,
        best.layer_b,
        best.head_b,
        best.value,
        best.same_index_value,
        not best.is_same_index as is_moved,
        best.is_mutual
    from pairs
    inner join heads on heads.model = pairs.model_a
    left join best
        on best.model_a = pairs.model_a
        and best.layer_a = heads.layer
        and best.head_a = heads.head
        and best.model_b = pairs.model_b
)

select * from final
