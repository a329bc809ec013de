-- purpose: how much of each query's attention goes to structural keys
-- grain: one row per (model, layer, head, prompt_id, query)
-- storage: view
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- prompt_id: integer, joins prompts
-- query: integer, 0-based
-- bin: integer, 0-based part of the prompt that the query falls into
-- mass: double, sum of the weights over structural keys, 0 to 1

with

key_positions as (
    select model, prompt_id, query as key, is_structural from positions
),

query_mass as (
    select
        attention.model,
        attention.layer,
        attention.head,
        attention.prompt_id,
        attention.query,
        coalesce(sum(attention.weight) filter (where key_positions.is_structural), 0e0) as mass
    from attention
    inner join key_positions
        on key_positions.model = attention.model
        and key_positions.prompt_id = attention.prompt_id
        and key_positions.key = attention.key
    group by all
),

final as (
    select
        query_mass.model,
        query_mass.layer,
        query_mass.head,
        query_mass.prompt_id,
        query_mass.query,
        positions.bin,
        query_mass.mass
    from query_mass
    inner join positions
        on positions.model = query_mass.model
        and positions.prompt_id = query_mass.prompt_id
        and positions.query = query_mass.query
)

select * from final
