-- purpose: the analysed prompts dealt to at most 20 blocks: what intervals and halves leave out
-- grain: one row per (prompt_id)
-- storage: table
-- prompt_id: integer, joins prompts; analysed ones only
-- block: integer, 0-based; prompts of one pair_id stand in the same

-- A prompt is not news beside the other of its pair. 20 blocks: as cheap as 20 columns of numbers,
-- and a standard error of 20 values is known to a sixth of itself.
select
    prompts.prompt_id,
    (
        (dense_rank() over (
            order by coalesce('pair ' || prompts.pair_id, 'prompt ' || prompts.prompt_id::varchar) asc
        ) - 1) % 20
    )::integer as block
from prompts
inner join analysed_prompts on analysed_prompts.prompt_id = prompts.prompt_id
