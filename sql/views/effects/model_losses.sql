-- purpose: how well each ablated model predicts the prompts, as long as nothing is taken away
-- grain: one row per (model)
-- storage: table
-- model: varchar, name of the model
-- n_prompts: bigint, analysed prompts with a true token to predict
-- n_positions: bigint, their positions with one
-- loss_nats: double, mean loss of the true token over these positions; one position counts at most 87.3
-- uniform_nats: double, that of a guess for which all tokens of the vocabulary are equally probable

with

places as (
    select
        ablation_effects.model,
        ablation_effects.prompt_id,
        ablation_effects.position,
        min(ablation_effects.probability_before) as probability
    from ablation_effects
    inner join analysed_prompts on analysed_prompts.prompt_id = ablation_effects.prompt_id
    where ablation_effects.probability_before is not null
    group by
        ablation_effects.model,
        ablation_effects.prompt_id,
        ablation_effects.position
),

-- The smallest float32 that keeps all its digits stands for a probability of 0.
means as (
    select
        places.model,
        count(distinct places.prompt_id) as n_prompts,
        count(*) as n_positions,
        -avg(ln(greatest(places.probability::double, 1.1754943508222875e-38))) as loss_nats
    from places
    group by places.model
)

select
    means.model,
    means.n_prompts,
    means.n_positions,
    means.loss_nats,
    ln(models.d_vocab::double) as uniform_nats
from means
inner join models on models.model = means.model
