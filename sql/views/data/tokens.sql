-- purpose: what stands at each position of each prompt
-- grain: one row per (tokenizer, prompt_id, position)
-- tokenizer: varchar, joins models
-- prompt_id: integer, joins prompts
-- position: integer, 0-based; a query or a key of attention
-- token_id: integer, the tokenizer's number for the token
-- token: varchar, the token decoded on its own
-- role: varchar, marker, task or step
-- step_index: integer, 0-based step that the token belongs to, null outside of steps
-- char_start: integer, first character of the token in the prompt's text, 0-based
-- char_end: integer, the character after its last
-- is_structural: boolean, true where the token marks layout; structural mass counts these keys

select
    token_rows.tokenizer,
    token_rows.prompt_id::integer as prompt_id,
    token_rows.position::integer as position,
    token_rows.token_id::integer as token_id,
    token_rows.token,
    token_rows.role,
    token_rows.step_index::integer as step_index,
    token_rows.char_start::integer as char_start,
    token_rows.char_end::integer as char_end,
    token_rows.is_structural
from token_rows
