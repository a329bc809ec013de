-- purpose: the published criterion, asked of every head and other model: is the closest profile elsewhere?
-- grain: one row per (model_a, layer_a, head_a, model_b)
-- storage: table
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- layer_b: integer, layer of the head of model_b with the most alike profile; null as cosine is
-- head_b: integer, that head; null as cosine is
-- cosine: double, cosine of the two profiles; null where one of them is 0
-- same_index_cosine_a: double, the head against model_b's head of its index; null without one
-- same_index_cosine_b: double, the match against model_a's head of the match's index; null without one
-- is_moved: boolean, true where the match has another index
-- holds: boolean, true where the match moved and its cosine exceeds both same-index cosines

-- Always the similarity `profile`, whatever parameters.similarity says: the claim was published so.
with

profile_ranking as (
    select
        similarity_ranking.model_a,
        similarity_ranking.layer_a,
        similarity_ranking.head_a,
        similarity_ranking.model_b,
        similarity_ranking.layer_b,
        similarity_ranking.head_b,
        similarity_ranking.rank,
        similarity_ranking.value,
        similarity_ranking.same_index_value,
        similarity_ranking.is_same_index
    from similarity_ranking
    where similarity_ranking.similarity = 'profile'
),

closest as (
    select
        pairs.model_a,
        heads.layer as layer_a,
        heads.head as head_a,
        pairs.model_b,
        profile_ranking.layer_b,
        profile_ranking.head_b,
        profile_ranking.value,
        profile_ranking.same_index_value,
        profile_ranking.is_same_index
    from pairs
    inner join heads on heads.model = pairs.model_a
    left join profile_ranking
        on profile_ranking.model_a = pairs.model_a
        and profile_ranking.layer_a = heads.layer
        and profile_ranking.head_a = heads.head
        and profile_ranking.model_b = pairs.model_b
        and profile_ranking.rank = 1
),

final as (
    select
        closest.model_a,
        closest.layer_a,
        closest.head_a,
        closest.model_b,
        closest.layer_b,
        closest.head_b,
        closest.value as cosine,
        closest.same_index_value as same_index_cosine_a,
        at_match_index.value as same_index_cosine_b,
        not closest.is_same_index as is_moved,
        coalesce(
            not closest.is_same_index
            and round(closest.value, 9) > coalesce(round(closest.same_index_value, 9), -1e0)
            and round(closest.value, 9) > coalesce(round(at_match_index.value, 9), -1e0),
            false
        ) as holds
    from closest
    left join profile_ranking as at_match_index
        on at_match_index.model_a = closest.model_a
        and at_match_index.layer_a = closest.layer_b
        and at_match_index.head_a = closest.head_b
        and at_match_index.model_b = closest.model_b
        and at_match_index.layer_b = closest.layer_b
        and at_match_index.head_b = closest.head_b
)

select * from final
