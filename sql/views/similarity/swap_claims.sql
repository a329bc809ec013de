-- purpose: the published claim, by the published profiles, asked of the reference head and each model
-- grain: one row per (model_b)
-- storage: table
-- model_a: varchar, the reference model
-- layer_a: integer, layer of the reference head
-- head_a: integer, the reference head
-- model_b: varchar, the other model
-- layer_b: integer, layer of the most alike head in model_b; null as cosine is
-- head_b: integer, that head; null as cosine is
-- cosine: double, cosine of the profiles of the two; null where the reference head's profile is 0
-- same_index_cosine_a: double, the reference head against model_b's head of the same index
-- same_index_cosine_b: double, the match against model_a's head of the match's index
-- is_moved: boolean, true where the match has another index than the reference head
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

reference_matches as (
    select
        pairs.model_a,
        reference_head.layer as layer_a,
        reference_head.head as head_a,
        pairs.model_b,
        profile_ranking.layer_b,
        profile_ranking.head_b,
        profile_ranking.value,
        profile_ranking.same_index_value,
        profile_ranking.is_same_index
    from reference_head
    inner join pairs on pairs.model_a = reference_head.model
    left join profile_ranking
        on profile_ranking.model_a = pairs.model_a
        and profile_ranking.layer_a = reference_head.layer
        and profile_ranking.head_a = reference_head.head
        and profile_ranking.model_b = pairs.model_b
        and profile_ranking.rank = 1
),

final as (
    select
        reference_matches.model_a,
        reference_matches.layer_a,
        reference_matches.head_a,
        reference_matches.model_b,
        reference_matches.layer_b,
        reference_matches.head_b,
        reference_matches.value as cosine,
        reference_matches.same_index_value as same_index_cosine_a,
        at_match_index.value as same_index_cosine_b,
        not reference_matches.is_same_index as is_moved,
        coalesce(
            not reference_matches.is_same_index
            and round(reference_matches.value, 9) > coalesce(round(reference_matches.same_index_value, 9), -1e0)
            and round(reference_matches.value, 9) > coalesce(round(at_match_index.value, 9), -1e0),
            false
        ) as holds
    from reference_matches
    left join profile_ranking as at_match_index
        on at_match_index.model_a = reference_matches.model_a
        and at_match_index.layer_a = reference_matches.layer_b
        and at_match_index.head_a = reference_matches.head_b
        and at_match_index.model_b = reference_matches.model_b
        and at_match_index.layer_b = reference_matches.layer_b
        and at_match_index.head_b = reference_matches.head_b
)

select * from final
