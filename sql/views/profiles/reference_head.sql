-- purpose: the head whose counterpart in the other models the report asks for
-- grain: one row per (model)
-- storage: table
-- model: varchar, the reference model
-- layer: integer, 0-based
-- head: integer, 0-based
-- late_mass: double, as in the view late_mass
-- is_given: boolean, true where the user named the head; else the data chose the highest late_mass

with

ranked as (
    select
        late_mass.model,
        late_mass.layer,
        late_mass.head,
        late_mass.late_mass,
        row_number() over (
            order by round(late_mass.late_mass, 9) desc nulls last, late_mass.layer, late_mass.head
        ) as late_rank
    from late_mass
    inner join parameters on parameters.reference_model = late_mass.model
),

final as (
    select
        ranked.model,
        ranked.layer,
        ranked.head,
        ranked.late_mass,
        parameters.reference_layer is not null as is_given
    from ranked
    cross join parameters
    where case
        when parameters.reference_layer is null then ranked.late_rank = 1
        else ranked.layer = parameters.reference_layer and ranked.head = parameters.reference_head
    end
)

select * from final
