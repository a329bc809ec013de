-- purpose: the prompts that profiles and all that builds on them use: those of the analysed variant
-- grain: one row per (prompt_id)
-- storage: table
-- prompt_id: integer, joins prompts

select prompts.prompt_id
from prompts
cross join parameters
where parameters.variant = 'all' or prompts.variant = parameters.variant
