-- Questions that a dataset answers. Each starts with its question; docs/howto/cookbook.md shows the answers.

-- Which models are stored, and how large are they?
select model, architecture, n_layers, n_heads, d_model, n_parameters
from models
order by model;

-- How long are the prompts in each tokenizer, and how many of their tokens mark layout?
select
    tokens.tokenizer,
    count(distinct tokens.prompt_id) as n_prompts,
    count(*) as n_tokens,
    count(*) filter (where tokens.is_structural) as n_structural
from tokens
group by tokens.tokenizer;

-- Where does one head look from the last token of a prompt?
select attention.key, tokens.token, round(attention.weight, 3) as weight
from attention
inner join models on models.model = attention.model
inner join tokens
    on tokens.tokenizer = models.tokenizer
    and tokens.prompt_id = attention.prompt_id
    and tokens.position = attention.key
where attention.model = 'standard' and layer = 2 and head = 2 and attention.prompt_id = 0
qualify attention.query = max(attention.query) over ()
order by weight desc, attention.key
limit 5;

-- Which heads look most at layout, over the whole prompt?
select model, layer, head, round(value, 3) as structural_mass
from head_scores
where score = 'structural'
order by value desc, model, layer, head
limit 5;

-- How does the profile of one head run along the prompt?
select bin, n_queries, round(mass, 3) as mass
from profiles
where model = 'standard' and layer = 2 and head = 2
order by bin
limit 6;

-- Which head of each model is the best previous-token head?
select
    model,
    arg_max(layer, value) as layer,
    arg_max(head, value) as head,
    round(max(value), 3) as value
from head_scores
where score = 'previous_token'
group by model
order by model;

-- Which heads rest on the first token (the attention sink)?
select model, count(*) as n_heads, count(*) filter (where value > 0.5) as n_sinks
from head_scores
where score = 'first_token'
group by model
order by model;

-- Which heads find earlier copies of a token, and which the token after them?
select score, model, layer, head, n_eligible, round(value, 3) as value
from head_scores
where score in ('duplicate_token', 'induction')
qualify row_number() over (partition by score order by value desc, model, layer, head) <= 2
order by score, value desc;

-- How sharp is attention in each layer, in bits?
select layer, round(avg(value), 2) as entropy
from head_scores
where score = 'entropy' and model = 'standard'
group by layer
order by layer;

-- Which heads stay within a step, and which look one step back?
select score, layer, head, round(value, 3) as value
from head_scores
where score in ('own_step', 'previous_step') and model = 'standard'
qualify row_number() over (partition by score order by value desc, layer, head) = 1
order by score;

-- On which prompt does a head look most at layout?
select prompts.task, round(prompt_scores.total / prompt_scores.n_eligible, 3) as structural_mass
from prompt_scores
inner join prompts on prompts.prompt_id = prompt_scores.prompt_id
where score = 'structural' and model = 'standard' and layer = 2 and head = 2
order by structural_mass desc, prompts.task
limit 3;

-- Where did the head that looks most at layout late in the prompt go?
select model_b, layer_a, head_a, layer_b, head_b, round(cosine, 3) as cosine, holds
from swap_claims
order by model_b;

-- Which heads are each other's best match in two models?
select layer_a, head_a, layer_b, head_b, round(value, 3) as cosine, round(margin, 4) as margin
from similarity_ranking
where similarity = 'profile' and model_a = 'standard' and model_b = 'adhd' and rank = 1 and is_mutual
order by margin desc
limit 5;

-- How high are the cosines of all pairs of heads, related or not?
select
    model_a,
    model_b,
    count(*) as n_pairs,
    round(avg(value), 3) as mean,
    round(max(value), 3) as highest
from similarities
where similarity = 'profile' and model_a < model_b
group by model_a, model_b
order by model_a, model_b;

-- Do other measures of similarity choose the same match?
select similarity, layer_b, head_b, round(value, 3) as value, round(same_index_value, 3) as same_index
from similarity_ranking
where model_a = 'standard' and layer_a = 2 and head_a = 2 and model_b = 'adhd' and rank = 1
order by similarity;

-- Which partner has each head of a layer, one to one?
select layer_a, head_a, layer_b, head_b, round(value, 3) as value, is_best
from migration_map
where similarity = 'profile_centred' and scope = 'model'
    and model_a = 'standard' and model_b = 'adhd' and layer_a = 2
order by head_a;

-- Is a match more than chance?
select
    model_b,
    layer_b,
    head_b,
    round(value, 3) as value,
    round(p_family, 2) as p_family,
    is_beyond_chance
from verdicts
where model_a = 'standard' and layer_a = 3 and head_a = 5
order by model_b;

-- How far does it vary with the prompts, and on prompts that did not choose it?
select
    model_b,
    round(low, 3) as low,
    round(high, 3) as high,
    round(null_mean, 3) as null_mean,
    round(held_out, 3) as held_out
from match_statistics
where model_a = 'standard' and layer_a = 3 and head_a = 5
order by model_b;

-- What do all matches of two models come to?
select
    model_a,
    model_b,
    n_heads,
    n_moved,
    n_mutual,
    n_beyond_chance,
    round(mean_value, 3) as mean_value,
    round(mean_null, 3) as mean_null
from pair_summary
order by model_a, model_b;

-- How steady are the matches from one half of the prompts to the other?
select
    model_a,
    model_b,
    round(avg(held_out), 3) as held_out,
    round(avg(agreement), 2) as agreement
from split_halves
group by model_a, model_b
order by model_a, model_b;
