-- purpose: how alike any two compared models are, head by best match
-- grain: one row per (similarity, model_a, model_b)
-- storage: table
-- similarity: varchar, as in similarities
-- model_a: varchar, one model, before the other by name
-- model_b: varchar, the other
-- group_a: varchar, group of model_a; null where none was stated
-- group_b: varchar, group of model_b
-- n_matches: bigint, heads of both models with a best match
-- mean_best_match: double, mean over them of atanh of the cosine with the best match, at most 7.25 each
-- same_index_share: double, share of them with the best match at their own layer and head; null of two shapes

with

-- Cosines count as at most 1 - 1e-6: what lies nearer to 1 is rounding of the weights (float32), which
-- atanh would make a large number of, another one on each engine; 1 itself has no atanh.
best as (
    select
        similarity_ranking.similarity,
        least(similarity_ranking.model_a, similarity_ranking.model_b) as model_a,
        greatest(similarity_ranking.model_a, similarity_ranking.model_b) as model_b,
        similarity_ranking.is_same_index,
        greatest(least(similarity_ranking.value, 1e0 - 1e-6), -1e0 + 1e-6) as cosine
    from similarity_ranking
    where similarity_ranking.rank = 1
),

means as (
    select
        best.similarity,
        best.model_a,
        best.model_b,
        count(*) as n_matches,
        avg(0.5e0 * ln((1e0 + best.cosine) / (1e0 - best.cosine))) as mean_best_match,
        avg(case when best.is_same_index then 1e0 else 0e0 end) as same_index_share
    from best
    group by all
),

final as (
    select
        means.similarity,
        means.model_a,
        means.model_b,
        groups_a.group_name as group_a,
        groups_b.group_name as group_b,
        means.n_matches,
        means.mean_best_match,
        case
            when models_a.n_layers = models_b.n_layers and models_a.n_heads = models_b.n_heads
                then means.same_index_share
        end as same_index_share
    from means
    inner join models as models_a on models_a.model = means.model_a
    inner join models as models_b on models_b.model = means.model_b
    left join model_groups as groups_a on groups_a.model = means.model_a
    left join model_groups as groups_b on groups_b.model = means.model_b
)

select * from final
