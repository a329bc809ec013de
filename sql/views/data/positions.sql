-- purpose: every query position of every model, with the bin that it falls into
-- grain: one row per (model, prompt_id, query)
-- storage: table
-- model: varchar, name of the model
-- prompt_id: integer, joins prompts
-- query: integer, 0-based
-- n_tokens: integer, tokens of the prompt in the model's tokenizer
-- bin: integer, 0-based part of the prompt, of as many parts as parameters.bins says
-- is_structural: boolean, true where the token itself marks layout
-- is_profiled: boolean, true where profiles count the query: in analysed prompts all but query 0

with

model_tokens as (
    select
        models.model,
        tokens.prompt_id,
        tokens.position,
        tokens.is_structural,
        count(*) over (partition by models.model, tokens.prompt_id) as n_tokens
    from models
    inner join tokens on tokens.tokenizer = models.tokenizer
),

final as (
    select
        model_tokens.model,
        model_tokens.prompt_id,
        model_tokens.position as query,
        model_tokens.n_tokens::integer as n_tokens,
        -- In this order, (query / n_tokens) * bins: the other puts some queries in another bin.
        least(
            floor((model_tokens.position::double / model_tokens.n_tokens::double) * parameters.bins::double),
            parameters.bins - 1
        )::integer as bin,
        model_tokens.is_structural,
        analysed_prompts.prompt_id is not null and model_tokens.position > 0 as is_profiled
    from model_tokens
    left join analysed_prompts on analysed_prompts.prompt_id = model_tokens.prompt_id
    cross join parameters
)

select * from final
