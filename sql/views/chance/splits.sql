-- purpose: the blocks of prompts cut into two halves at random, again and again, from a seed
-- grain: one row per (split, block)
-- storage: table
-- split: integer, 0-based
-- block: integer, as in blocks
-- half: integer, 0 or 1

-- computed by sql.computed.stability.splits from blocks, parameters
