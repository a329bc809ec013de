-- purpose: the profiles in the form that parameters.similarity names, which chance is asked about
-- grain: one row per (model, layer, head, bin)
-- storage: table
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- bin: integer, 0-based part of the prompt
-- value: double, as in profile_vectors

select
    profile_vectors.model,
    profile_vectors.layer,
    profile_vectors.head,
    profile_vectors.bin,
    profile_vectors.value
from profile_vectors
inner join parameters on parameters.similarity = profile_vectors.similarity
