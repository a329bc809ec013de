-- purpose: the published claim, by the published profiles, asked of the reference head and each model
-- grain: one row per (model_b)
-- storage: table
-- model_a: varchar, the reference model
-- layer_a: integer, layer of the reference head
-- head_a: integer, the reference head
-- model_b: varchar, the other model
-- layer_b: integer, layer of the most alike head in model_b; null as cosine is
-- head_b: integer, that head; null as cosine is
-- cosine: double, cosine of the profiles of the two; null where the reference head's profile is 0
-- same_index_cosine_a: double, the reference head against model_b's head of the same index
-- same_index_cosine_b: double, the match against model_a's head of the match's index
-- is_moved: boolean, true where the match has another index than the reference head
-- holds: boolean, true where the match moved and its cosine exceeds both same-index cosines

select
    published_criterion.model_a,
    published_criterion.layer_a,
    published_criterion.head_a,
    published_criterion.model_b,
    published_criterion.layer_b,
    published_criterion.head_b,
    published_criterion.cosine,
    published_criterion.same_index_cosine_a,
    published_criterion.same_index_cosine_b,
    published_criterion.is_moved,
    published_criterion.holds
from published_criterion
inner join reference_head
    on reference_head.model = published_criterion.model_a
    and reference_head.layer = published_criterion.layer_a
    and reference_head.head = published_criterion.head_a
