-- purpose: the published profile of every head: mean structural mass along the prompt
-- grain: one row per (model, layer, head, bin)
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- bin: integer, 0-based part of the prompt
-- n_queries: bigint, queries of all analysed prompts in the bin
-- mass: double, their structural mass divided by their number, 0 in an empty bin

-- One pass over the rows: summing weights by bin gives the same as summing each query's mass
-- (structural_mass) by bin, without a row for every query in between.
with

profiled as (
    select model, prompt_id, query, bin from positions where is_profiled
),

structural_keys as (
    select model, prompt_id, query as key from positions where is_structural
),

bin_queries as (
    select model, bin, count(*) as n_queries
    from profiled
    group by all
),

bin_mass as (
    select
        attention.model,
        attention.layer,
        attention.head,
        profiled.bin,
        sum(attention.weight) as mass
    from attention
    inner join structural_keys
        on structural_keys.model = attention.model
        and structural_keys.prompt_id = attention.prompt_id
        and structural_keys.key = attention.key
    inner join profiled
        on profiled.model = attention.model
        and profiled.prompt_id = attention.prompt_id
        and profiled.query = attention.query
    group by all
),

final as (
    select
        heads.model,
        heads.layer,
        heads.head,
        bins.bin,
        coalesce(bin_queries.n_queries, 0) as n_queries,
        coalesce(bin_mass.mass / bin_queries.n_queries, 0e0) as mass
    from heads
    cross join bins
    left join bin_queries on bin_queries.model = heads.model and bin_queries.bin = bins.bin
    left join bin_mass
        on bin_mass.model = heads.model
        and bin_mass.layer = heads.layer
        and bin_mass.head = heads.head
        and bin_mass.bin = bins.bin
)

select * from final
