-- purpose: the published profile of every head: mean structural mass along the prompt
-- grain: one row per (model, layer, head, bin)
-- storage: table
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- bin: integer, 0-based part of the prompt
-- n_queries: bigint, queries of all analysed prompts in the bin
-- mass: double, their structural mass divided by their number, 0 in an empty bin
-- mass_no_sink: double, the same without the weight on key 0, which is not shared out again

with

sums as (
    select
        model,
        layer,
        head,
        bin,
        sum(n_queries) as n_queries,
        sum(mass) as mass,
        sum(mass_no_sink) as mass_no_sink
    from block_profiles
    group by all
),

final as (
    select
        heads.model,
        heads.layer,
        heads.head,
        bins.bin,
        coalesce(sums.n_queries, 0)::bigint as n_queries,
        coalesce(sums.mass / sums.n_queries, 0e0) as mass,
        coalesce(sums.mass_no_sink / sums.n_queries, 0e0) as mass_no_sink
    from heads
    cross join bins
    left join sums
        on sums.model = heads.model
        and sums.layer = heads.layer
        and sums.head = heads.head
        and sums.bin = bins.bin
)

select * from final
