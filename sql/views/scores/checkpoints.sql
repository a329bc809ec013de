-- purpose: the models that are checkpoints of one run of training, by the names of their sources
-- grain: one row per (model)
-- storage: table
-- model: varchar, name of the model
-- run: varchar, the source without its checkpoint: a repository, or the folder of checkpoints
-- step: bigint, steps of training at the checkpoint

-- A revision of a repository (ORG/NAME@step1000), or a folder (path/checkpoint-1000, as transformers
-- names what its trainer saves, path/step_1000, path/global_step1000).
select
    model,
    regexp_extract(source, '^(.+)[@/](global_)?(step|checkpoint)[-_]?([0-9]{1,15})/?$', 1) as run,
    regexp_extract(source, '^(.+)[@/](global_)?(step|checkpoint)[-_]?([0-9]{1,15})/?$', 4)::bigint as step
from models
where regexp_matches(source, '^(.+)[@/](global_)?(step|checkpoint)[-_]?([0-9]{1,15})/?$')
