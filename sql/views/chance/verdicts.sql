-- purpose: for every head and other model, whether it has a counterpart beyond chance
-- grain: one row per (model_a, layer_a, head_a, model_b)
-- storage: table
-- model_a: varchar, the model whose head is looked for
-- layer_a: integer, 0-based
-- head_a: integer, 0-based
-- model_b: varchar, the model that is searched
-- similarity: varchar, content; profile_whitened where the two models cut the prompts into different tokens
-- layer_b: integer, layer of the most alike head in model_b; null where none is defined
-- head_b: integer, that head
-- value: double, cosine of head and match
-- p_family: double, as in match_tests; null where nothing could be tested
-- is_beyond_chance: boolean, true where p_family is at most parameters.significance_level; null without p

-- Whatever similarity is asked for: the verdict is that of the test whose errors are known.
with

tested as (
    select
        match_tests.similarity,
        match_tests.model_a,
        match_tests.layer_a,
        match_tests.head_a,
        match_tests.model_b,
        match_tests.layer_b,
        match_tests.head_b,
        match_tests.value,
        match_tests.p_family,
        row_number() over (
            partition by match_tests.model_a, match_tests.layer_a, match_tests.head_a, match_tests.model_b
            order by case match_tests.similarity when 'content' then 0 else 1 end asc
        ) as preference
    from match_tests
    where match_tests.similarity in ('content', 'profile_whitened')
),

final as (
    select
        pairs.model_a,
        heads.layer as layer_a,
        heads.head as head_a,
        pairs.model_b,
        tested.similarity,
        tested.layer_b,
        tested.head_b,
        tested.value,
        tested.p_family,
        tested.p_family <= parameters.significance_level as is_beyond_chance
    from pairs
    inner join heads on heads.model = pairs.model_a
    cross join parameters
    left join tested
        on tested.model_a = pairs.model_a
        and tested.layer_a = heads.layer
        and tested.head_a = heads.head
        and tested.model_b = pairs.model_b
        and tested.preference = 1
)

select * from final
