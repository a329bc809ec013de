-- purpose: the analysed prompts cut into two halves at random, again and again, from a seed
-- grain: one row per (split, prompt_id)
-- storage: table
-- split: integer, 0-based
-- prompt_id: integer, joins prompts; analysed ones only
-- half: integer, 0 or 1; prompts of one pair_id fall into the same

-- computed by sql.computed.draws.splits from prompts, analysed_prompts, parameters
