-- purpose: what the matches of two models come to: how many moved, how many are beyond chance
-- grain: one row per (model_a, model_b)
-- storage: view
-- model_a: varchar, the model whose heads are looked for
-- model_b: varchar, the model that is searched
-- similarity: varchar, what the numbers compare
-- n_heads: bigint, heads of model_a
-- n_matched: bigint, of them whose similarity is defined, so that they have a best match
-- n_moved: bigint, of these with a best match of another index
-- n_mutual: bigint, of these with a mutual best match
-- n_tested: bigint, heads of model_a that could be tested, as in verdicts
-- n_beyond_chance: bigint, of them with a counterpart beyond chance by verdicts; null where none was tested
-- n_moved_beyond_chance: bigint, of these with a counterpart of another index
-- mean_value: double, mean cosine with the best match
-- mean_same_index: double, mean cosine with the same index
-- mean_held_out: double, mean cosine of matches chosen on other prompts
-- mean_ceiling: double, mean cosine of heads and matches with themselves on other prompts
-- mean_null: double, mean best match under chance
-- mean_excess: double, mean of value less null mean

select
    match_statistics.model_a,
    match_statistics.model_b,
    match_statistics.similarity,
    count(*) as n_heads,
    count(match_statistics.value) as n_matched,
    count(*) filter (where match_statistics.is_moved) as n_moved,
    count(*) filter (where match_statistics.is_mutual) as n_mutual,
    count(verdicts.p_family) as n_tested,
    case
        when count(verdicts.p_family) > 0
            then count(*) filter (where verdicts.is_beyond_chance)
    end as n_beyond_chance,
    case
        when count(verdicts.p_family) > 0
            then count(*) filter (
                where verdicts.is_beyond_chance
                and (verdicts.layer_b <> verdicts.layer_a or verdicts.head_b <> verdicts.head_a)
            )
    end as n_moved_beyond_chance,
    avg(match_statistics.value) as mean_value,
    avg(match_statistics.same_index_value) as mean_same_index,
    avg(match_statistics.held_out) as mean_held_out,
    avg(match_statistics.ceiling) as mean_ceiling,
    avg(match_statistics.null_mean) as mean_null,
    avg(match_statistics.excess) as mean_excess
from match_statistics
inner join verdicts
    on verdicts.model_a = match_statistics.model_a
    and verdicts.layer_a = match_statistics.layer_a
    and verdicts.head_a = match_statistics.head_a
    and verdicts.model_b = match_statistics.model_b
group by match_statistics.model_a, match_statistics.model_b, match_statistics.similarity
