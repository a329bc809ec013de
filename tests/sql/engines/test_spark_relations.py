"""Every relation on a Spark cluster of processes equals DuckDB's: columns, types and values."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import headswap
from sql.graph.catalog import relations, with_ancestors
from sql.parameters import Parameters
from sql.session import Session
from tests.benchmarks.queries import drawn_dataset
from tests.support.engines import differences, rows_of
from tests.support.running import REFERENCE
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


def _compared(sessions: tuple[Session, Session], names: list[str]) -> dict[str, list[str]]:
    """The relations that differ, with what they differ in."""
    found = {}
    for name in names:
        relation = relations()[name]
        lines = differences(*(rows_of(session, relation) for session in sessions))
        if lines:
            found[name] = lines
    return found


def _there(dataset_session: Session) -> list[str]:
    """The relations whose stored tables a dataset has."""
    absent = set(dataset_session.dataset.manifest.absent_tables())
    return [name for name in relations() if not absent & set(with_ancestors(name))]


def test_every_relation_of_the_demo_is_duckdbs(
    demo_sessions: tuple[Session, Session],
) -> None:
    names = _there(demo_sessions[0])
    assert {"swap_claims", "migration_map", "group_comparison", "claims"} <= set(names)
    assert _compared(demo_sessions, names) == {}


@pytest.mark.slow
def test_what_is_told_of_effects_is_duckdbs(reference_dataset: Path, both) -> None:
    with both(reference_dataset, Parameters()) as sessions:
        assert _there(sessions[0]) == list(relations())
        names = [name for name, relation in relations().items() if relation.subject == "effects"]
        stored = [name for name, relation in relations().items() if relation.kind == "stored"]
        assert len(names) >= 7
        assert _compared(sessions, [*stored, *names]) == {}


# The relations that say something else of such datasets, and all that they rest on.
_TOLD = ("row_checks", "head_scores", "similarity_ranking", "swap_claims", "verdicts")


@pytest.mark.slow
def test_one_model_without_structural_tokens_in_other_bins_is_duckdbs(both, tmp_path: Path) -> None:
    dataset = write_synthetic_dataset(
        tmp_path / "dataset", [SyntheticModel("standard")], has_structural=False
    )
    asked = Parameters(bins=7, variant="all")
    with both(dataset, asked) as sessions:
        assert _compared(sessions, [*_TOLD, "profiles"]) == {}
        assert sessions[1].rows("select count(distinct bin) as n from profiles") == [{"n": 7}]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("models", "has_structural", "asked"),
    [
        pytest.param([SyntheticModel("standard")], True, Parameters(), id="one model"),
        pytest.param(
            [SyntheticModel("standard"), SyntheticModel("adhd", seed=1)],
            False,
            Parameters(),
            id="no structural token",
        ),
        pytest.param(
            [SyntheticModel("standard"), SyntheticModel("adhd", n_heads=4, blind=(1,))],
            True,
            Parameters(bins=49),
            id="other bins, another shape, a head without a profile",
        ),
        pytest.param(
            [SyntheticModel(f"seed-{seed}", seed=seed) for seed in range(4)],
            True,
            Parameters(groups=(("a", ("seed-0", "seed-1")), ("b", ("seed-2", "seed-3")))),
            id="groups",
        ),
        pytest.param(
            [
                SyntheticModel(f"step-{step}", source=f"org/run@step{step}", noise=step / 1e4)
                for step in (0, 100, 1000)
            ],
            True,
            Parameters(),
            id="checkpoints",
        ),
    ],
)
def test_every_relation_of_other_datasets_is_duckdbs(
    models, has_structural, asked, both, tmp_path: Path
) -> None:
    dataset = write_synthetic_dataset(tmp_path / "dataset", models, has_structural=has_structural)
    with both(dataset, asked) as sessions:
        names = _there(sessions[0])
        assert _compared(sessions, names) == {}
        assert bool(sessions[1].rows("select * from group_comparison")) == bool(asked.groups)


@pytest.mark.slow
def test_every_relation_of_an_encoder_is_duckdbs(both, tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    dataset, source = tmp_path / "dataset", tmp_path / "encoder"
    sizes = {"vocab_size": 325, "hidden_size": 32, "num_hidden_layers": 2, "pad_token_id": 0}
    config = BertConfig(**sizes, num_attention_heads=4, intermediate_size=48)
    BertForMaskedLM(config).eval().save_pretrained(source)
    shutil.copy(REFERENCE / "standard" / "tokenizer.json", source)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("A cup of tea, please.\nAnother one?\n")
    words = ["--model", f"a={source}", "--model", f"b=untrained:7:{source}"]
    assert headswap.main(["ingest", *words, f"--prompts={prompts}", f"--out={dataset}"]) == 0
    with both(dataset, Parameters()) as sessions:
        assert sessions[1].rows("select distinct is_causal from models") == [{"is_causal": False}]
        assert _compared(sessions, _there(sessions[0])) == {}


@pytest.mark.slow
def test_eight_million_rows_give_what_duckdb_gives(both, tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "dataset", 8_200_000)
    names = [
        *with_ancestors("swap_claims"),
        *(with_ancestors("whitened_similarities")),
        "row_checks",
    ]
    with both(dataset, Parameters()) as sessions:
        (rows,) = sessions[1].rows("select count(*) as n from attention")
        assert rows["n"] >= 8_000_000
        assert _compared(sessions, list(dict.fromkeys(names))) == {}
