-- purpose: whether every model's rows are complete and its weights sum to 1
-- grain: one row per (model)
-- storage: table
-- model: varchar, name of the model in this dataset
-- n_rows: bigint, stored attention rows
-- n_queries: bigint, stored (layer, head, prompt_id, query)
-- n_missing: bigint, queries that the model's prompts have and the rows lack
-- n_incomplete: bigint, stored queries with fewer or more keys than they have
-- largest_error: double, the farthest that a query's weights sum from 1
-- tolerance: double, what dtype and precision allow: 1e-4, for float16 2e-3, for bfloat16 2e-2
-- is_sound: boolean, true where nothing is missing, incomplete or beyond the tolerance

with

stored as (
    select
        model,
        layer,
        head,
        prompt_id,
        query,
        count(*) as n_keys,
        sum(weight) as total
    from attention
    group by all
),

compared as (
    select
        stored.model,
        stored.n_keys,
        case
            when stored.n_keys = case when models.is_causal then positions.query + 1 else positions.n_tokens end
                then 0
            else 1
        end as is_incomplete,
        abs(stored.total - 1e0) as error
    from stored
    inner join models on models.model = stored.model
    left join positions
        on positions.model = stored.model
        and positions.prompt_id = stored.prompt_id
        and positions.query = stored.query
),

found as (
    select
        model,
        sum(n_keys) as n_rows,
        count(*) as n_queries,
        sum(is_incomplete) as n_incomplete,
        max(error) as largest_error
    from compared
    group by all
),

stored_layers as (
    select
        model,
        count(*) as n_layers
    from layers
    group by model
),

expected as (
    select
        models.model,
        models.dtype,
        models.precision,
        count(*) * stored_layers.n_layers * models.n_heads as n_queries
    from models
    inner join stored_layers on stored_layers.model = models.model
    inner join positions on positions.model = models.model
    group by models.model, models.dtype, models.precision, stored_layers.n_layers, models.n_heads
),

final as (
    select
        expected.model,
        coalesce(found.n_rows, 0)::bigint as n_rows,
        coalesce(found.n_queries, 0)::bigint as n_queries,
        (expected.n_queries - coalesce(found.n_queries, 0))::bigint as n_missing,
        coalesce(found.n_incomplete, 0)::bigint as n_incomplete,
        found.largest_error,
        case
            when expected.dtype = 'bfloat16' then 2e-2
            when expected.dtype = 'float16' or expected.precision = 'float16' then 2e-3
            else 1e-4
        end::double as tolerance
    from expected
    left join found on found.model = expected.model
)

select
    final.model,
    final.n_rows,
    final.n_queries,
    final.n_missing,
    final.n_incomplete,
    final.largest_error,
    final.tolerance,
    final.n_missing = 0
        and final.n_incomplete = 0
        and coalesce(final.largest_error <= final.tolerance, false)
        as is_sound
from final
