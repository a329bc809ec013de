-- purpose: how much each head attends to structural tokens late in the prompt
-- grain: one row per (model, layer, head)
-- storage: view
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- late_mass: double, mean of its profile over the later half of the bins; no row with one bin

select
    profiles.model,
    profiles.layer,
    profiles.head,
    avg(profiles.mass) as late_mass
from profiles
cross join parameters
where profiles.bin * 2 >= parameters.bins
group by profiles.model, profiles.layer, profiles.head
