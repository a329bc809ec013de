-- purpose: every head's scores from checkpoint to checkpoint of a run, and when they turned
-- grain: one row per (model, layer, head, score)
-- storage: view
-- run: varchar, see checkpoints
-- step: bigint, steps of training
-- model: varchar, name of the model that is the checkpoint
-- layer: integer, 0-based
-- head: integer, 0-based
-- score: varchar, see head_scores
-- value: double, as head_scores has it
-- low: double, lower end of its 95 % interval
-- high: double, upper end
-- first_value: double, at the first checkpoint of the run
-- last_value: double, at the last
-- is_changed: boolean, whether the 95 % intervals of first and last value are apart; null for none
-- emergence_step: bigint, first step from which on all values are nearer to the last than to the first; null where it is not changed

-- The step at which a rise, or a fall, is half done for good. That a value is half of the last alone
-- would hold from the start for a score whose head does by chance half of what it does in the end.
with

trends as (
    select
        checkpoints.run,
        checkpoints.step,
        head_scores.model,
        head_scores.layer,
        head_scores.head,
        head_scores.score,
        head_scores.value,
        head_scores.low,
        head_scores.high
    from checkpoints
    inner join head_scores on head_scores.model = checkpoints.model
),

ends as (
    select
        run,
        min(step) as first_step,
        max(step) as last_step
    from checkpoints
    group by run
),

-- Where two models are the same checkpoint, the first by name.
ranked as (
    select
        trends.run,
        trends.step,
        trends.layer,
        trends.head,
        trends.score,
        trends.value,
        trends.low,
        trends.high,
        row_number() over (
            partition by trends.run, trends.step, trends.layer, trends.head, trends.score
            order by trends.model
        ) as place
    from trends
),

whole as (
    select
        ranked.run,
        ranked.layer,
        ranked.head,
        ranked.score,
        ends.first_step,
        ends.last_step,
        max(case when ranked.step = ends.first_step then ranked.value end) as first_value,
        max(case when ranked.step = ends.last_step then ranked.value end) as last_value,
        case
            when ends.first_step < ends.last_step then
                max(case when ranked.step = ends.first_step then ranked.high end)
                < max(case when ranked.step = ends.last_step then ranked.low end)
                or max(case when ranked.step = ends.first_step then ranked.low end)
                > max(case when ranked.step = ends.last_step then ranked.high end)
        end as is_changed
    from ranked
    inner join ends on ends.run = ranked.run
    where ranked.place = 1
    group by
        ranked.run, ranked.layer, ranked.head, ranked.score, ends.first_step, ends.last_step
),

compared as (
    select
        trends.run,
        trends.layer,
        trends.head,
        trends.score,
        trends.step,
        abs(trends.value - whole.last_value) < abs(trends.value - whole.first_value) as is_turned
    from trends
    inner join whole
        on whole.run = trends.run
        and whole.layer = trends.layer
        and whole.head = trends.head
        and whole.score = trends.score
),

last_unturned as (
    select
        run,
        layer,
        head,
        score,
        max(case when not is_turned then step end) as step
    from compared
    group by run, layer, head, score
),

emerged as (
    select
        compared.run,
        compared.layer,
        compared.head,
        compared.score,
        min(compared.step) as step
    from compared
    inner join last_unturned
        on last_unturned.run = compared.run
        and last_unturned.layer = compared.layer
        and last_unturned.head = compared.head
        and last_unturned.score = compared.score
    where compared.step > last_unturned.step
    group by compared.run, compared.layer, compared.head, compared.score
),

final as (
    select
        trends.run,
        trends.step,
        trends.model,
        trends.layer,
        trends.head,
        trends.score,
        trends.value,
        trends.low,
        trends.high,
        whole.first_value,
        whole.last_value,
        whole.is_changed,
        case when whole.is_changed then emerged.step end as emergence_step
    from trends
    inner join whole
        on whole.run = trends.run
        and whole.layer = trends.layer
        and whole.head = trends.head
        and whole.score = trends.score
    left join emerged
        on emerged.run = trends.run
        and emerged.layer = trends.layer
        and emerged.head = trends.head
        and emerged.score = trends.score
)

select * from final
