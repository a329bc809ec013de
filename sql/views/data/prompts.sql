-- purpose: the prompts that every model read
-- grain: one row per (prompt_id)
-- prompt_id: integer, 0-based position of the prompt in the file that it came from
-- pair_id: varchar, the task that the variants of a pair share
-- variant: varchar, how the steps are written, standard or adhd for instance
-- task: varchar, what is to be done
-- steps: varchar[], how to do it
-- complexity: integer, how much there is to do, where the prompt file says so
-- text: varchar, the whole prompt with its markers, which character offsets count in
-- is_analysed: boolean, true where profiles and all that builds on them use the prompt

select
    prompt_rows.prompt_id::integer as prompt_id,
    prompt_rows.pair_id,
    prompt_rows.variant,
    prompt_rows.task,
    prompt_rows.steps,
    prompt_rows.complexity::integer as complexity,
    prompt_rows.text,
    parameters.variant = 'all' or coalesce(prompt_rows.variant = parameters.variant, false)
        as is_analysed
from prompt_rows
cross join parameters
