-- purpose: what each head attends to on each prompt, as sums over eligible queries
-- grain: one row per (model, layer, head, prompt_id, score)
-- storage: kept
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- prompt_id: integer, joins prompts; analysed ones only
-- score: varchar, see head_scores
-- n_eligible: bigint, queries of the prompt that the score counts
-- total: double, sum of the score over them

-- Query 0 is never eligible: in a causal model it can only look at itself.
with

places as (
    select
        positions.model,
        positions.prompt_id,
        positions.query as position,
        positions.is_structural,
        positions.is_profiled,
        tokens.token_id,
        tokens.role,
        tokens.step_index
    from positions
    inner join models on models.model = positions.model
    inner join tokens
        on tokens.tokenizer = models.tokenizer
        and tokens.prompt_id = positions.prompt_id
        and tokens.position = positions.query
),

-- Where the token of a query stood before, and what followed it there.
earlier as (
    select distinct
        later_places.model,
        later_places.prompt_id,
        later_places.position as query,
        places.position as key
    from places as later_places
    inner join places
        on places.model = later_places.model
        and places.prompt_id = later_places.prompt_id
        and places.token_id = later_places.token_id
        and places.position < later_places.position
    where later_places.is_profiled
),

queries as (
    select
        places.model,
        places.prompt_id,
        places.position as query,
        places.step_index,
        coalesce(max(case when earlier.key is not null then 1 else 0 end), 0) as has_duplicate,
        -- What followed an earlier occurrence is the query itself where that is the token before.
        coalesce(max(case when earlier.key + 1 < places.position then 1 else 0 end), 0) as has_induction
    from places
    left join earlier
        on earlier.model = places.model
        and earlier.prompt_id = places.prompt_id
        and earlier.query = places.position
    where places.is_profiled
    group by all
),

eligible as (
    select
        model,
        prompt_id,
        count(*) as n_all,
        sum(has_duplicate) as n_duplicate,
        sum(has_induction) as n_induction,
        count(step_index) as n_step,
        count(case when step_index > 0 then 1 end) as n_later_step
    from queries
    group by all
),

sums as (
    select
        attention.model,
        attention.layer,
        attention.head,
        attention.prompt_id,
        sum(case when attention.key = attention.query - 1 then attention.weight else 0e0 end) as previous_token,
        sum(case when attention.key = attention.query then attention.weight else 0e0 end) as current_token,
        sum(case when attention.key = 0 then attention.weight else 0e0 end) as first_token,
        sum(case when same_token.key is not null then attention.weight else 0e0 end) as duplicate_token,
        sum(case when after_same_token.key is not null then attention.weight else 0e0 end) as induction,
        -sum(
            case when attention.weight > 0e0 then attention.weight * ln(attention.weight) / ln(2e0) else 0e0 end
        ) as entropy,
        sum(attention.weight * abs(attention.query - attention.key)) as distance,
        sum(case when keys.is_structural then attention.weight else 0e0 end) as structural,
        sum(case when keys.role = 'marker' then attention.weight else 0e0 end) as marker,
        sum(case when keys.role = 'task' then attention.weight else 0e0 end) as task,
        sum(case when keys.role = 'step' then attention.weight else 0e0 end) as step,
        sum(case when keys.step_index = queries.step_index then attention.weight else 0e0 end) as own_step,
        sum(case when keys.step_index = queries.step_index - 1 then attention.weight else 0e0 end)
            as previous_step
    from attention
    inner join queries
        on queries.model = attention.model
        and queries.prompt_id = attention.prompt_id
        and queries.query = attention.query
    inner join places as keys
        on keys.model = attention.model
        and keys.prompt_id = attention.prompt_id
        and keys.position = attention.key
    left join earlier as same_token
        on same_token.model = attention.model
        and same_token.prompt_id = attention.prompt_id
        and same_token.query = attention.query
        and same_token.key = attention.key
    left join earlier as after_same_token
        on after_same_token.model = attention.model
        and after_same_token.prompt_id = attention.prompt_id
        and after_same_token.query = attention.query
        and after_same_token.key + 1 = attention.key
        and attention.key < attention.query
    group by all
),

scores as (
    select score
    from (
        values
        ('previous_token'), ('current_token'), ('first_token'), ('duplicate_token'), ('induction'),
        ('entropy'), ('distance'), ('structural'), ('marker'), ('task'), ('step'), ('own_step'),
        ('previous_step')
    ) as scores (score)
),

final as (
    select
        sums.model,
        sums.layer,
        sums.head,
        sums.prompt_id,
        scores.score,
        case scores.score
            when 'duplicate_token' then eligible.n_duplicate
            when 'induction' then eligible.n_induction
            when 'own_step' then eligible.n_step
            when 'previous_step' then eligible.n_later_step
            else eligible.n_all
        end::bigint as n_eligible,
        case scores.score
            when 'previous_token' then sums.previous_token
            when 'current_token' then sums.current_token
            when 'first_token' then sums.first_token
            when 'duplicate_token' then sums.duplicate_token
            when 'induction' then sums.induction
            when 'entropy' then sums.entropy
            when 'distance' then sums.distance
            when 'structural' then sums.structural
            when 'marker' then sums.marker
            when 'task' then sums.task
            when 'step' then sums.step
            when 'own_step' then sums.own_step
            else sums.previous_step
        end as total
    from sums
    cross join scores
    inner join eligible
        on eligible.model = sums.model
        and eligible.prompt_id = sums.prompt_id
)

select * from final
