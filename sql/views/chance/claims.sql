-- purpose: the claims that were stated, each with its number and whether it holds
-- grain: one row per (claim)
-- storage: view
-- claim: varchar, as it was stated
-- model_a: varchar, the model whose head is claimed to have a counterpart
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that holds the counterpart
-- layer_b: integer, 0-based
-- head_b: integer, 0-based
-- test: varchar, above same index, best match, beyond chance or at least
-- similarity: varchar, what the numbers compare: parameters.claim_similarity, for beyond chance that of verdicts
-- value: double, cosine of the two heads; null where that is undefined
-- bound: double, what it must exceed (for best match and at least: reach)
-- p_family: double, of beyond chance: the p value of the verdict; null for other tests
-- holds: boolean, true where it does; false where value is null

-- above same index: more than both same-index cosines, as published. best match: head_b is the most
-- alike of model_b. beyond chance: head_b is the match of the test of verdicts, and beyond chance
-- there. at least: no less than the number that the claim states.
with

chosen as (
    select
        similarity_ranking.similarity,
        similarity_ranking.model_a,
        similarity_ranking.layer_a,
        similarity_ranking.head_a,
        similarity_ranking.model_b,
        similarity_ranking.layer_b,
        similarity_ranking.head_b,
        similarity_ranking.rank,
        similarity_ranking.value,
        similarity_ranking.same_index_value
    from similarity_ranking
    inner join parameters on parameters.claim_similarity = similarity_ranking.similarity
),

compared as (
    select
        claim_rows.claim,
        chosen.similarity,
        chosen.value,
        case claim_rows.test
            when 'above same index' then greatest(
                coalesce(chosen.same_index_value, -1e0), coalesce(same_index_b.value, -1e0)
            )
            when 'best match' then best.value
            else claim_rows.bound
        end as bound,
        claim_rows.test,
        chosen.rank
    from claim_rows
    left join chosen
        on chosen.model_a = claim_rows.model_a
        and chosen.layer_a = claim_rows.layer_a
        and chosen.head_a = claim_rows.head_a
        and chosen.model_b = claim_rows.model_b
        and chosen.layer_b = claim_rows.layer_b
        and chosen.head_b = claim_rows.head_b
    left join chosen as best
        on best.model_a = claim_rows.model_a
        and best.layer_a = claim_rows.layer_a
        and best.head_a = claim_rows.head_a
        and best.model_b = claim_rows.model_b
        and best.rank = 1
    left join chosen as same_index_b
        on same_index_b.model_a = claim_rows.model_a
        and same_index_b.layer_a = claim_rows.layer_b
        and same_index_b.head_a = claim_rows.head_b
        and same_index_b.model_b = claim_rows.model_b
        and same_index_b.layer_b = claim_rows.layer_b
        and same_index_b.head_b = claim_rows.head_b
    where claim_rows.test <> 'beyond chance'
),

judged as (
    select
        claim,
        similarity,
        value,
        bound,
        null::double as p_family,
        case test
            when 'above same index' then round(value, 9) > round(bound, 9)
            when 'best match' then rank = 1
            else round(value, 9) >= bound
        end as holds
    from compared
),

tested as (
    select
        claim_rows.claim,
        verdicts.similarity,
        similarities.value,
        match_tests.null_mean as bound,
        verdicts.p_family,
        verdicts.layer_b = claim_rows.layer_b
            and verdicts.head_b = claim_rows.head_b
            and verdicts.is_beyond_chance as holds
    from claim_rows
    left join verdicts
        on verdicts.model_a = claim_rows.model_a
        and verdicts.layer_a = claim_rows.layer_a
        and verdicts.head_a = claim_rows.head_a
        and verdicts.model_b = claim_rows.model_b
    left join match_tests
        on match_tests.similarity = verdicts.similarity
        and match_tests.model_a = claim_rows.model_a
        and match_tests.layer_a = claim_rows.layer_a
        and match_tests.head_a = claim_rows.head_a
        and match_tests.model_b = claim_rows.model_b
    left join similarities
        on similarities.similarity = verdicts.similarity
        and similarities.model_a = claim_rows.model_a
        and similarities.layer_a = claim_rows.layer_a
        and similarities.head_a = claim_rows.head_a
        and similarities.model_b = claim_rows.model_b
        and similarities.layer_b = claim_rows.layer_b
        and similarities.head_b = claim_rows.head_b
    where claim_rows.test = 'beyond chance'
),

measured as (
    select claim, similarity, value, bound, p_family, holds from judged
    union all
    select claim, similarity, value, bound, p_family, holds from tested
),

final as (
    select
        claim_rows.claim,
        claim_rows.model_a,
        claim_rows.layer_a,
        claim_rows.head_a,
        claim_rows.model_b,
        claim_rows.layer_b,
        claim_rows.head_b,
        claim_rows.test,
        measured.similarity,
        measured.value,
        measured.bound,
        measured.p_family,
        coalesce(measured.holds, false) as holds
    from claim_rows
    inner join measured on measured.claim = claim_rows.claim
)

select * from final
