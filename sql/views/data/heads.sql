-- purpose: every head of every model, with its label
-- grain: one row per (model, layer, head)
-- storage: table
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based within its layer
-- label: varchar, layer and head as people write them, L3H0 for instance
-- head_id: integer, 0-based number of the head among all of the dataset

select
    models.model,
    layers.layer,
    heads.number as head,
    'L' || layers.layer::varchar || 'H' || heads.number::varchar as label,
    (row_number() over (order by models.model, layers.layer, heads.number) - 1)::integer as head_id
from models
inner join layers on layers.model = models.model
inner join numbers as heads on heads.number < models.n_heads
