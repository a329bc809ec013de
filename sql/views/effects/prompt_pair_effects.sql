-- purpose: what ablating two heads together changes in a prompt, beside what each does by itself
-- grain: one row per (model, kind, layer_a, head_a, layer_b, head_b, prompt_id)
-- storage: table
-- model: varchar, name of the model
-- kind: varchar, what stands for what a head mixes, as in ablation_effects
-- layer_a: integer, layer of the first head, 0-based; the heads in order of their index
-- head_a: integer, the first head, 0-based within its layer
-- layer_b: integer, layer of the second head
-- head_b: integer, the second head
-- prompt_id: integer, an analysed prompt
-- joint_delta_loss_nats: double, mean loss without both less whole; null where nothing is predicted
-- delta_loss_a_nats: double, mean loss without the first less whole; null where it was not ablated
-- delta_loss_b_nats: double, the same of the second
-- interaction_nats: double, joint change less those of both: above 0 where each makes up for the other

with

joint as (
    select
        pair_effects.model,
        pair_effects.kind,
        pair_effects.layer_a,
        pair_effects.head_a,
        pair_effects.layer_b,
        pair_effects.head_b,
        pair_effects.prompt_id,
        avg(pair_effects.delta_loss_nats) as joint_delta_loss_nats
    from pair_effects
    inner join analysed_prompts on analysed_prompts.prompt_id = pair_effects.prompt_id
    group by
        pair_effects.model,
        pair_effects.kind,
        pair_effects.layer_a,
        pair_effects.head_a,
        pair_effects.layer_b,
        pair_effects.head_b,
        pair_effects.prompt_id
),

final as (
    select
        joint.model,
        joint.kind,
        joint.layer_a,
        joint.head_a,
        joint.layer_b,
        joint.head_b,
        joint.prompt_id,
        joint.joint_delta_loss_nats,
        first_head.mean_delta_loss_nats as delta_loss_a_nats,
        second_head.mean_delta_loss_nats as delta_loss_b_nats,
        joint.joint_delta_loss_nats
        - first_head.mean_delta_loss_nats
        - second_head.mean_delta_loss_nats as interaction_nats
    from joint
    left join prompt_effects as first_head
        on first_head.model = joint.model
        and first_head.kind = joint.kind
        and first_head.layer = joint.layer_a
        and first_head.head = joint.head_a
        and first_head.prompt_id = joint.prompt_id
    left join prompt_effects as second_head
        on second_head.model = joint.model
        and second_head.kind = joint.kind
        and second_head.layer = joint.layer_b
        and second_head.head = joint.head_b
        and second_head.prompt_id = joint.prompt_id
)

select * from final
