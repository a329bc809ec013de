-- purpose: the sums that profiles are made of, by block of prompts
-- grain: one row per (model, layer, head, block, bin)
-- storage: kept
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- block: integer, as in blocks
-- bin: integer, 0-based part of the prompt; bins without a query in the block have no row
-- n_queries: bigint, queries of the block's prompts in the bin, query 0 of each left out
-- mass: double, sum of their structural mass
-- mass_no_sink: double, the same without the weight on key 0, which is not shared out again

-- One pass over the rows: summing weights by bin gives the same as summing each query's mass
-- (structural_mass) by bin, without a row for every query in between. Numbers are joined and grouped,
-- names only after that.
with

placed as (
    select
        places.model_number,
        positions.model,
        places.first_place + positions.prompt_id * places.n_positions + positions.query as place,
        positions.bin,
        blocks.block,
        positions.is_structural,
        positions.is_profiled
    from positions
    inner join places on places.model = positions.model
    inner join blocks on blocks.prompt_id = positions.prompt_id
),

profiled as (
    select model_number, model, place, block, bin from placed where is_profiled
),

structural_keys as (
    select place from placed where is_structural
),

bin_queries as (
    select model, block, bin, count(*) as n_queries
    from profiled
    group by all
),

numbered_mass as (
    select
        profiled.model_number,
        attention_rows.layer,
        attention_rows.head,
        profiled.block,
        profiled.bin,
        sum(attention_rows.weight::double) as mass,
        sum(case when attention_rows.key > 0 then attention_rows.weight::double else 0e0 end) as mass_no_sink
    from attention_rows
    inner join structural_keys on structural_keys.place = attention_rows.prompt_place + attention_rows.key
    inner join profiled on profiled.place = attention_rows.prompt_place + attention_rows.query
    group by all
),

bin_mass as (
    select
        places.model,
        numbered_mass.layer::integer as layer,
        numbered_mass.head::integer as head,
        numbered_mass.block,
        numbered_mass.bin,
        numbered_mass.mass,
        numbered_mass.mass_no_sink
    from numbered_mass
    inner join places on places.model_number = numbered_mass.model_number
),

final as (
    select
        heads.model,
        heads.layer,
        heads.head,
        bin_queries.block,
        bin_queries.bin,
        bin_queries.n_queries,
        coalesce(bin_mass.mass, 0e0) as mass,
        coalesce(bin_mass.mass_no_sink, 0e0) as mass_no_sink
    from heads
    inner join bin_queries on bin_queries.model = heads.model
    left join bin_mass
        on bin_mass.model = heads.model
        and bin_mass.layer = heads.layer
        and bin_mass.head = heads.head
        and bin_mass.block = bin_queries.block
        and bin_mass.bin = bin_queries.bin
)

select * from final
