-- purpose: how far each best match, and its lead over the same index, vary with the prompts
-- grain: one row per (model_a, layer_a, head_a, model_b)
-- storage: kept
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched; heads without a match have no row
-- n_blocks: integer, blocks of prompts, each of which is left out once
-- low: double, lower end of the 95 % interval of the cosine; null of fewer than two blocks
-- high: double, upper end
-- lead: double, cosine with the match less cosine with the same index; null without one
-- lead_low: double, lower end of its 95 % interval
-- lead_high: double, upper end

-- computed by sql.computed.stability.match_intervals from head_products, block_profiles, heads, models, pairs, parameters

-- Student's t around the value with the jackknife's standard error, on the Fisher scale for cosines
-- (Efron and Tibshirani 1993, chapter 11); the match stays the one of all prompts.
