-- purpose: what each head attends to on each prompt, as sums over eligible queries
-- grain: one row per (model, layer, head, prompt_id, score)
-- storage: view
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- prompt_id: integer, joins prompts; analysed ones only
-- score: varchar, see head_scores
-- n_eligible: bigint, queries of the prompt that the score counts
-- total: double, sum of the score over them

with

scores as (
    select score
    from (
        values
        ('previous_token'), ('current_token'), ('first_token'), ('first_token_again'),
        ('duplicate_token'), ('induction'), ('entropy'), ('distance'), ('structural'), ('marker'),
        ('task'), ('step'), ('own_step'), ('previous_step')
    ) as scores (score)
),

final as (
    select
        score_sums.model,
        score_sums.layer,
        score_sums.head,
        score_sums.prompt_id,
        scores.score,
        case scores.score
            when 'first_token_again' then eligible_queries.n_first_again
            when 'duplicate_token' then eligible_queries.n_duplicate
            when 'induction' then eligible_queries.n_induction
            when 'own_step' then eligible_queries.n_step
            when 'previous_step' then eligible_queries.n_later_step
            else eligible_queries.n_all
        end as n_eligible,
        case scores.score
            when 'previous_token' then score_sums.previous_token
            when 'current_token' then score_sums.current_token
            when 'first_token' then score_sums.first_token
            when 'first_token_again' then score_sums.first_token_again
            when 'duplicate_token' then score_sums.duplicate_token
            when 'induction' then score_sums.induction
            when 'entropy' then score_sums.entropy
            when 'distance' then score_sums.distance
            when 'structural' then score_sums.structural
            when 'marker' then score_sums.marker
            when 'task' then score_sums.task
            when 'step' then score_sums.step
            when 'own_step' then score_sums.own_step
            else score_sums.previous_step
        end as total
    from score_sums
    cross join scores
    inner join eligible_queries
        on eligible_queries.model = score_sums.model
        and eligible_queries.prompt_id = score_sums.prompt_id
)

select * from final
