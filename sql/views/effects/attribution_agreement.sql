-- purpose: how far what attribution patching estimates of heads is what ablating them changes
-- grain: one row per (model, kind)
-- storage: table
-- model: varchar, name of the model
-- kind: varchar, what stands for what a head mixes, as in ablation_effects
-- n_heads: bigint, heads that are both estimated and ablated, on as many prompts
-- correlation: double, of estimates and changes over heads, -1 to 1; null where either is constant
-- rank_correlation: double, of their ranks, equal ones at their mean rank; null as above
-- n_same_sign: bigint, heads whose estimate has the sign of the change
-- sign_agreement: double, these of all, 0 to 1
-- mean_absolute_error_nats: double, mean distance of the estimate from the change
-- mean_absolute_change_nats: double, mean size of the change itself, for comparison

with

both_ways as (
    select
        attribution_ranking.model,
        attribution_ranking.kind,
        -- Rounded, so that what differs in its last bits ties and has no sign.
        round(attribution_ranking.mean_estimated_delta_loss_nats, 9) as estimate,
        round(ablation_ranking.mean_delta_loss_nats, 9) as change
    from attribution_ranking
    inner join ablation_ranking
        on ablation_ranking.model = attribution_ranking.model
        and ablation_ranking.kind = attribution_ranking.kind
        and ablation_ranking.layer = attribution_ranking.layer
        and ablation_ranking.head = attribution_ranking.head
        and ablation_ranking.n_prompts = attribution_ranking.n_prompts
),

ranked as (
    select
        model,
        kind,
        estimate,
        change,
        rank() over (partition by model, kind order by estimate)
        + (count(*) over (partition by model, kind, estimate) - 1) / 2e0 as estimate_rank,
        rank() over (partition by model, kind order by change)
        + (count(*) over (partition by model, kind, change) - 1) / 2e0 as change_rank,
        estimate - avg(estimate) over (partition by model, kind) as x,
        change - avg(change) over (partition by model, kind) as y
    from both_ways
),

summed as (
    select
        model,
        kind,
        count(*) as n_heads,
        sum(x * y) as sum_xy,
        case when min(estimate) < max(estimate) then sqrt(sum(x * x)) end as length_x,
        case when min(change) < max(change) then sqrt(sum(y * y)) end as length_y,
        sum(estimate_rank) as sum_a,
        sum(change_rank) as sum_b,
        sum(estimate_rank * change_rank) as sum_ab,
        sum(estimate_rank * estimate_rank) as sum_aa,
        sum(change_rank * change_rank) as sum_bb,
        count(*) filter (
            where (estimate > 0) = (change > 0) and (estimate < 0) = (change < 0)
        ) as n_same_sign,
        avg(abs(estimate - change)) as mean_absolute_error_nats,
        avg(abs(change)) as mean_absolute_change_nats
    from ranked
    group by model, kind
),

final as (
    select
        model,
        kind,
        n_heads,
        sum_xy / (length_x * length_y) as correlation,
        (n_heads * sum_ab - sum_a * sum_b) / nullif(
            sqrt(n_heads * sum_aa - sum_a * sum_a) * sqrt(n_heads * sum_bb - sum_b * sum_b), 0
        ) as rank_correlation,
        n_same_sign,
        n_same_sign / n_heads::double as sign_agreement,
        mean_absolute_error_nats,
        mean_absolute_change_nats
    from summed
)

select * from final
