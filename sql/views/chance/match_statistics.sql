-- purpose: every head's best match with all that says whether it is more than chance
-- grain: one row per (model_a, layer_a, head_a, model_b)
-- storage: table
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- layer_b: integer, layer of the most alike head in model_b; null as value is
-- head_b: integer, that head; null as value is
-- similarity: varchar, what the numbers compare, as parameters.similarity says
-- value: double, cosine of head and match; null, and all below, where it is undefined
-- low: double, lower end of its 95 % interval over blocks of prompts
-- high: double, upper end
-- same_index_value: double, cosine with the head of the same index; null without one
-- lead: double, value less same_index_value
-- lead_low: double, lower end of its 95 % interval
-- lead_high: double, upper end
-- held_out: double, mean cosine of a match chosen on one half of the prompts, on the other half
-- ceiling: double, geometric mean of how alike head and match are to themselves; null of whitened ones
-- null_mean: double, mean best match under chance: heads rotated within layers, see match_tests
-- null_high: double, 5 % of the best matches under chance are higher
-- excess: double, value less null_mean
-- p_value: double, as in match_tests; null where the similarity is not tested
-- p_family: double, the same, corrected for the number of heads of model_a
-- is_moved: boolean, true where the match has another layer or head
-- is_mutual: boolean, true where each of the two is the other's best match

select
    matches.model_a,
    matches.layer_a,
    matches.head_a,
    matches.model_b,
    matches.layer_b,
    matches.head_b,
    parameters.similarity,
    matches.value,
    match_intervals.low,
    match_intervals.high,
    matches.same_index_value,
    match_intervals.lead,
    match_intervals.lead_low,
    match_intervals.lead_high,
    split_halves.held_out,
    case
        when reliability_a.value is not null and reliability_b.value is not null
            then sqrt(greatest(reliability_a.value, 0e0) * greatest(reliability_b.value, 0e0))
    end as ceiling,
    match_tests.null_mean,
    match_tests.null_high,
    matches.value - match_tests.null_mean as excess,
    match_tests.p_value,
    match_tests.p_family,
    matches.is_moved,
    matches.is_mutual
from matches
cross join parameters
left join match_intervals
    on match_intervals.model_a = matches.model_a
    and match_intervals.layer_a = matches.layer_a
    and match_intervals.head_a = matches.head_a
    and match_intervals.model_b = matches.model_b
left join match_tests
    on match_tests.similarity = parameters.similarity
    and match_tests.model_a = matches.model_a
    and match_tests.layer_a = matches.layer_a
    and match_tests.head_a = matches.head_a
    and match_tests.model_b = matches.model_b
left join split_halves
    on split_halves.model_a = matches.model_a
    and split_halves.layer_a = matches.layer_a
    and split_halves.head_a = matches.head_a
    and split_halves.model_b = matches.model_b
left join head_reliability as reliability_a
    on reliability_a.model = matches.model_a
    and reliability_a.layer = matches.layer_a
    and reliability_a.head = matches.head_a
left join head_reliability as reliability_b
    on reliability_b.model = matches.model_b
    and reliability_b.layer = matches.layer_b
    and reliability_b.head = matches.head_b
