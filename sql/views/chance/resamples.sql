-- purpose: which prompts each resample draws: pairs of prompts, with replacement, from a seed
-- grain: one row per (resample, prompt_id)
-- storage: table
-- resample: integer, 0-based
-- prompt_id: integer, joins prompts; analysed ones only
-- n_drawn: integer, how often the resample drew it, at least 1

-- computed by sql.computed.draws.resamples from prompts, analysed_prompts, parameters
