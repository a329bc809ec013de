"""`headswap ingest` with real small models: what it stores, adds, skips and prints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from sql.parameters import Parameters
from sql.session import open_session
from tests.support.running import REFERENCE, Run

STANDARD = f"standard={REFERENCE / 'standard'}"


def test_later_model_is_added_and_known_one_skipped(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    assert run("ingest", "--model", STANDARD, "--out", out).code == 0
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    adhd = f"adhd={REFERENCE / 'adhd'}"
    outcome = run("ingest", "--model", STANDARD, "--model", adhd, "--out", out, "--json")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    assert list(report["added"]) == ["adhd"]
    assert list(report["skipped"]) == ["standard"]
    assert before == {path: path.read_bytes() for path in before}
    dataset = open_dataset(out)
    assert dataset.read_table("models")["model"].to_pylist() == ["standard", "adhd"]
    assert len(dataset.manifest.tokenizers) == 1


def test_same_ingest_gives_the_same_bytes(
    run: Run, ingested_reference: Path, tmp_path: Path
) -> None:
    models = [f"--model={name}={REFERENCE / name}" for name in ("standard", "adhd")]
    assert run("ingest", *models, "--out", tmp_path / "again").code == 0
    assert read_manifest(tmp_path / "again") == read_manifest(ingested_reference)


def test_half_precision_rounds_and_takes_half_the_room(
    run: Run, ingested_reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dataset"
    words = ["ingest", "--model", STANDARD, "--out", out]
    assert run(*words, "--precision=float16").code == 0
    query = (
        "select weight from attention where model = 'standard' "
        "order by layer, head, prompt_id, query, key"
    )
    with open_session(ingested_reference) as session, open_session(out) as rounded:
        exact = session.query(query).fetchnumpy()["weight"]
        stored = rounded.query(query).fetchnumpy()["weight"]
        (row,) = rounded.rows("select precision from models")
    assert row == {"precision": "float16"}
    np.testing.assert_array_equal(stored, exact.astype(np.float16).astype(np.float64))
    entries = {
        path: read_manifest(path).files_of("attention")[0] for path in (ingested_reference, out)
    }
    assert entries[out].rows == entries[ingested_reference].rows
    assert entries[out].bytes < 0.6 * entries[ingested_reference].bytes
    assert run("verify", out).code == 0
    outcome = run(*words)
    assert outcome.code == 2
    assert "stored as float16, not in float32, stored as float32" in outcome.err
    path = out / entries[out].path
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    assert run("verify", out, "--repair").code == 0
    assert path.read_bytes() == content


def test_all_variants_are_stored_and_the_views_use_one(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    assert run("ingest", "--model", STANDARD, "--variant", "all", "--out", out).code == 2
    prompts = tmp_path / "prompts.jsonl"
    records = [
        {"pair_id": "tea", "variant": variant, "task": "Make tea", "steps": steps, "mood": 1}
        for variant, steps in (("standard", ["Boil water"]), ("adhd", ["Fill pot", "sip water"]))
    ]
    prompts.write_text("\n".join(json.dumps(record) for record in records))
    arguments = ["--model", STANDARD, "--prompts", prompts, "--variant", "all", "--out", out]
    outcome = run("ingest", *arguments)
    assert outcome.code == 0
    assert "ignored the field 'mood' in 2 records" in outcome.err
    for variant, analysed in ((None, [0]), ("adhd", [1]), ("all", [0, 1])):
        with open_session(out, Parameters(variant=variant)) as session:
            rows = session.rows("select prompt_id from analysed_prompts order by all")
            assert [row["prompt_id"] for row in rows] == analysed


def test_left_out_prompts_and_progress_are_shown(run: Run, tmp_path: Path) -> None:
    outcome = run("ingest", "--model", STANDARD, "--out", tmp_path / "dataset")
    assert "12 prompts of the variant standard; 12 of other variants left out" in outcome.err
    assert "100%" in outcome.err
    assert "rows/s" in outcome.err
    assert outcome.out.splitlines()[0].startswith("standard: ")
    with open_session(tmp_path / "dataset") as session:
        (written,) = session.rows("select count(*) as rows from attention_rows")
    assert f"12 prompts, {written['rows']:,} rows, about " in outcome.err


def test_prompts_alone_and_together_give_the_same_rows(
    run: Run, ingested_reference: Path, tmp_path: Path
) -> None:
    """Padding and batching change nothing beyond rounding."""
    prompts = tmp_path / "one.jsonl"
    prompts.write_text(
        '{"pair_id": 0, "variant": "standard", "task": "Clean the kitchen", "steps": '
        '["Wash dishes", "Wipe counters", "Sweep floor", "Take out trash"]}'
    )
    out = tmp_path / "dataset"
    assert run("ingest", "--model", STANDARD, "--prompts", prompts, "--out", out).code == 0
    query = (
        "select weight from attention where model = 'standard' and prompt_id = 0 "
        "order by layer, head, query, key"
    )
    with open_session(out) as alone, open_session(ingested_reference) as together:
        a, b = (session.query(query).fetchnumpy()["weight"] for session in (alone, together))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_untrained_models_are_a_control(run: Run, tmp_path: Path) -> None:
    """Another seed, other patterns; the same seed, the same; and neither is the trained model."""
    out, again = tmp_path / "dataset", tmp_path / "again"
    sources = {
        "trained": f"{REFERENCE / 'standard'}",
        "first": f"untrained:{REFERENCE / 'standard'}",
        "second": f"untrained:1:{REFERENCE / 'standard'}",
    }
    models = [f"--model={name}={source}" for name, source in sources.items()]
    assert run("ingest", *models, "--out", out).code == 0
    assert run("ingest", models[1], "--out", again).code == 0
    manifest = read_manifest(out)
    assert len({model.weights_sha256 for model in manifest.models}) == 3
    (first,) = read_manifest(again).models
    assert first == manifest.model("first")
    with open_session(out) as session:
        (row,) = session.rows(
            "select max(abs(a.weight - b.weight)) as untrained, max(abs(a.weight - c.weight)) as "
            "trained from attention a join attention b using (layer, head, prompt_id, query, key) "
            "join attention c using (layer, head, prompt_id, query, key) "
            "where a.model = 'first' and b.model = 'second' and c.model = 'trained'"
        )
    assert row["untrained"] > 1e-3
    assert row["trained"] > 1e-2
    skipped = run("ingest", *models, "--out", out, "--json")
    assert list(json.loads(skipped.out)["skipped"]) == list(sources)
    other = run("ingest", f"--model=first=untrained:2:{REFERENCE / 'standard'}", "--out", out)
    assert other.code == 2
    assert "already holds another model named 'first'" in other.err
