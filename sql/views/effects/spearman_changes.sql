-- purpose: how ablating heads changes the correlation of complexity and steps, over seeds
-- grain: one row per (model, prompt_set, sampling, ablation, kind)
-- storage: table
-- model: varchar, the model that generated
-- prompt_set: varchar, the prompts that were given together
-- sampling: varchar, how tokens were chosen
-- ablation: varchar, the heads that were ablated
-- kind: varchar, how they were ablated
-- n_seeds: bigint, seeds for which both correlations are defined
-- median_before: double, median correlation of the whole model; null without seeds
-- median_after: double, median correlation of the ablated model; null without seeds
-- median_change: double, median over seeds of ablated less whole; null without seeds
-- n_lower: bigint, seeds whose correlation the ablation lowers
-- n_higher: bigint, seeds whose correlation it raises
-- p_sign: double, exact two-sided sign test, unchanged seeds left out; null where all are
-- smallest_p: double, the p that the test gives if all these seeds agree; null as p_sign is

-- The sign test (Conover 1999, section 3.4): twice the chance of at most as many seeds on the rarer
-- side, each side as likely, at most 1.
with

correlations as (
    select
        model,
        prompt_set,
        sampling,
        ablation,
        kind,
        seed,
        spearman
    from spearman_complexity_steps
    where spearman is not null
),

changes as (
    select
        ablated.model,
        ablated.prompt_set,
        ablated.sampling,
        ablated.ablation,
        ablated.kind,
        ablated.seed,
        whole.spearman as spearman_before,
        ablated.spearman as spearman_after,
        -- Rounded, so that what differs in its last bits counts as unchanged.
        round(ablated.spearman - whole.spearman, 12) as change
    from correlations as ablated
    inner join correlations as whole
        on whole.model = ablated.model
        and whole.prompt_set = ablated.prompt_set
        and whole.sampling = ablated.sampling
        and whole.seed = ablated.seed
    where ablated.ablation <> 'none' and whole.ablation = 'none'
),

summed as (
    select
        model,
        prompt_set,
        sampling,
        ablation,
        kind,
        count(*) as n_seeds,
        median(spearman_before) as median_before,
        median(spearman_after) as median_after,
        median(change) as median_change,
        count(*) filter (where change < 0) as n_lower,
        count(*) filter (where change > 0) as n_higher
    from changes
    group by all
),

-- Of each changed seed its number among them, so that the sum below has a row for each term.
numbered as (
    select
        changes.model,
        changes.prompt_set,
        changes.sampling,
        changes.ablation,
        changes.kind,
        summed.n_lower + summed.n_higher as n_changed,
        least(summed.n_lower, summed.n_higher) as n_rarer,
        row_number() over (
            partition by
                changes.model,
                changes.prompt_set,
                changes.sampling,
                changes.ablation,
                changes.kind
            order by changes.seed
        ) as number
    from changes
    inner join summed
        on summed.model = changes.model
        and summed.prompt_set = changes.prompt_set
        and summed.sampling = changes.sampling
        and summed.ablation = changes.ablation
        and summed.kind = changes.kind
    where changes.change <> 0
),

-- ln of the number of ways to choose that many of the changed seeds.
terms as (
    select
        model,
        prompt_set,
        sampling,
        ablation,
        kind,
        n_changed,
        n_rarer,
        number,
        sum(ln((n_changed - number + 1)::double / number)) over (
            partition by model, prompt_set, sampling, ablation, kind
            order by number
            rows between unbounded preceding and current row
        ) as ln_ways
    from numbered
),

tails as (
    select
        model,
        prompt_set,
        sampling,
        ablation,
        kind,
        least(
            1e0,
            2 * (
                exp(-n_changed * ln(2e0))
                + coalesce(
                    sum(exp(ln_ways - n_changed * ln(2e0))) filter (where number <= n_rarer), 0
                )
            )
        ) as p_sign,
        least(1e0, 2 * exp(-n_changed * ln(2e0))) as smallest_p
    from terms
    group by model, prompt_set, sampling, ablation, kind, n_changed
),

final as (
    select
        summed.model,
        summed.prompt_set,
        summed.sampling,
        summed.ablation,
        summed.kind,
        summed.n_seeds,
        summed.median_before,
        summed.median_after,
        summed.median_change,
        summed.n_lower,
        summed.n_higher,
        tails.p_sign,
        tails.smallest_p
    from summed
    left join tails
        on tails.model = summed.model
        and tails.prompt_set = summed.prompt_set
        and tails.sampling = summed.sampling
        and tails.ablation = summed.ablation
        and tails.kind = summed.kind
)

select * from final
