-- purpose: the vectors of profile_vectors at length 1, so that a sum of products is a cosine
-- grain: one row per (similarity, model, layer, head, bin)
-- storage: table
-- similarity: varchar, as in profile_vectors
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- bin: integer, 0-based part of the prompt
-- value: double, -1 to 1; null where the vector is 0 in every bin, as it has no direction

with

norms as (
    select similarity, model, layer, head, sqrt(sum(value * value)) as norm
    from profile_vectors
    group by all
),

final as (
    select
        profile_vectors.similarity,
        profile_vectors.model,
        profile_vectors.layer,
        profile_vectors.head,
        profile_vectors.bin,
        profile_vectors.value / nullif(norms.norm, 0e0) as value
    from profile_vectors
    inner join norms
        on norms.similarity = profile_vectors.similarity
        and norms.model = profile_vectors.model
        and norms.layer = profile_vectors.layer
        and norms.head = profile_vectors.head
)

select * from final
