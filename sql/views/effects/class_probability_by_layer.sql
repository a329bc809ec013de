-- purpose: how probable each class of tokens is where steps begin, read out after each layer
-- grain: one row per (model, token_class, layer)
-- storage: table
-- model: varchar, name of the model
-- token_class: varchar, the class whose tokens' probabilities are summed
-- layer: integer, 0-based layer after which the residual stream is read out
-- n_positions: bigint, step onsets of the analysed prompts
-- mean_probability: double, mean over them, 0 to 1
-- change: double, mean less that of the layer before; null for layer 0

-- A step onset is the position from which the first token of a step is predicted.
with

followed as (
    select
        tokenizer,
        prompt_id,
        position,
        step_index,
        lead(step_index) over (
            partition by tokenizer, prompt_id
            order by position
        ) as next_step_index
    from tokens
),

onsets as (
    select
        tokenizer,
        prompt_id,
        position
    from followed
    where next_step_index is not null and next_step_index is distinct from step_index
),

averaged as (
    select
        layer_readouts.model,
        layer_readouts.token_class,
        layer_readouts.layer,
        count(*) as n_positions,
        avg(layer_readouts.probability) as mean_probability
    from layer_readouts
    inner join models on models.model = layer_readouts.model
    inner join analysed_prompts on analysed_prompts.prompt_id = layer_readouts.prompt_id
    inner join onsets
        on onsets.tokenizer = models.tokenizer
        and onsets.prompt_id = layer_readouts.prompt_id
        and onsets.position = layer_readouts.position
    group by layer_readouts.model, layer_readouts.token_class, layer_readouts.layer
),

final as (
    select
        model,
        token_class,
        layer,
        n_positions,
        mean_probability,
        mean_probability - lag(mean_probability) over (
            partition by model, token_class
            order by layer
        ) as change
    from averaged
)

select * from final
