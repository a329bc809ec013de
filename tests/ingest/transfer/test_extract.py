"""A part of a dataset: it verifies, says of what it is a part, and merges into the whole again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from ingest.dataset.relations import STORED_TABLES
from ingest.transfer.combine.merge import merge
from sql.graph.export import write_views
from sql.session import open_session
from tests.support.interrupted import content
from tests.support.running import Run
from tests.support.transfer.shards import (
    EFFECTS,
    NORMS,
    TASKS,
    A,
    B,
    assert_equal_rows,
    problems,
    with_rows,
    write_shard,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = write_shard(tmp_path_factory.mktemp("extract") / "whole", [A, B], TASKS)
    write_views(dataset)
    return dataset


def rows_of(dataset: Path, where: str) -> int:
    with open_session(dataset) as session:
        found: int = session.rows(f"select count(*) as n from attention where {where}")[0]["n"]
    return found


@pytest.mark.parametrize(
    ("options", "kept", "left_out"),
    [
        (["--models", "b"], "model = 'b'", ["models: a"]),
        (["--prompts", "0,2,5-6"], "prompt_id in (0, 2, 5, 6)", ["prompts: 4 of 8"]),
        (["--pairs", "1,7"], "prompt_id in (1, 7)", ["prompts: 6 of 8"]),
        (["--pairs", "1,7", "--prompts", "2-7"], "prompt_id = 7", ["prompts: 7 of 8"]),
        (["--layers", "1"], "layer = 1", ["layers: a: L0, b: L0"]),
        (
            ["--models", "a", "--prompts", "3", "--layers", "0"],
            "model = 'a' and prompt_id = 3 and layer = 0",
            ["models: b", "prompts: 7 of 8", "layers: a: L1"],
        ),
    ],
    ids=" ".join,
)
def test_an_extract_holds_what_was_asked_for_and_verifies(
    options: list[str], kept: str, left_out: list[str], whole: Path, run: Run, tmp_path: Path
) -> None:
    before = content(whole)
    outcome = run("extract", whole, *options, "--out", tmp_path / "part", "--json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert said["left_out"] == left_out
    manifest = read_manifest(tmp_path / "part")
    assert manifest.part_of is not None
    assert manifest.part_of.sha256 == read_manifest(whole).sha256()
    assert manifest.prompts_sha256 != read_manifest(whole).prompts_sha256 or said["prompts"] == 8
    card = (tmp_path / "part" / "README.md").read_text()
    assert f"Left out: {'; '.join(left_out)}." in " ".join(card.split())
    assert said["rows"]["attention"] == rows_of(whole, kept) == rows_of(tmp_path / "part", "true")
    assert run("verify", tmp_path / "part").code == 0
    assert {path: text for path, text in content(whole).items() if path in before} == before


def test_parts_merge_into_the_whole_again(whole: Path, run: Run, tmp_path: Path) -> None:
    parts = [
        tmp_path / f"{model}-{prompts}" for model in ("a", "b") for prompts in ("0,3-4", "1-2,5-7")
    ]
    for part in parts:
        model, prompts = part.name.split("-", 1)
        words = ["--models", model, "--prompts", prompts]
        assert run("extract", whole, *words, "--out", part).code == 0
    done = merge(parts, tmp_path / "merged")
    assert done.n_renumbered == 0
    assert_equal_rows(whole, tmp_path / "merged")
    assert problems(tmp_path / "merged") == []


def test_layers_that_are_left_out_have_no_heads(whole: Path, run: Run, tmp_path: Path) -> None:
    part = tmp_path / "part"
    assert run("extract", whole, "--layers", "1", "--out", part).code == 0
    with open_session(part) as session, open_session(whole) as full:
        heads = session.rows("select model, layer, head from heads order by all")
        assert [(row["layer"], row["head"]) for row in heads] == [(1, h) for h in (0, 1, 2)] * 2
        query = "select model, layer, head, bin, mass from profiles where layer = 1 order by all"
        assert session.rows(query) == full.rows(query)
        assert session.rows("select count(*) as n from profiles")[0]["n"] == 6 * 20
        tests = session.rows("select * from match_tests order by all")
        assert {row["layer_b"] for row in tests} == {1}
    again = run("extract", part, "--models", "a", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert read_manifest(tmp_path / "again").models[0].layers == (1,)
    assert run("verify", tmp_path / "again").code == 0
    outcome = run("extract", part, "--layers", "0", "--out", tmp_path / "none")
    assert outcome.code == 2
    assert "has no layer 0" in outcome.err
    outcome = run("sql", part, "select 1", "--reference", "L0H0")
    assert outcome.code == 2
    assert "layer 0 of model 'a' is not stored" in outcome.err


def test_declared_tables_are_extracted(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in (EFFECTS, NORMS):
        monkeypatch.setitem(STORED_TABLES, table.name, table)
    whole = write_shard(tmp_path / "whole", [A, B], TASKS)
    with_rows(with_rows(whole, EFFECTS), NORMS)
    words = ["--models", "b", "--prompts", "2", "--layers", "1"]
    outcome = run("extract", whole, *words, "--out", tmp_path / "part")
    assert outcome.code == 0, outcome.err
    part = open_dataset(tmp_path / "part")
    effects, norms = (part.read_table(table.name).to_pylist() for table in (EFFECTS, NORMS))
    assert [(row["model"], row["layer"], row["prompt_id"]) for row in effects] == [("b", 1, 2)] * 3
    assert [(row["model"], row["layer"], row["head"]) for row in norms] == [
        ("b", 1, head) for head in (0, 1, 2)
    ]
    assert run("verify", tmp_path / "part").code == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "nothing is left out"),
        (["--models", "a,b"], "nothing is left out"),
        (["--layers", "0-1", "--prompts", "0-7"], "nothing is left out"),
        (["--models", "x"], "has no model 'x'"),
        (["--models", ""], "has no model ''"),
        (["--prompts", "8"], "has no prompt 8"),
        (["--prompts", "x"], "'x' is neither a number nor a range"),
        (["--prompts", "3-1"], "'3-1' is neither a number nor a range"),
        (["--prompts", "0-999999999"], "neither a number nor a range"),
        (["--prompts", "1,,2"], "'' is neither a number nor a range"),
        (["--pairs", "9"], "has no pair '9'"),
        (["--layers", "2"], "has no layer 2"),
        (["--layers", "-1"], "'-1' is neither a number nor a range"),
        (["--pairs", "1", "--prompts", "2"], "no prompt is chosen by both"),
    ],
    ids=str,
)
def test_what_cannot_be_extracted(
    options: list[str], reason: str, whole: Path, run: Run, tmp_path: Path
) -> None:
    outcome = run("extract", whole, *options, "--out", tmp_path / "part")
    assert (outcome.code, outcome.out) == (2, "")
    assert reason in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_dataset_is_not_extracted(run: Run, tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "whole", [A, B], TASKS)
    path = whole / read_manifest(whole).tables["attention"][0].path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    for words in (["--models", "a"], ["--prompts", "1"]):
        outcome = run("extract", whole, *words, "--out", tmp_path / "part")
        assert outcome.code == 2
        assert "is damaged" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize("model", ["standard", "adhd"])
def test_each_model_of_an_ingest_can_be_taken_out(
    model: str, reference_dataset: Path, run: Run, tmp_path: Path
) -> None:
    """Whose files of small tables are one a model, with every optional table beside them."""
    out = tmp_path / "part"
    outcome = run("extract", reference_dataset, "--models", model, "--out", out)
    assert outcome.code == 0, outcome.err
    assert run("verify", out).code == 0
    part, whole = open_dataset(out), open_dataset(reference_dataset)
    assert [row["model"] for row in part.read_table("models").to_pylist()] == [model]
    for table in whole.manifest.tables:
        if STORED_TABLES[table].split == "model":
            assert part.manifest.rows_of(table) == whole.manifest.rows_of(table, model)
