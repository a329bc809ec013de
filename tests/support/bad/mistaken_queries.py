"""Queries that a newcomer gets wrong, each with the whole message that answers it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """A command, its exit code, and all that it prints on stderr.

    In the message `T s` stands for a time. The dataset is `demo/dataset`, with the models standard
    and adhd of 2 layers of 3 heads.
    """

    words: tuple[str, ...]
    code: int
    message: str


def _sql(query: str, *options: str) -> tuple[str, ...]:
    return ("sql", "demo/dataset", query, *options)


QUERIES = {
    "query without quotes": Mistake(
        ("sql", "demo/dataset", "select", "layer", "from", "heads"),
        2,
        "headswap: got unexpected words: layer from heads\nHint: write the query in quotes\n",
    ),
    "misspelt option": Mistake(
        _sql("select 1", "--row=3"),
        2,
        "headswap: no such option '--row'\n"
        "Hint: did you mean --rows? `headswap sql --help` explains the usage\n",
    ),
    "misspelt choice": Mistake(
        _sql("select 1", "--format", "jsn"),
        2,
        "headswap: invalid value for '--format': 'jsn' is not one of 'table', 'csv', 'json', "
        "'parquet'\n"
        "Hint: did you mean json? `headswap sql --help` explains the usage\n",
    ),
    "misspelt relation": Mistake(
        _sql("select * from profile"),
        2,
        "headswap: there is no relation 'profile' (at select * from profile)\n"
        "Hint: did you mean profiles? `headswap views` lists the relations\n",
    ),
    "misspelt column": Mistake(
        _sql("select lable from heads"),
        2,
        "headswap: there is no column 'lable' in heads (at select lable from heads)\n"
        "Hint: did you mean label? `headswap views heads` lists the columns\n",
    ),
    "column of another relation": Mistake(
        _sql("select p_family from heads"),
        2,
        "headswap: there is no column 'p_family' in heads (at select p_family from heads)\n"
        "Hint: there is one in claims, match_statistics, match_tests, same_index_tests, "
        "verdicts, functional_match\n",
    ),
    "misspelt column of an alias": Mistake(
        _sql("select h.lable from heads as h"),
        2,
        "headswap: there is no column 'lable' in heads (at select h.lable from heads as h)\n"
        "Hint: did you mean label? `headswap views heads` lists the columns\n",
    ),
    "double quotes": Mistake(
        _sql('select * from heads where model = "standard"'),
        2,
        "headswap: there is no column 'standard' in heads (at select * from heads where model "
        '= "standard")\n'
        "Hint: double quotes name a column, a text stands in single quotes: 'standard'\n",
    ),
    "no quotes": Mistake(
        _sql("select * from heads where label = L1H2"),
        2,
        "headswap: there is no column 'L1H2' in heads (at select * from heads where label = "
        "L1H2)\n"
        "Hint: a bare word names a column, a text stands in single quotes: 'L1H2'\n",
    ),
    "curly quotes": Mistake(
        _sql("select * from heads where model = ‘standard’"),
        2,
        "headswap: there is no column '‘standard’' in heads (at select * from heads where "
        "model = ‘standard’)\n"
        "Hint: a bare word names a column, a text stands in single quotes: 'standard'\n",
    ),
    "text that is not closed": Mistake(
        _sql("select * from heads where model = 'standard"),
        2,
        "headswap: the query failed: unterminated string literal (at select * from heads where "
        "model = 'standard)\n"
        "Hint: a text ends with a second single quote\n",
    ),
    "head's name for its number": Mistake(
        _sql("select * from heads where head = 'L1H2'"),
        2,
        "headswap: the query failed: 'L1H2' is no number (at select * from heads where head = "
        "'L1H2')\n"
        "Hint: layers and heads are numbers: layer = 1 and head = 2; the view heads has names: "
        "label = 'L1H2'\n",
    ),
    "model that there is not": Mistake(
        _sql("select * from heads where model = 'standrd'"),
        0,
        "0 rows in T s\n"
        "there is no model 'standrd': did you mean standard? there are standard, adhd\n",
    ),
    "head that there is not": Mistake(
        _sql("select * from heads where label = 'L9H9'"),
        0,
        "0 rows in T s\n"
        "no row of heads has label = L9H9: there are L0H0, L0H1, L0H2, L1H0, L1H1, L1H2\n",
    ),
    "layer that there is not": Mistake(
        _sql("select * from heads where layer = 9"),
        0,
        "0 rows in T s\nno row of heads has layer = 9: they go from 0 to 1\n",
    ),
    "score that there is not": Mistake(
        _sql("select * from head_scores where score = 'inducton'"),
        0,
        "0 rows in T s\n"
        "no row of head_scores has score = inducton: did you mean induction? there are "
        "current_token, distance, duplicate_token, entropy, first_token, first_token_again, "
        "induction, marker, own_step, previous_step, previous_token, step and 2 more\n",
    ),
    "equal to null": Mistake(
        _sql("select * from models where revision = null"),
        0,
        "0 rows in T s\nnothing equals null: write revision is null\n",
    ),
    "misspelt select": Mistake(
        _sql("selct * from heads"),
        2,
        'headswap: the query failed: syntax error at or near "selct" (at selct * from '
        "heads)\n"
        "Hint: did you mean select?\n",
    ),
    "misspelt from": Mistake(
        _sql("select * form heads"),
        2,
        'headswap: the query failed: syntax error at or near "heads" (at select * form '
        "heads)\n"
        "Hint: did you mean from?\n",
    ),
    "misspelt where": Mistake(
        _sql("select * from heads wher layer = 1"),
        2,
        'headswap: the query failed: syntax error at or near "layer" (at select * from heads '
        "wher layer = 1)\n"
        "Hint: did you mean where?\n",
    ),
    "order without by": Mistake(
        _sql("select * from heads order layer"),
        2,
        'headswap: the query failed: syntax error at or near "layer" (at select * from heads '
        "order layer)\n"
        "Hint: did you mean order by?\n",
    ),
    "limit before order": Mistake(
        _sql("select * from heads limit 5 order by layer"),
        2,
        'headswap: the query failed: syntax error at or near "order" (at select * from heads '
        "limit 5 order by layer)\n"
        "Hint: ORDER BY stands before LIMIT\n",
    ),
    "top": Mistake(
        _sql("select top 5 * from heads"),
        2,
        'headswap: the query failed: syntax error at or near "5" (at select top 5 * from '
        "heads)\n"
        "Hint: there is no TOP; the query ends in LIMIT 5\n",
    ),
    "no group": Mistake(
        _sql("select model, count(*) from heads"),
        2,
        'headswap: the query failed: column "model" must appear in the GROUP BY clause (at '
        "select model, count(*) from heads)\n"
        "Hint: GROUP BY ALL groups by whatever is not aggregated\n",
    ),
    "misspelt function": Mistake(
        _sql("select avgg(layer) from heads"),
        2,
        "headswap: the query failed: Scalar Function with name avgg does not exist! (at select "
        "avgg(layer) from heads)\n"
        "Hint: did you mean avg?\n",
    ),
    "a name alone": Mistake(
        _sql("heads"),
        2,
        'headswap: the query failed: syntax error at or near "heads" (at heads)\n'
        'Hint: a query is a SELECT: "select * from heads"\n',
    ),
    "two queries": Mistake(
        _sql("select 1; select 2"),
        2,
        "headswap: 2 statements instead of one query\n"
        'Hint: give one query, for example "select * from swap_claims"\n',
    ),
    "statement that writes": Mistake(
        _sql("delete from heads"),
        2,
        "headswap: a DELETE statement does not only read\n"
        "Hint: a dataset is read with SELECT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN\n",
    ),
    "ending of a spreadsheet": Mistake(
        _sql("select * from heads", "-o", "heads.xlsx"),
        2,
        "headswap: the name heads.xlsx does not say what to write\n"
        "Hint: end it in one of .csv (CSV), .json (JSON), .parquet (Parquet), .txt (a table of "
        "text), or choose with --format\n",
    ),
    "ending and format that differ": Mistake(
        _sql("select * from heads", "-o", "heads.parquet", "--format", "csv"),
        2,
        "headswap: heads.parquet is the name of Parquet, but CSV is asked for\n"
        "Hint: leave --format and --json out, or end the name in one of .csv (CSV), .json "
        "(JSON), .parquet (Parquet), .txt (a table of text)\n",
    ),
    "reference of a misspelt model": Mistake(
        _sql("select 1", "--reference", "standrd:L1H2"),
        2,
        "headswap: demo/dataset has no model 'standrd'\n"
        "Hint: did you mean standard? it has standard, adhd\n",
    ),
    "head the other way round": Mistake(
        _sql("select 1", "--reference", "H2L1"),
        2,
        "headswap: 'H2L1' names no head\nHint: did you mean L1H2?\n",
    ),
    "head that the model lacks": Mistake(
        _sql("select 1", "--reference", "L9H2"),
        2,
        "headswap: model 'standard' has no head L9H2\n"
        "Hint: it has the layers 0 to 1 and the heads 0 to 2\n",
    ),
    "pair with a comma": Mistake(
        _sql("select 1", "--pair", "standard,adhd"),
        2,
        "headswap: 'standard,adhd' names no two models\nHint: write them as in standard:adhd\n",
    ),
    "misspelt similarity": Mistake(
        _sql("select 1", "--similarity", "profle"),
        2,
        "headswap: there is no similarity 'profle'\n"
        "Hint: did you mean profile? there are content, profile_whitened, profile, "
        "profile_centred, profile_no_sink, profile_no_sink_centred\n",
    ),
}
