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
-- similarity: varchar, what the numbers compare
-- value: double, cosine of the two heads; null where that is undefined
-- bound: double, what it must exceed (for best match and at least: reach)
-- holds: boolean, true where it does; for beyond chance also p_family; false where value is null

-- above same index: more than both same-index cosines, as published. best match: head_b is the most
-- alike of model_b. beyond chance: best match, excess_low above 0 and p_family at most
-- parameters.significance_level. at least: no less than the number that the claim states.
with

chosen as (
    select
        similarities.similarity,
        similarities.model_a,
        similarities.layer_a,
        similarities.head_a,
        similarities.model_b,
        similarities.layer_b,
        similarities.head_b,
        similarities.value
    from similarities
    inner join parameters on parameters.similarity = similarities.similarity
),

measured as (
    select
        claim_rows.claim,
        claim_rows.model_a,
        claim_rows.layer_a,
        claim_rows.head_a,
        claim_rows.model_b,
        claim_rows.layer_b,
        claim_rows.head_b,
        claim_rows.test,
        chosen.similarity,
        chosen.value,
        case claim_rows.test
            when 'above same index' then greatest(
                coalesce(same_index_a.value, -1e0), coalesce(same_index_b.value, -1e0)
            )
            when 'best match' then matches.value
            when 'beyond chance' then match_chance.null_mean
            else claim_rows.bound
        end as bound,
        matches.layer_b = claim_rows.layer_b and matches.head_b = claim_rows.head_b as is_best,
        match_intervals.low - match_chance.null_mean as excess_low,
        match_chance.p_family
    from claim_rows
    inner join chosen
        on chosen.model_a = claim_rows.model_a
        and chosen.layer_a = claim_rows.layer_a
        and chosen.head_a = claim_rows.head_a
        and chosen.model_b = claim_rows.model_b
        and chosen.layer_b = claim_rows.layer_b
        and chosen.head_b = claim_rows.head_b
    inner join matches
        on matches.model_a = claim_rows.model_a
        and matches.layer_a = claim_rows.layer_a
        and matches.head_a = claim_rows.head_a
        and matches.model_b = claim_rows.model_b
    left join chosen as same_index_a
        on same_index_a.model_a = claim_rows.model_a
        and same_index_a.layer_a = claim_rows.layer_a
        and same_index_a.head_a = claim_rows.head_a
        and same_index_a.model_b = claim_rows.model_b
        and same_index_a.layer_b = claim_rows.layer_a
        and same_index_a.head_b = claim_rows.head_a
    left join chosen as same_index_b
        on same_index_b.model_a = claim_rows.model_a
        and same_index_b.layer_a = claim_rows.layer_b
        and same_index_b.head_a = claim_rows.head_b
        and same_index_b.model_b = claim_rows.model_b
        and same_index_b.layer_b = claim_rows.layer_b
        and same_index_b.head_b = claim_rows.head_b
    left join match_chance
        on match_chance.model_a = claim_rows.model_a
        and match_chance.layer_a = claim_rows.layer_a
        and match_chance.head_a = claim_rows.head_a
        and match_chance.model_b = claim_rows.model_b
    left join match_intervals
        on match_intervals.model_a = claim_rows.model_a
        and match_intervals.layer_a = claim_rows.layer_a
        and match_intervals.head_a = claim_rows.head_a
        and match_intervals.model_b = claim_rows.model_b
),

final as (
    select
        measured.claim,
        measured.model_a,
        measured.layer_a,
        measured.head_a,
        measured.model_b,
        measured.layer_b,
        measured.head_b,
        measured.test,
        measured.similarity,
        measured.value,
        measured.bound,
        coalesce(
            case measured.test
                when 'above same index' then round(measured.value, 9) > round(measured.bound, 9)
                when 'best match' then measured.is_best
                when 'beyond chance'
                    then measured.is_best
                        and measured.excess_low > 0e0
                        and measured.p_family <= parameters.significance_level
                else round(measured.value, 9) >= measured.bound
            end,
            false
        ) as holds
    from measured
    cross join parameters
)

select * from final
