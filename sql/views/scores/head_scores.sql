-- purpose: what each head attends to, over the eligible queries of all analysed prompts
-- grain: one row per (model, layer, head, score)
-- storage: kept
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- score: varchar, what is measured, as listed below
-- n_eligible: bigint, queries that the score counts
-- value: double, mean over them: 0 to 1, entropy in bits, distance in tokens; null without any
-- n_units: bigint, prompts with such a query, those of a pair counted once
-- low: double, lower end of the 95 % interval of value over prompts, 0 at least; null for one unit
-- high: double, upper end; 1 at most, but of entropy and distance

-- Weight of a query on: the token before it (previous_token), itself (current_token), position 0
-- (first_token, the attention sink of Xiao et al. 2023, arXiv 2309.17453), earlier copies of that
-- token elsewhere (first_token_again: the probe sink has them), earlier tokens equal to the query's
-- (duplicate_token) and the tokens after those, itself left out (induction; Olsson et al. 2022,
-- arXiv 2209.11895); structural keys; keys by role (marker, task, step), its own step, the step
-- before. Also the entropy of its weights and its mean distance to its keys (Clark et al. 2019,
-- arXiv 1906.04341). Eligible: all queries but 0; for first_token_again, duplicate_token, induction and
-- the steps those only that have such a key.
--
-- The interval is the jackknife's: each unit is left out once, value computed again, and the
-- standard error is sqrt((n - 1) / n sum (value_i - mean)^2) (Efron and Tibshirani 1993, An
-- introduction to the bootstrap, chapter 11), times Student's t with n - 1 degrees of freedom.
with

-- A prompt with the others of its pair, as one is not news beside the other.
units as (
    select
        prompts.prompt_id,
        dense_rank() over (
            order by prompts.pair_id nulls first, case when prompts.pair_id is null then prompts.prompt_id end
        ) as unit
    from prompts
    inner join analysed_prompts on analysed_prompts.prompt_id = prompts.prompt_id
),

sized_units as (
    select prompt_id, unit, count(*) over (partition by unit) as n_prompts from units
),

-- Most units are one prompt: to add up only the others takes a third of the memory.
unit_sums as (
    select
        prompt_scores.model,
        prompt_scores.layer,
        prompt_scores.head,
        prompt_scores.score,
        prompt_scores.n_eligible,
        prompt_scores.total
    from prompt_scores
    inner join sized_units
        on sized_units.prompt_id = prompt_scores.prompt_id
        and sized_units.n_prompts = 1
    union all
    select
        prompt_scores.model,
        prompt_scores.layer,
        prompt_scores.head,
        prompt_scores.score,
        sum(prompt_scores.n_eligible)::bigint as n_eligible,
        sum(prompt_scores.total) as total
    from prompt_scores
    inner join sized_units
        on sized_units.prompt_id = prompt_scores.prompt_id
        and sized_units.n_prompts > 1
    group by
        prompt_scores.model,
        prompt_scores.layer,
        prompt_scores.head,
        prompt_scores.score,
        sized_units.unit
),

totals as (
    select
        model,
        layer,
        head,
        score,
        sum(n_eligible)::bigint as n_eligible,
        sum(total) as total,
        count(case when n_eligible > 0 then 1 end) as n_units
    from unit_sums
    group by model, layer, head, score
),

-- The value without each unit that has a say in it.
left_out as (
    select
        unit_sums.model,
        unit_sums.layer,
        unit_sums.head,
        unit_sums.score,
        (totals.total - unit_sums.total) / (totals.n_eligible - unit_sums.n_eligible) as value
    from unit_sums
    inner join totals
        on totals.model = unit_sums.model
        and totals.layer = unit_sums.layer
        and totals.head = unit_sums.head
        and totals.score = unit_sums.score
    where unit_sums.n_eligible > 0 and totals.n_units > 1
),

errors as (
    select
        model,
        layer,
        head,
        score,
        sqrt((count(*) - 1) * var_pop(value)) as error
    from left_out
    group by model, layer, head, score
),

final as (
    select
        totals.model,
        totals.layer,
        totals.head,
        totals.score,
        totals.n_eligible,
        totals.total / nullif(totals.n_eligible, 0) as value,
        totals.n_units,
        errors.error * t_quantiles.quantile as reach
    from totals
    left join errors
        on errors.model = totals.model
        and errors.layer = totals.layer
        and errors.head = totals.head
        and errors.score = totals.score
    left join t_quantiles on t_quantiles.degrees = totals.n_units - 1
)

select
    final.model,
    final.layer,
    final.head,
    final.score,
    final.n_eligible,
    final.value,
    final.n_units,
    case when final.value - final.reach < 0e0 then 0e0 else final.value - final.reach end as low,
    case
        when final.score not in ('entropy', 'distance') and final.value + final.reach > 1e0 then 1e0
        else final.value + final.reach
    end as high
from final
