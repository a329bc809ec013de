-- purpose: attention weights times the norm of what they weigh: how much of each key is written
-- grain: one row per (model, layer, head, prompt_id, query, key)
-- storage: view
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- prompt_id: integer, joins prompts
-- query: integer, position that looks, 0-based
-- key: integer, position that is looked at, 0-based
-- weight: double, attention after the softmax
-- value_norm: double, norm of the key's value vector after the head's output matrix
-- norm: double, weight times value_norm, in units of the residual stream

-- Kobayashi et al. 2020 (arXiv 2004.10102): a large weight on a small vector writes little, as on
-- the first token, where many heads rest.
select
    attention.model,
    attention.layer,
    attention.head,
    attention.prompt_id,
    attention.query,
    attention.key,
    attention.weight,
    head_writes.value_norm,
    attention.weight * head_writes.value_norm as norm
from attention
inner join head_writes
    on head_writes.model = attention.model
    and head_writes.layer = attention.layer
    and head_writes.head = attention.head
    and head_writes.prompt_id = attention.prompt_id
    and head_writes.position = attention.key
