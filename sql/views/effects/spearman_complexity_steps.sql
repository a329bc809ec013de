-- purpose: whether a model takes more steps for what is more complex, seed by seed
-- grain: one row per (model, prompt_set, sampling, ablation, kind, seed)
-- storage: table
-- model: varchar, the model that generated
-- prompt_set: varchar, the prompts that were given together
-- sampling: varchar, how tokens were chosen
-- ablation: varchar, the heads that were ablated, none for the whole model
-- kind: varchar, how they were ablated, none for the whole model
-- seed: integer, seed of the random draws
-- n_prompts: bigint, prompts that have both a complexity and steps
-- n_complete: bigint, those of them whose text the model ended itself
-- mean_steps: double, steps a prompt; null without any
-- mean_regulation_steps: double, regulation steps a prompt; null where none were counted
-- spearman: double, rank correlation, -1 to 1; null where all complexities or step counts are equal

-- Spearman's rho: Pearson's correlation of the ranks, equal values at their mean rank (Spearman
-- 1904). Ranks are multiples of one half, so that the sums are exact.
with

counted as (
    select
        model,
        prompt_set,
        sampling,
        ablation,
        kind,
        seed,
        complexity,
        n_steps,
        n_regulation_steps,
        is_complete
    from generations
    where complexity is not null and n_steps is not null
),

ranked as (
    select
        model,
        prompt_set,
        sampling,
        ablation,
        kind,
        seed,
        n_steps,
        n_regulation_steps,
        is_complete,
        rank() over (
            partition by model, prompt_set, sampling, ablation, kind, seed
            order by complexity
        ) + (
            count(*) over (
                partition by model, prompt_set, sampling, ablation, kind, seed, complexity
            ) - 1
        ) / 2e0 as x,
        rank() over (
            partition by model, prompt_set, sampling, ablation, kind, seed
            order by n_steps
        ) + (
            count(*) over (
                partition by model, prompt_set, sampling, ablation, kind, seed, n_steps
            ) - 1
        ) / 2e0 as y
    from counted
),

summed as (
    select
        model,
        prompt_set,
        sampling,
        ablation,
        kind,
        seed,
        count(*) as n_prompts,
        count(*) filter (where is_complete) as n_complete,
        avg(n_steps) as mean_steps,
        avg(n_regulation_steps) as mean_regulation_steps,
        sum(x) as sum_x,
        sum(y) as sum_y,
        sum(x * y) as sum_xy,
        sum(x * x) as sum_xx,
        sum(y * y) as sum_yy
    from ranked
    group by all
),

final as (
    select
        model,
        prompt_set,
        sampling,
        ablation,
        kind,
        seed,
        n_prompts,
        n_complete,
        mean_steps,
        mean_regulation_steps,
        (n_prompts * sum_xy - sum_x * sum_y) / nullif(
            sqrt(n_prompts * sum_xx - sum_x * sum_x) * sqrt(n_prompts * sum_yy - sum_y * sum_y), 0
        ) as spearman
    from summed
)

select * from final
