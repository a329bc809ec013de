-- purpose: what ablating a head changes in a prompt, on average over its positions
-- grain: one row per (model, kind, layer, head, prompt_id)
-- storage: table
-- model: varchar, name of the model
-- kind: varchar, what stands for what the head mixes, as in ablation_effects
-- layer: integer, layer of the ablated head, 0-based
-- head: integer, 0-based within its layer
-- prompt_id: integer, an analysed prompt
-- n_positions: bigint, positions with a true token to predict
-- mean_delta_loss_nats: double, mean loss ablated less whole, over these; null without any
-- mean_kl_nats: double, mean divergence of the ablated model's predictions, over all positions

select
    ablation_effects.model,
    ablation_effects.kind,
    ablation_effects.layer,
    ablation_effects.head,
    ablation_effects.prompt_id,
    count(ablation_effects.delta_loss_nats) as n_positions,
    avg(ablation_effects.delta_loss_nats) as mean_delta_loss_nats,
    avg(ablation_effects.kl_nats) as mean_kl_nats
from ablation_effects
inner join analysed_prompts on analysed_prompts.prompt_id = ablation_effects.prompt_id
group by
    ablation_effects.model,
    ablation_effects.kind,
    ablation_effects.layer,
    ablation_effects.head,
    ablation_effects.prompt_id
