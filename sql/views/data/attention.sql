-- purpose: every stored attention weight
-- grain: one row per (model, layer, head, prompt_id, query, key)
-- model: varchar, name of the model in this dataset
-- layer: integer, 0-based
-- head: integer, 0-based within its layer
-- prompt_id: integer, joins prompts and tokens
-- query: integer, position that looks, 0-based
-- key: integer, position that is looked at, 0-based; causal models store key <= query
-- weight: double, attention after the softmax, 0 to 1; a query's weights sum to 1

-- One cast for all that builds on it: engines differ in small integers and in single precision.
select
    attention_rows.model,
    attention_rows.layer::integer as layer,
    attention_rows.head::integer as head,
    attention_rows.prompt_id::integer as prompt_id,
    attention_rows.query::integer as query,
    attention_rows.key::integer as key,
    attention_rows.weight::double as weight
from attention_rows
