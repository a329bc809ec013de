-- purpose: what each head attends to, over the eligible queries of all analysed prompts
-- grain: one row per (model, layer, head, score)
-- storage: view
-- model: varchar, name of the model
-- layer: integer, 0-based
-- head: integer, 0-based
-- score: varchar, what is measured, as listed below
-- n_eligible: bigint, queries that the score counts
-- value: double, mean over them: 0 to 1, entropy in bits, distance in tokens; null without any

-- Weight of a query on: the token before it (previous_token), itself (current_token), position 0
-- (first_token, the attention sink of Xiao et al. 2023, arXiv 2309.17453), earlier tokens equal to
-- it (duplicate_token) and the tokens after those, itself left out (induction; Olsson et al. 2022,
-- arXiv 2209.11895); structural keys; keys by role (marker, task, step), its own step, the step
-- before. Also the entropy of its weights and its mean distance to its keys (Clark et al. 2019,
-- arXiv 1906.04341). Eligible: all queries but 0; for duplicate_token, induction and the steps
-- those only that have such a key.
select
    prompt_scores.model,
    prompt_scores.layer,
    prompt_scores.head,
    prompt_scores.score,
    sum(prompt_scores.n_eligible)::bigint as n_eligible,
    sum(prompt_scores.total) / nullif(sum(prompt_scores.n_eligible), 0) as value
from prompt_scores
group by prompt_scores.model, prompt_scores.layer, prompt_scores.head, prompt_scores.score
