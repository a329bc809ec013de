"""The cookbook's questions on a Spark cluster: the answers are DuckDB's, in the same order."""

from __future__ import annotations

import pytest

from sql.console.examples import examples
from sql.session import Session
from tests.support.engines import differences


@pytest.mark.parametrize("number", range(len(examples())))
def test_a_question_has_duckdbs_answer(number: int, demo_sessions: tuple[Session, Session]) -> None:
    answers = []
    for session in demo_sessions:
        with session.ask(examples()[number].query) as relation:
            answers.append(relation.to_arrow_table())
    assert differences(*answers) == []


def test_there_are_twenty_questions() -> None:
    assert len(examples()) >= 20


# What a query may be made of, each on both engines: names, types and values of all columns.
_RANKED = "row_number() over (partition by model order by label) as place"
QUERIES = {
    "aggregates": "select model, count(*), count(distinct layer), min(label), max(head), "
    "sum(layer) as total, avg(head) from heads group by all order by model",
    "doubles": "select sum(value) as a, avg(value) as b, median(value) as c, "
    "quantile_cont(value, 0.95) as d, var_pop(value) as e, var_samp(value) as f, "
    "stddev_pop(value) as g, stddev(value) as h from head_scores where n_units > 0",
    "of none": "select sum(value), avg(value), median(value), count(*), max(layer), "
    "bool_or(value > 1) as j, bool_and(value > 1) as k from head_scores where layer > 99",
    "best": "select model, arg_max(layer, value) as a, arg_min(head, value) as b, "
    "arg_max(case when layer > 2 then layer end, value) as c from head_scores "
    "where score = 'entropy' group by model order by model",
    "filter": "select model, count(*) filter (where layer > 2) as n from heads group by model "
    "having count(*) > 1 order by 1",
    "windows": f"select model, label, {_RANKED}, rank() over (order by layer) as r, "
    "dense_rank() over (order by layer) as d, lag(head) over (partition by model order by head_id) "
    "as before, lead(head, 2) over (order by head_id) as after, first_value(head) over "
    "(partition by model order by head_id) as first, last_value(head) over (partition by model "
    "order by head_id rows between current row and unbounded following) as last, "
    "sum(layer) over (order by head_id rows between 1 preceding and current row) as two "
    "from heads order by head_id",
    "nulls in order": "select prompt_id, step_index from tokens order by step_index, prompt_id, "
    "position limit 40",
    "nulls last": "select step_index, prompt_id from tokens order by step_index desc, prompt_id, "
    "position limit 3",
    "nulls in windows": "select position, rank() over (order by step_index, position) as r "
    "from tokens where prompt_id = 0 order by position",
    "numbers": "select head, -head as a, head + 1 as b, head * 2e0 as c, head / 3 as d, "
    "(head + 7) // 3 as e, (head + 7) % 3 as f, abs(head - 4) as g, 7 / 2 as h from heads "
    "where model = 'adhd' and layer = 0 order by head",
    "functions": "select value, sqrt(value) as a, ln(value) as b, exp(value) as c, "
    "power(value, 2) as d, floor(value * 10) as e, ceil(value * 10) as f, round(value) as g, "
    "least(value, 0.5e0) as i, greatest(value, null) as j, coalesce(low, -1e0) as k, "
    "nullif(n_units, 12) as m from head_scores where layer = 0 order by model, head, score",
    "edges": "select ln(0e0 * head) as a, ln(head - 99e0) as b, exp(1e3 + head) as c, "
    "round(-2.5e0 - head) as d, head / nullif(0, 0) as e from heads where head_id = 0",
    "ties of rounding": "select number, round(number / 1e3 + 0.0005e0, 3) as a, "
    "round(number / 8e0, 2) as b, round(number, 2) as c, round(number / 1e9, 9) as d from numbers "
    "order by number",
    "casts": "select round(value * 10)::integer as a, floor(value)::bigint as b, layer::double "
    "as c, label || ' of ' || model || layer as d, layer::varchar as e, null::double as f, "
    "'12'::integer as g, (value > 0.1)::integer as h from head_scores inner join heads "
    "using (model, layer, head) where score = 'entropy' order by label, model",
    "conditions": "select label from heads where (layer between 1 and 2 or head in (0, 5)) and not "
    "label like 'L1%' and model <> 'adhd' and label is not null and layer is distinct from 3 "
    "and exists (select 1 from models where models.model = heads.model) order by head_id",
    "case": "select label, case when layer < 2 then 'low' when layer < 4 then 'middle' else 'high' "
    "end as depth, case head when 0 then 1 end as is_first from heads order by head_id",
    "text": "select token, length(token) as n, substr(token, 2) as rest, substr(token, 1, 3) as "
    "start, regexp_extract(token, '[a-z]+', 0) as word, regexp_extract(token, '([a-z])$', 1) as "
    "letter, regexp_matches(token, '^[A-Z]') as is_upper from tokens "
    "where prompt_id < 3 order by prompt_id, position",
    "joins": "select h.label, p.model_b, m.value from heads as h inner join pairs as p on "
    "p.model_a = h.model left join matches as m on m.model_a = h.model and m.layer_a = h.layer "
    "and m.head_a = h.head and m.model_b = p.model_b and m.value > 0.05e0 "
    "order by h.head_id, p.model_b",
    "sets": "select model from heads union select tokenizer from models except "
    "select model from models where model = 'adhd' order by 1",
    "with": "with a as (select * from heads where layer = 0), b as (select model, count(*) as n "
    "from a group by model) select a.label, b.n from a inner join b using (model) "
    "where a.head_id = (select min(head_id) from heads) order by a.label",
    "values": "select * from (values (1, 'a'), (2, 'b')) as t (number, letter) order by number",
    "names of columns": 'select layer + 1, count(*), max(head) as "a ""b" from heads '
    "group by layer order by layer",
    "the same name twice": "select layer, layer from heads where head_id < 3 order by head_id",
    "qualify": "select model, -layer as layer, head from heads qualify row_number() over "
    "(partition by model order by layer desc, head) <= 2 order by model, head, layer limit 5",
    "offset": "select distinct layer from heads order by layer limit 2 offset 3",
}


@pytest.mark.parametrize("what", QUERIES)
def test_what_is_run_gives_what_duckdb_gives(
    what: str, demo_sessions: tuple[Session, Session]
) -> None:
    answers = []
    for session in demo_sessions:
        with session.ask(QUERIES[what]) as relation:
            answers.append(relation.to_arrow_table())
    assert differences(*answers) == []
    assert len(answers[0]) > 0
