"""Every view against its header, and the numbers against plain numpy on the reference patterns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ingest.prompts.prompt_set import read_prompts
from sql.graph.catalog import relations
from sql.graph.parameter_tables import Extent
from sql.parameters import Parameters
from sql.session import Session, open_session
from tests.support.oracles import profiles as oracle
from tests.support.running import Reference

TOLERANCE = 1e-9
# The reference models are no checkpoints of one run; tests/sql/test_score_trends.py has such.
OF_CHECKPOINTS = ("checkpoints", "score_trends")
PLACES = ("place", "prompt_place", "first_place", "n_positions")


@pytest.fixture(scope="module")
def stored_patterns(
    reference_session: Session, reference: Reference
) -> dict[str, list[np.ndarray]]:
    """The patterns as the dataset holds them, `[layer, head, query, key]` a prompt."""
    patterns = {
        model: [np.zeros_like(pattern) for pattern in theirs]
        for model, theirs in reference.patterns.items()
    }
    for model, ours in patterns.items():
        columns = reference_session.query(
            "select pair_id::integer as pair, layer, head, query, key, weight "
            "from attention inner join prompts using (prompt_id) where model = $model",
            {"model": model},
        ).fetchnumpy()
        for pair, pattern in enumerate(ours):
            mask = columns["pair"] == pair
            cells = tuple(columns[name][mask] for name in ("layer", "head", "query", "key"))
            pattern[cells] = columns["weight"][mask]
    return patterns


@pytest.mark.parametrize("name", relations())
def test_header_equals_describe(name: str, reference_session: Session) -> None:
    described = reference_session.rows(f"describe {name}")
    columns = [(column.name, column.type.upper()) for column in relations()[name].columns]
    found = [(row["column_name"], row["column_type"]) for row in described]
    if name in (
        "places",
        "attention_rows",
        "token_places",
    ):  # 32 bits where all places fit into them
        found = [(column, kind if column not in PLACES else "BIGINT") for column, kind in found]
    assert columns == found


@pytest.mark.parametrize("name", relations())
def test_grain_is_unique(name: str, reference_session: Session) -> None:
    grain = ", ".join(relations()[name].grain)
    found = reference_session.rows(
        f"select count(*) as n, count(distinct ({grain})) as n_distinct from {name}"
    )
    assert found[0]["n"] == found[0]["n_distinct"]
    assert (found[0]["n"] > 0) == (name not in OF_CHECKPOINTS)


def test_structural_mass_equals_oracle(
    reference_session: Session, reference: Reference, stored_patterns: dict[str, list[np.ndarray]]
) -> None:
    rows = reference_session.rows(
        "select model, layer, head, pair_id::integer as pair, query, mass "
        "from structural_mass inner join prompts using (prompt_id)"
    )
    expected = {
        model: [
            pattern[..., is_structural].astype(np.float64).sum(axis=-1)
            for pattern, is_structural in zip(patterns, reference.structural, strict=True)
        ]
        for model, patterns in stored_patterns.items()
    }
    assert len(rows) == sum(mass.size for masses in expected.values() for mass in masses)
    for row in rows:
        mass = expected[row["model"]][row["pair"]][row["layer"], row["head"], row["query"]]
        assert row["mass"] == pytest.approx(mass, abs=TOLERANCE)


def test_profiles_and_cosines_equal_oracle(
    reference_session: Session, reference: Reference, stored_patterns: dict[str, list[np.ndarray]]
) -> None:
    expected = {
        model: oracle.profiles(patterns, reference.structural)
        for model, patterns in stored_patterns.items()
    }
    profiles = reference_session.rows("select * from profiles")
    assert len(profiles) == sum(profile.size for profile in expected.values())
    for row in profiles:
        value = expected[row["model"]][row["layer"], row["head"], row["bin"]]
        assert row["mass"] == pytest.approx(value, abs=TOLERANCE)

    expected_cosines = oracle.cosines(expected)
    cosines = reference_session.rows("select * from similarities where similarity = 'profile'")
    assert len(cosines) == len(expected_cosines)
    for row in cosines:
        head_a = (row["model_a"], row["layer_a"], row["head_a"])
        head_b = (row["model_b"], row["layer_b"], row["head_b"])
        assert row["value"] == pytest.approx(expected_cosines[head_a, head_b], abs=TOLERANCE)


def test_ranking_finds_the_planted_permutation(
    reference_session: Session, reference: Reference
) -> None:
    rows = reference_session.rows(
        "select * from similarity_ranking where similarity = 'profile' and rank = 1 "
        "and model_a = 'adhd' order by layer_a, head_a"
    )
    assert len(rows) == 12
    for row in rows:
        planted = (row["layer_a"], reference.head_permutation[row["layer_a"]][row["head_a"]])
        assert (row["layer_b"], row["head_b"]) == planted
        assert row["value"] == pytest.approx(1, abs=1e-6)
        assert row["is_mutual"]
        assert row["margin"] > 0


def test_ranking_orders_by_value_with_margins(reference_session: Session) -> None:
    rows = reference_session.rows(
        "select * from similarity_ranking where similarity = 'profile' "
        "and model_a = 'standard' and layer_a = 1 and head_a = 2 order by rank"
    )
    values = [row["value"] for row in rows]
    assert [row["rank"] for row in rows] == list(range(1, 13))
    assert values == sorted(values, reverse=True)
    assert rows[0]["margin"] == pytest.approx(values[0] - values[1])
    assert rows[5]["margin"] == pytest.approx(values[5] - values[0])
    same_index = next(row["value"] for row in rows if (row["layer_b"], row["head_b"]) == (1, 2))
    assert {row["same_index_value"] for row in rows} == {same_index}


def test_bins_follow_the_order_of_the_definition(
    reference_dataset: Path, reference: Reference
) -> None:
    """(q / T) * bins and (q * bins) / T part at real prompt lengths; ours is the former.

    At 20 bins the two agree for every prompt of up to 6,000 tokens; at 49 bins and the 49 tokens of
    a reference prompt they do not.
    """
    n_tokens = bins = 49
    assert n_tokens in {len(tokens) for tokens in reference.tokens}
    right = [oracle.bin_of(query, n_tokens, bins) for query in range(n_tokens)]
    wrong = [min(int((query * bins) / n_tokens), bins - 1) for query in range(n_tokens)]
    assert right != wrong
    with open_session(reference_dataset, Parameters(bins=bins)) as session:
        rows = session.rows(
            "select distinct query, bin from positions where n_tokens = $n order by query",
            {"n": n_tokens},
        )
    assert [row["bin"] for row in rows] == right


def test_profiles_count_all_queries_but_the_first(reference_session: Session) -> None:
    found = reference_session.rows(
        "select sum(n_queries) as n from profiles where model = 'adhd' and layer = 0 and head = 0"
    )
    tokens = reference_session.rows("select count(*) - count(distinct prompt_id) as n from tokens")
    assert found == tokens


def test_reference_head_is_chosen_by_late_mass(
    reference_session: Session, reference: Reference, stored_patterns: dict[str, list[np.ndarray]]
) -> None:
    profiles = oracle.profiles(stored_patterns["standard"], reference.structural)
    late = profiles[:, :, 10:].mean(axis=-1)
    layer, head = np.unravel_index(int(late.argmax()), late.shape)
    (row,) = reference_session.rows("select * from reference_head")
    assert (row["layer"], row["head"], row["is_given"]) == (layer, head, False)
    assert row["late_mass"] == pytest.approx(late.max(), abs=TOLERANCE)


def test_shipped_prompts_are_the_twelve_pairs() -> None:
    from ingest.prompts.prompt_set import PAIRED_TASKS

    prompts = read_prompts(PAIRED_TASKS, "all").prompts
    assert len(prompts) == 24
    assert {prompt.variant for prompt in prompts} == {"standard", "adhd"}


def test_every_view_stands_after_those_that_it_reads() -> None:
    order = list(relations())
    for name, relation in relations().items():
        assert all(order.index(source) < order.index(name) for source in relation.reads)


def test_places_beyond_32_bits_give_the_same_profiles(
    reference_dataset: Path, reference_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "select distinct typeof(prompt_place) as kind from attention_rows"
    ask = "select model, layer, head, bin, n_queries, mass from profiles order by all"
    assert reference_session.rows(kind) == [{"kind": "INTEGER"}]
    wide_extent = Extent(prompts=2**20, positions=2**14, layers=3, heads=4)
    monkeypatch.setattr("sql.graph.parameter_tables.extent_of", lambda *_: wide_extent)
    monkeypatch.setattr("sql.graph.kept.KeptRelations.read", lambda *_: None)  # computed anew
    with open_session(reference_dataset) as wide:
        assert wide.rows(kind) == [{"kind": "BIGINT"}]
        found = [tuple(row.values()) for row in wide.rows(ask)]
    expected = [tuple(row.values()) for row in reference_session.rows(ask)]
    assert [row[:-1] for row in found] == [row[:-1] for row in expected]
    assert np.allclose([row[-1] for row in found], [row[-1] for row in expected], atol=TOLERANCE)


def _rows_read(session: Session, sql: str) -> dict[str, int]:
    """What a query read of the attention files: rows, and row groups, as DuckDB counted them."""
    (row,) = session.connection.execute(f"explain (analyze, format json) {sql}").fetchall()
    read = {"rows_scanned": 0, "row_groups_scanned": 0}
    operators = json.loads(row[1])["operator"]
    while operators:
        operator = operators.pop()
        operators += operator.get("children", [])
        if "attention/" in operator["extra_info"].get("Filename(s)", ""):
            for number in read:
                read[number] += operator[number]
    return read


def test_one_head_reads_only_its_row_groups(reference_dataset: Path) -> None:
    with open_session(reference_dataset) as session:
        asked = "attention where model = 'adhd' and layer = 1 and head = 2"
        (expected,) = session.rows(f"select count(*) as rows from {asked}")
        read = _rows_read(session, f"select sum(weight) from {asked}")
        assert read == {"rows_scanned": expected["rows"], "row_groups_scanned": 1}


def test_all_profiles_take_one_pass_over_the_rows(reference_dataset: Path) -> None:
    with open_session(reference_dataset) as session:
        session.rows("select 1 from positions, heads, bins, places, attention_rows limit 0")
        (expected,) = session.rows("select count(*) as rows from attention")
        read = _rows_read(session, relations()["profiles"].definition)
        assert read["rows_scanned"] == expected["rows"]
