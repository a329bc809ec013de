-- purpose: best matches under chance: a head against a model_b whose heads are mixed within layers
-- grain: one row per (model_a, layer_a, head_a, model_b, draw)
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model whose heads were mixed
-- draw: integer, 0-based; one random rotation of the heads in each layer of model_b
-- value: double, cosine with the most alike of the mixed heads

-- computed by sql.computed.chance.null_matches from compared_profiles
