-- purpose: every position with its place, and what the scores ask of the token there
-- grain: one row per (model, prompt_id, position)
-- storage: table
-- model: varchar, name of the model
-- prompt_id: integer, joins prompts
-- position: integer, 0-based; a query or a key
-- place: bigint, number of the position, see places
-- is_profiled: boolean, true where scores count the query, see positions
-- token_id: integer, the tokenizer's number for the token
-- earlier_token_id: integer, that of the token before; null at position 0
-- is_first_again: boolean, true where the token of position 0 stands again
-- role: varchar, see tokens
-- step_index: integer, 0-based step that the token belongs to, null outside
-- is_structural: boolean, true where the token marks layout

select
    positions.model,
    positions.prompt_id,
    positions.query as position,
    places.first_place + positions.prompt_id * places.n_positions + positions.query as place,
    positions.is_profiled,
    tokens.token_id,
    lag(tokens.token_id) over (
        partition by positions.model, positions.prompt_id order by positions.query
    ) as earlier_token_id,
    positions.query > 0 and tokens.token_id = first_value(tokens.token_id) over (
        partition by positions.model, positions.prompt_id order by positions.query
    ) as is_first_again,
    tokens.role,
    tokens.step_index,
    positions.is_structural
from positions
inner join places on places.model = positions.model
inner join models on models.model = positions.model
inner join tokens
    on tokens.tokenizer = models.tokenizer
    and tokens.prompt_id = positions.prompt_id
    and tokens.position = positions.query
