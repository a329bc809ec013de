-- purpose: how many queries of each prompt the scores count
-- grain: one row per (model, prompt_id)
-- storage: table
-- model: varchar, name of the model
-- prompt_id: integer, joins prompts; analysed ones only
-- n_all: bigint, all but query 0
-- n_first_again: bigint, of them those after a second token of position 0's kind
-- n_duplicate: bigint, those whose token stood before
-- n_induction: bigint, those where another token than the query's own followed it there
-- n_step: bigint, those in a step
-- n_later_step: bigint, those in a step that is not the first

with

-- Where the token of a query stood first: what followed it there is the query itself where that is
-- the token before and it stood nowhere else.
queries as (
    select
        model,
        prompt_id,
        position,
        is_profiled,
        step_index,
        min(case when is_first_again then position end) over (
            partition by model, prompt_id
        ) as first_again,
        min(position) over (partition by model, prompt_id, token_id) as first_position
    from token_places
)

select
    model,
    prompt_id,
    count(*) as n_all,
    count(case when first_again < position then 1 end) as n_first_again,
    count(case when first_position < position then 1 end) as n_duplicate,
    count(case when first_position + 1 < position then 1 end) as n_induction,
    count(step_index) as n_step,
    count(case when step_index > 0 then 1 end) as n_later_step
from queries
where is_profiled
group by model, prompt_id
