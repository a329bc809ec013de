-- purpose: what chance gives beside every head's best match, and how often as much
-- grain: one row per (model_a, layer_a, head_a, model_b)
-- storage: kept
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- value: double, cosine of head and match, as in matches; where it is null, all below are
-- n_draws: bigint, draws of null_matches
-- null_kind: varchar, what chance means here: heads rotated within layers, see null_matches
-- null_mean: double, mean best match under chance
-- null_high: double, parameters.significance_level of the best matches under chance are higher
-- excess: double, value less null_mean
-- p_value: double, share of the draws (and the data) whose best match is at least value
-- p_family: double, the same for the strongest of all heads of model_a: corrected for their number

-- p values only where parameters.is_calibrated, else null: for the centred form this null calls 12 % of
-- unrelated models at 5 %, the others were not calibrated (docs/statistics.md).
-- p_value as in Phipson and Smyth (2010, arXiv 1603.05766): (1 + draws as high) / (1 + draws).
-- p_family: step of Westfall and Young (1993), single-step max T. Heads are made comparable by
-- their distance to null_mean in null standard deviations, after the Fisher transform of cosines.
with

-- The Fisher transform; cosines of 1 have none, so that they count as 1 - 1e-12.
draws as (
    select
        null_matches.model_a,
        null_matches.layer_a,
        null_matches.head_a,
        null_matches.model_b,
        null_matches.draw,
        null_matches.value,
        0.5e0 * ln((1e0 + greatest(least(null_matches.value, 1e0 - 1e-12), -1e0 + 1e-12))
            / (1e0 - greatest(least(null_matches.value, 1e0 - 1e-12), -1e0 + 1e-12))) as fisher
    from null_matches
    inner join matches
        on matches.model_a = null_matches.model_a
        and matches.layer_a = null_matches.layer_a
        and matches.head_a = null_matches.head_a
        and matches.model_b = null_matches.model_b
    where matches.value is not null
),

observed as (
    select
        matches.model_a,
        matches.layer_a,
        matches.head_a,
        matches.model_b,
        matches.value,
        0.5e0 * ln((1e0 + greatest(least(matches.value, 1e0 - 1e-12), -1e0 + 1e-12))
            / (1e0 - greatest(least(matches.value, 1e0 - 1e-12), -1e0 + 1e-12))) as fisher
    from matches
    where matches.value is not null
),

ranked as (
    select
        model_a,
        layer_a,
        head_a,
        model_b,
        value,
        row_number() over (
            partition by model_a, layer_a, head_a, model_b order by value asc, draw asc
        ) as value_rank,
        count(*) over (partition by model_a, layer_a, head_a, model_b) as n_draws
    from draws
),

spread as (
    select
        draws.model_a,
        draws.layer_a,
        draws.head_a,
        draws.model_b,
        count(*) as n_draws,
        avg(draws.value) as null_mean,
        avg(draws.fisher) as fisher_mean,
        stddev_samp(draws.fisher) as fisher_deviation,
        -- Rounded as in rankings: equal cosines may differ in their last bits.
        sum(case when round(draws.value, 9) >= round(observed.value, 9) then 1 else 0 end) as n_as_high
    from draws
    inner join observed
        on observed.model_a = draws.model_a
        and observed.layer_a = draws.layer_a
        and observed.head_a = draws.head_a
        and observed.model_b = draws.model_b
    group by all
),

null_highs as (
    select
        ranked.model_a,
        ranked.layer_a,
        ranked.head_a,
        ranked.model_b,
        max(
            case
                when ranked.value_rank = ceil(ranked.n_draws * (1e0 - parameters.significance_level))
                    then ranked.value
            end
        ) as null_high
    from ranked
    cross join parameters
    group by all
),

strongest as (
    select
        draws.model_a,
        draws.model_b,
        draws.draw,
        max((draws.fisher - spread.fisher_mean) / nullif(spread.fisher_deviation, 0e0)) as score
    from draws
    inner join spread
        on spread.model_a = draws.model_a
        and spread.layer_a = draws.layer_a
        and spread.head_a = draws.head_a
        and spread.model_b = draws.model_b
    group by all
),

scores as (
    select
        observed.model_a,
        observed.layer_a,
        observed.head_a,
        observed.model_b,
        (observed.fisher - spread.fisher_mean) / nullif(spread.fisher_deviation, 0e0) as score
    from observed
    inner join spread
        on spread.model_a = observed.model_a
        and spread.layer_a = observed.layer_a
        and spread.head_a = observed.head_a
        and spread.model_b = observed.model_b
),

family as (
    select
        scores.model_a,
        scores.layer_a,
        scores.head_a,
        scores.model_b,
        (
            1e0
            + sum(
                case
                    -- Draws that never differ tell nothing: no path to a small p value.
                    when scores.score is null then 1e0
                    when round(strongest.score, 6) >= round(scores.score, 6) then 1e0
                    else 0e0
                end
            )
        ) / (1e0 + count(*)) as p_family
    from scores
    inner join strongest
        on strongest.model_a = scores.model_a
        and strongest.model_b = scores.model_b
    group by all
),

final as (
    select
        matches.model_a,
        matches.layer_a,
        matches.head_a,
        matches.model_b,
        matches.value,
        spread.n_draws,
        'heads rotated within layers' as null_kind,
        spread.null_mean,
        null_highs.null_high,
        matches.value - spread.null_mean as excess,
        case
            when parameters.is_calibrated
                then (1e0 + spread.n_as_high) / (1e0 + spread.n_draws)
        end as p_value,
        case when parameters.is_calibrated then family.p_family end as p_family
    from matches
    cross join parameters
    left join spread
        on spread.model_a = matches.model_a
        and spread.layer_a = matches.layer_a
        and spread.head_a = matches.head_a
        and spread.model_b = matches.model_b
    left join null_highs
        on null_highs.model_a = matches.model_a
        and null_highs.layer_a = matches.layer_a
        and null_highs.head_a = matches.head_a
        and null_highs.model_b = matches.model_b
    left join family
        on family.model_a = matches.model_a
        and family.layer_a = matches.layer_a
        and family.head_a = matches.head_a
        and family.model_b = matches.model_b
)

select * from final
