-- purpose: the sums that profiles are made of, prompt by prompt: what resampling prompts needs
-- grain: one row per (model, layer, head, prompt_id, bin)
-- storage: kept
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- prompt_id: integer, joins prompts; analysed ones only
-- bin: integer, 0-based part of the prompt; bins without a query have no row
-- n_queries: bigint, queries of the prompt in the bin, query 0 left out
-- mass: double, sum of their structural mass
-- mass_no_sink: double, the same without the weight on key 0, which is not shared out again

with

profiled as (
    select model, prompt_id, query, bin from positions where is_profiled
),

structural_keys as (
    select model, prompt_id, query as key from positions where is_structural
),

bin_queries as (
    select model, prompt_id, bin, count(*) as n_queries
    from profiled
    group by all
),

bin_mass as (
    select
        attention.model,
        attention.layer,
        attention.head,
        attention.prompt_id,
        profiled.bin,
        sum(attention.weight) as mass,
        sum(case when attention.key > 0 then attention.weight else 0e0 end) as mass_no_sink
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
        bin_queries.prompt_id,
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
        and bin_mass.prompt_id = bin_queries.prompt_id
        and bin_mass.bin = bin_queries.bin
)

select * from final
