-- purpose: the ceiling: how alike a head's profile is to itself on other prompts
-- grain: one row per (model, layer, head)
-- storage: kept
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- n_splits: bigint, splits in which both halves are defined, which the means are over
-- value: double, mean cosine of the head's profiles on the two halves
-- is_found: double, share of the splits in which it is its own best match in the other half

-- computed by sql.computed.stability.head_reliability from splits, block_profiles, heads, models, parameters

-- Of profiles as they are or centred, as parameters.similarity says; no row by another similarity: what
-- two halves attend to are different cells, which have no cosine.
