"""Shards of a study merge into the dataset made in one go; what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from ingest.dataset.relations import STORED_TABLES, Merge
from ingest.dataset.writer import file_entry, write_table
from ingest.prompts.prompt_set import read_prompts
from ingest.transfer.combine.merge import merge
from ingest.transfer.combine.rows import Renumbering
from tests.support.interrupted import content
from tests.support.running import REFERENCE, Run
from tests.support.synthetic import SyntheticModel
from tests.support.transfer.shards import (
    EFFECTS,
    NORMS,
    TASKS,
    A,
    B,
    C,
    D,
    assert_equal_rows,
    problems,
    with_rows,
    write_shard,
)

# --- shards that fit ------------------------------------------------------------------------


def test_8_shards_of_an_ingest_are_the_ingest_in_one_go(run: Run, tmp_path: Path) -> None:
    """2 models x 4 groups of prompts, each shard ingested by itself."""
    records = [json.dumps(task) for task in _records()]
    models = {name: f"{name}={REFERENCE / name}" for name in ("standard", "adhd")}

    def ingest(out: str, lines: Sequence[str], *names: str) -> Path:
        prompts = tmp_path / f"{out}.jsonl"
        prompts.write_text("\n".join(lines))
        words = [word for name in names for word in ("--model", models[name])]
        assert run("ingest", *words, "--prompts", prompts, "--out", tmp_path / out).code == 0
        return tmp_path / out

    one = ingest("one", records, *models)
    shards = [
        ingest(f"{model}-{group}", records[group * 2 : group * 2 + 2], model)
        for model in models
        for group in range(4)
    ]
    before = content(tmp_path)
    outcome = run("merge", *shards, "--out", tmp_path / "merged", "--json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert (said["models"], said["prompts"], said["renumbered"]) == (list(models), 8, 6)
    after = content(tmp_path)
    assert {path: after[path] for path in before} == before
    assert run("verify", tmp_path / "merged").code == 0
    # These bundles' weights make much of the last bits, which other batches round otherwise.
    assert_equal_rows(one, tmp_path / "merged", tolerance=1e-5)
    merged = read_manifest(tmp_path / "merged")
    assert merged.prompts_sha256 == read_prompts(tmp_path / "one.jsonl").sha256
    assert merged.prompts_sha256 == read_manifest(one).prompts_sha256


def _records() -> list[dict[str, Any]]:
    return [
        {"pair_id": number, "variant": "standard", "task": task, "steps": steps}
        for number, (task, steps) in enumerate(TASKS)
    ]


@pytest.mark.parametrize(
    ("n_models", "n_prompts"),
    [(1, 8), (4, 2), (2, 2), (1, 4)],
    ids=["4 by models", "4 by prompts", "2 by models, 4 by prompts", "4 by models, 2 by prompts"],
)
def test_shards_by_models_and_prompts(n_models: int, n_prompts: int, tmp_path: Path) -> None:
    models = [A, B, C, D]
    one = write_shard(tmp_path / "one", models, TASKS)
    shards = [
        write_shard(
            tmp_path / f"shard-{first}-{start}",
            models[first : first + n_models],
            TASKS[start : start + n_prompts],
        )
        for first in range(0, 4, n_models)
        for start in range(0, 8, n_prompts)
    ]
    merge(shards, tmp_path / "merged")
    assert_equal_rows(one, tmp_path / "merged")
    assert problems(tmp_path / "merged") == []


def test_prompts_in_another_order_are_the_same_prompts(tmp_path: Path) -> None:
    """The ids of the first dataset hold, and rows are put in their order."""
    one = write_shard(tmp_path / "one", [A, B], TASKS)
    first = write_shard(tmp_path / "first", [A], TASKS)
    second = write_shard(tmp_path / "second", [B], TASKS[::-1])
    done = merge([first, second], tmp_path / "merged")
    assert done.n_renumbered == 8
    assert_equal_rows(one, tmp_path / "merged")
    assert problems(tmp_path / "merged") == []


def test_a_renumbering_takes_each_id_to_its_own() -> None:
    columns = {name: [0, 0, 0] for name in ("query", "key", "weight", "layer", "head")}
    rows = pa.table({"model": ["a"] * 3, **columns, "prompt_id": pa.array([1, 4, 7], pa.int32())})
    table = STORED_TABLES["attention"]
    found = Renumbering({1: 8, 4: 4, 7: 2}).apply(table, rows)
    assert found["prompt_id"].to_pylist() == [2, 4, 8]
    assert not Renumbering({1: 1, 4: 4}).is_needed


def test_half_precision_stays_half_precision(run: Run, tmp_path: Path) -> None:
    for name, task in (("one", TASKS[0]), ("two", TASKS[1])):
        record = {"pair_id": name, "variant": "standard", "task": task[0], "steps": task[1]}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(record))
        words = ["--precision", "float16", "--prompts", tmp_path / f"{name}.jsonl"]
        source = f"a={REFERENCE / 'standard'}"
        assert run("ingest", "--model", source, *words, "--out", tmp_path / name).code == 0
    assert run("merge", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "m").code == 0
    assert run("verify", tmp_path / "m").code == 0
    (_, second) = open_dataset(tmp_path / "m").table_files("attention")
    assert pq.read_schema(second).field("weight").type == pa.float16()


# --- declared tables ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["distinct", "append"])
def test_a_declared_table_is_merged_without_new_code(
    kind: Merge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = replace(EFFECTS, merge=kind)
    monkeypatch.setitem(STORED_TABLES, table.name, table)
    one = with_rows(write_shard(tmp_path / "one", [A, B], TASKS), table)
    shards = [
        with_rows(
            write_shard(tmp_path / f"{model.name}{start}", [model], TASKS[start:end]),
            table,
        )
        for model in (A, B)
        for start, end in ((0, 3), (3, 8))
    ]
    merge(shards, tmp_path / "merged")
    assert_equal_rows(one, tmp_path / "merged")
    assert problems(tmp_path / "merged") == []


def test_rows_that_rest_on_no_prompt_stand_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STORED_TABLES, NORMS.name, NORMS)
    one = with_rows(write_shard(tmp_path / "one", [A], TASKS), NORMS)
    halves = [
        with_rows(write_shard(tmp_path / name, [A], tasks), NORMS)
        for name, tasks in (("first", TASKS[:4]), ("second", TASKS[4:]))
    ]
    merge(halves, tmp_path / "merged")
    assert_equal_rows(one, tmp_path / "merged")


def test_a_table_that_only_one_model_has_is_counted_as_absent(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STORED_TABLES, EFFECTS.name, EFFECTS)
    first = with_rows(write_shard(tmp_path / "first", [A]), EFFECTS)
    second = write_shard(tmp_path / "second", [B])
    outcome = run("merge", first, second, "--out", tmp_path / "merged")
    assert outcome.code == 0
    assert "toy_effects: no dataset has rows of 'b'" in outcome.err
    assert problems(tmp_path / "merged") == []


# --- what does not fit ----------------------------------------------------------------------


def _manifest(**changes: Any) -> Callable[[Path], object]:
    return lambda path: commit(path, replace(read_manifest(path), **changes))


def _model(**changes: Any) -> Callable[[Path], object]:
    def edit(path: Path) -> None:
        first, *others = read_manifest(path).models
        _manifest(models=(replace(first, **changes), *others))(path)

    return edit


def _rows(name: str, column: str, value: Any) -> Callable[[Path], object]:
    """Another value in the first row of a table, and a manifest that agrees."""

    def edit(path: Path) -> None:
        manifest = read_manifest(path)
        (entry,) = manifest.tables[name]
        rows = pq.read_table(path / entry.path).to_pylist()
        rows[0][column] = value
        made = write_table(path, entry.path, name, rows, entry.owner)
        commit(path, replace(manifest, tables=manifest.tables | {name: (made,)}))

    return edit


def _byte(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def edit(path: Path) -> None:
        file = path / open_dataset(path).manifest.files_of(name)[0].path
        file.write_bytes(change(file.read_bytes()))

    return edit


def _json(text: str) -> Callable[[Path], object]:
    return lambda path: (path / "manifest.json").write_text(text)


def _older(path: Path) -> None:
    found = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(found | {"format_version": 2}))


def _flip(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


FIRST, LAST = TASKS[:4], TASKS[4:]
NOTHING: Callable[[Path], object] = bool
# What the second dataset holds (the first: model a on FIRST), a change to it, and the reason.
MISFITS: dict[str, tuple[Sequence[SyntheticModel], Any, Callable[[Path], object], str]] = {
    "other weights": ([A], LAST, _model(weights_sha256="3" * 64), "'a' has the weights_sha256"),
    "other dtype": ([A], LAST, _model(dtype="float16"), "the dtype 'float32' and 'float16'"),
    "other precision": ([A], LAST, _model(precision="float16"), "the precision 'float32' and"),
    "other revision": ([A], LAST, _model(revision="abc"), "the revision None and 'abc'"),
    "other device": ([A], LAST, _model(device="cuda"), "the device 'cpu' and 'cuda'"),
    "other architecture": ([A], LAST, _model(architecture="X"), "architecture 'Synthetic' and 'X'"),
    "other config": ([A], LAST, _model(config={"theta": 1}), "the config {} and {'theta': 1}"),
    "other code": ([A], LAST, _model(trust_remote_code=True), "trust_remote_code False and True"),
    "other layers": ([A], LAST, _model(layers=(0,)), "the layers None and (0,)"),
    "other tokenizer of a model": (
        [A],
        LAST,
        _model(tokenizer="letters"),
        "the tokenizer 'words' and 'letters'",
    ),
    "one tokenizer name, two tokenizers": (
        [B],
        FIRST,
        _manifest(tokenizers={"words": "4" * 64}),
        "'words' names two tokenizers",
    ),
    "other structural tokens": ([B], FIRST, _manifest(structural="[.]"), "None and '[.]'"),
    "other size": ([A], LAST, _rows("models", "n_heads", 9), "the n_heads 3 and 9 of model a"),
    "tokens cut otherwise": (
        [B],
        FIRST,
        _rows("tokens", "token", "x"),
        "has the token '<|task|>' and 'x' of tokenizer words, prompt_id 0, position 0",
    ),
    "one key, two prompts": (
        [B],
        FIRST,
        _rows("prompts", "task", "Rest"),
        "prompts has the task 'Make tea' and 'Rest' of prompt_id 0",
    ),
    "the same rows twice": (
        [A],
        FIRST,
        NOTHING,
        "both hold 'a' on the same prompts, 4 prompts in all",
    ),
    "prompts that overlap": (
        [A],
        TASKS[3:],
        NOTHING,
        "on the same prompts, 1 prompt in all, the first",
    ),
    "other models on other prompts": ([B], LAST, NOTHING, "no dataset holds 'a' on 4 prompts"),
    "fewer prompts": ([B], TASKS[:3], NOTHING, "no dataset holds 'b' on 1 prompt of"),
    "more prompts": ([B], TASKS[:5], NOTHING, "no dataset holds 'a' on 1 prompt of"),
    "older format": ([B], FIRST, _older, "format version 2 is older"),
    "no manifest": ([B], FIRST, lambda p: (p / "manifest.json").unlink(), "has no manifest.json"),
    "manifest that is no JSON": ([B], FIRST, _json("{"), "cannot be read"),
    "changed manifest": (
        [B],
        FIRST,
        lambda p: _json((p / "manifest.json").read_text().replace("synthetic:", "x:"))(p),
        "not the one that its checksum was taken of",
    ),
    "missing file": ([B], FIRST, lambda p: (p / "tokens.parquet").unlink(), "is missing"),
    "file cut short": ([B], FIRST, _byte("attention", lambda b: b[:-9]), "but the manifest says"),
    "attention with another bit": ([B], FIRST, _byte("attention", _flip), "is damaged"),
    "attention to be renumbered with another bit": (
        [B],
        FIRST[::-1],
        _byte("attention", _flip),
        "is damaged",
    ),
    "tokens with another bit": ([B], FIRST, _byte("tokens", _flip), "is damaged"),
    "prompts with another bit": ([B], FIRST, _byte("prompts", _flip), "is damaged"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_refused_with_the_reason(case: str, run: Run, tmp_path: Path) -> None:
    models, tasks, change, reason = MISFITS[case]
    first = write_shard(tmp_path / "first", [A], FIRST)
    second = write_shard(tmp_path / "second", models, tasks)
    change(second)
    before = content(tmp_path)
    outcome = run("merge", first, second, "--out", tmp_path / "merged")
    assert outcome.code == 2
    assert reason in outcome.err
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) <= 2
    assert content(tmp_path) == before


def test_there_are_20_pairs_that_do_not_fit() -> None:
    assert len(MISFITS) >= 20


def test_a_table_of_some_prompts_of_a_model_is_refused(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STORED_TABLES, EFFECTS.name, EFFECTS)
    first = with_rows(write_shard(tmp_path / "first", [A], FIRST), EFFECTS)
    second = write_shard(tmp_path / "second", [A], LAST)
    outcome = run("merge", second, first, "--out", tmp_path / "merged")
    assert outcome.code == 2
    assert "only the first has rows of 'a' in the table toy_effects" in outcome.err


def test_rows_that_contradict_each_other_are_refused(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STORED_TABLES, NORMS.name, NORMS)
    first = with_rows(write_shard(tmp_path / "first", [A], FIRST), NORMS)
    second = with_rows(write_shard(tmp_path / "second", [A], LAST), NORMS, norm=2.0)
    outcome = run("merge", first, second, "--out", tmp_path / "merged")
    assert outcome.code == 2
    assert "the table toy_norms has the norm None and 2.0 of model a, layer 0, head 0" in (
        outcome.err
    )
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("sources", "out", "reason"),
    [
        (["first"], "merged", "one dataset alone"),
        (["first", "first"], "merged", "is named twice"),
        (["first", "second"], "first", "exists already"),
        (["first", "second"], "second/merged", "is inside the dataset"),
        (["first", "nothing"], "merged", "is not a folder"),
    ],
)
def test_places_that_cannot_be_used(
    sources: list[str], out: str, reason: str, run: Run, tmp_path: Path
) -> None:
    write_shard(tmp_path / "first", [A])
    write_shard(tmp_path / "second", [B])
    before = content(tmp_path)
    outcome = run("merge", *(tmp_path / name for name in sources), "--out", tmp_path / out)
    assert (outcome.code, outcome.out) == (2, "")
    assert reason in outcome.err
    assert content(tmp_path) == before


def test_what_a_killed_merge_left_is_no_hindrance(tmp_path: Path) -> None:
    left = tmp_path / ".merged.partial"
    shutil.copytree(write_shard(tmp_path / "first", [A]), left)
    (left / "attention" / "old").mkdir()
    second = write_shard(tmp_path / "second", [B])
    merge([tmp_path / "first", second], tmp_path / "merged")
    assert problems(tmp_path / "merged") == []
    assert not left.exists()
    assert not (tmp_path / "merged" / "attention" / "old").exists()
    paths = [entry.path for entry in read_manifest(tmp_path / "merged").files()]
    assert file_entry(tmp_path / "merged", paths[0], 0).bytes > 0
