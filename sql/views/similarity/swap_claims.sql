-- purpose: the published claim, asked of the reference head and each other model
-- grain: one row per (model_b)
-- storage: table
-- model_a: varchar, the reference model
-- layer_a: integer, layer of the reference head
-- head_a: integer, the reference head
-- model_b: varchar, the other model
-- layer_b: integer, layer of the most alike head in model_b
-- head_b: integer, that head
-- cosine: double, cosine of the profiles of the two
-- same_index_cosine_a: double, the reference head against model_b's head of the same index
-- same_index_cosine_b: double, the match against model_a's head of the match's index
-- is_moved: boolean, true where the match has another index than the reference head
-- holds: boolean, true where the match moved and its cosine exceeds both same-index cosines

with

reference_matches as (
    select
        swap_ranking.model_a,
        swap_ranking.layer_a,
        swap_ranking.head_a,
        swap_ranking.model_b,
        swap_ranking.layer_b,
        swap_ranking.head_b,
        swap_ranking.cosine,
        swap_ranking.same_index_cosine,
        swap_ranking.is_same_index
    from swap_ranking
    inner join reference_head
        on reference_head.model = swap_ranking.model_a
        and reference_head.layer = swap_ranking.layer_a
        and reference_head.head = swap_ranking.head_a
    where swap_ranking.rank = 1
),

final as (
    select
        reference_matches.model_a,
        reference_matches.layer_a,
        reference_matches.head_a,
        reference_matches.model_b,
        reference_matches.layer_b,
        reference_matches.head_b,
        reference_matches.cosine,
        reference_matches.same_index_cosine as same_index_cosine_a,
        at_match_index.cosine as same_index_cosine_b,
        not reference_matches.is_same_index as is_moved,
        not reference_matches.is_same_index
            and round(reference_matches.cosine, 9) > coalesce(round(reference_matches.same_index_cosine, 9), -1e0)
            and round(reference_matches.cosine, 9) > coalesce(round(at_match_index.cosine, 9), -1e0)
            as holds
    from reference_matches
    left join profile_cosines as at_match_index
        on at_match_index.model_a = reference_matches.model_a
        and at_match_index.layer_a = reference_matches.layer_b
        and at_match_index.head_a = reference_matches.head_b
        and at_match_index.model_b = reference_matches.model_b
        and at_match_index.layer_b = reference_matches.layer_b
        and at_match_index.head_b = reference_matches.head_b
)

select * from final
