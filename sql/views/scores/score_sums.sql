-- purpose: the sums that scores are made of, a column a score: one pass over the rows
-- grain: one row per (model, layer, head, prompt_id)
-- storage: kept
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- prompt_id: integer, joins prompts; analysed ones only
-- previous_token: double, sum over queries of the weight on the token before; all as head_scores says
-- current_token: double, on itself
-- first_token: double, on position 0
-- first_token_again: double, on earlier copies of that token, position 0 left out
-- duplicate_token: double, on earlier tokens equal to the query's
-- induction: double, on the tokens after those, the query's own left out
-- entropy: double, in bits, sum over queries
-- distance: double, in tokens, sum over queries
-- structural: double, sum of the weight on structural keys
-- marker: double, on keys of that role
-- task: double, the same
-- step: double, the same
-- own_step: double, on the step that the query's token belongs to
-- previous_step: double, on the step before

-- Query 0 is never eligible: in a causal model it can only look at itself. What a query has no key
-- for adds nothing.
select
    attention_rows.model,
    attention_rows.layer::integer as layer,
    attention_rows.head::integer as head,
    attention_rows.prompt_id,
    sum(case when attention_rows.key = attention_rows.query - 1 then attention_rows.weight else 0e0 end)
        as previous_token,
    sum(case when attention_rows.key = attention_rows.query then attention_rows.weight else 0e0 end)
        as current_token,
    sum(case when attention_rows.key = 0 then attention_rows.weight else 0e0 end) as first_token,
    sum(
        case
            when keys.is_first_again and attention_rows.key < attention_rows.query
                then attention_rows.weight
            else 0e0
        end
    ) as first_token_again,
    sum(
        case
            when keys.token_id = queries.token_id and attention_rows.key < attention_rows.query
                then attention_rows.weight
            else 0e0
        end
    ) as duplicate_token,
    sum(
        case
            when keys.earlier_token_id = queries.token_id and attention_rows.key < attention_rows.query
                then attention_rows.weight
            else 0e0
        end
    ) as induction,
    -sum(
        case
            when attention_rows.weight > 0e0
                then attention_rows.weight::double * ln(attention_rows.weight::double) / ln(2e0)
            else 0e0
        end
    ) as entropy,
    sum(attention_rows.weight::double * abs(attention_rows.query - attention_rows.key)) as distance,
    sum(case when keys.is_structural then attention_rows.weight else 0e0 end) as structural,
    sum(case when keys.role = 'marker' then attention_rows.weight else 0e0 end) as marker,
    sum(case when keys.role = 'task' then attention_rows.weight else 0e0 end) as task,
    sum(case when keys.role = 'step' then attention_rows.weight else 0e0 end) as step,
    sum(case when keys.step_index = queries.step_index then attention_rows.weight else 0e0 end) as own_step,
    sum(case when keys.step_index = queries.step_index - 1 then attention_rows.weight else 0e0 end)
        as previous_step
from attention_rows
inner join token_places as queries
    on queries.place = attention_rows.prompt_place + attention_rows.query
    and queries.is_profiled
inner join token_places as keys
    on keys.place = attention_rows.prompt_place + attention_rows.key
group by attention_rows.model, attention_rows.layer, attention_rows.head, attention_rows.prompt_id
