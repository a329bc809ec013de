"""`headswap ablate` and `top-tokens` as commands: what is there stays, what stopped goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel

import headswap
from ingest.ablation import ablator, pipeline
from ingest.appending import Addition
from ingest.dataset.manifest import read_manifest
from ingest.dataset.verification import verify
from sql.session import open_session
from tests.support.interrupted import content
from tests.support.models.bundles import TOKENIZER
from tests.support.oracles.ablation import bundle_logits, read_bundle
from tests.support.rewritten import Rows, rewrite
from tests.support.running import REFERENCE, Run, token_ids

N_PROMPTS = 4


def _prompts(folder: Path, n_prompts: int = N_PROMPTS) -> Path:
    path = folder / f"{n_prompts}-prompts.jsonl"
    records = [
        {
            "pair_id": n,
            "variant": "standard",
            "task": f"Clean {n}",
            "steps": ["rest", "sip"][: 1 + n % 2],
        }
        for n in range(n_prompts)
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    return path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in a folder of its own, `model`, and its dataset, without ablations."""
    folder = tmp_path_factory.mktemp("ablate")
    shutil.copytree(REFERENCE / "adhd", folder / "model")
    words = ["ingest", f"--model=adhd={folder / 'model'}", f"--prompts={_prompts(folder)}"]
    assert headswap.main([*words, "--out", str(folder / "dataset")]) == 0
    return folder


@pytest.fixture
def dataset(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared / "dataset", tmp_path / "dataset"))


def count(dataset: Path) -> dict[tuple[str, int, int], int]:
    with open_session(dataset) as session:
        rows = session.rows(
            "select kind, layer, head, count(*) as n from ablation_effects group by all"
        )
        n_tokens = session.rows("select count(*) as n from tokens")[0]["n"]
    assert {row["n"] for row in rows} == {n_tokens}
    return {(row["kind"], row["layer"], row["head"]): row["n"] for row in rows}


def test_only_what_is_missing_is_added(dataset: Path, run: Run) -> None:
    assert run("ablate", dataset, "--head=L1H2", "--head=L1H0").code == 0
    assert set(count(dataset)) == {("zero", 1, 0), ("zero", 1, 2)}
    done = json.loads(run("ablate", dataset, "--head=l1h2", "--kind=mean", "--json").out)
    assert done["were_there"] == {"adhd": 0}
    done = json.loads(run("ablate", dataset, "--json").out)
    assert done["were_there"] == {"adhd": 2}
    n_tokens = sum(count(dataset).values()) // 13
    assert done["added"] == {"adhd": 10 * n_tokens}
    assert len(count(dataset)) == 13
    before = content(dataset)
    again = run("ablate", dataset)
    assert again.out == "adhd: 0 rows added, 12 ablations were there\n"
    assert content(dataset) == before
    assert not [check for check in verify(dataset) if check.problems]


@pytest.mark.parametrize("n_files", [0, 1, 4])
def test_an_interrupted_ablation_goes_on_to_the_same_bytes(
    n_files: int, dataset: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablator, "TOKENS_PER_BATCH", 1)
    words = ("--head=L0H1", "--head=L2H3", "--kind=zero", "--kind=resample")
    undisturbed = Path(shutil.copytree(dataset, tmp_path / "undisturbed"))
    assert run("ablate", undisturbed, *words).code == 0
    assert len(list(undisturbed.glob("ablation_effects/*/*.parquet"))) == 4 * N_PROMPTS
    before, n_noted = read_manifest(dataset), 0
    note = Addition._note

    def stop(self: Any, entry: Any) -> None:
        nonlocal n_noted
        if n_noted == n_files:
            raise KeyboardInterrupt
        n_noted += 1
        note(self, entry)

    with monkeypatch.context() as patched:
        patched.setattr(Addition, "_note", stop)
        stopped = run("ablate", dataset, *words)
    assert stopped.code == 130
    assert "run the same command again" in stopped.err
    assert read_manifest(dataset) == before
    assert run("ablate", dataset, *words).code == 0
    assert content(dataset) == content(undisturbed)


def test_top_tokens_are_those_of_a_forward_by_hand(dataset: Path, run: Run) -> None:
    with open_session(dataset) as session:
        ids = token_ids(session, "adhd", 2)
        tokens = {row["token_id"]: row["token"] for row in session.rows("select * from tokens")}
    words = ("top-tokens", dataset, "adhd:L1H2", "--prompt=2", "--position=-3", "-k", "5")
    found = json.loads(run(*words, "--json").out)
    assert found["position"] == len(ids) - 3
    bundle = read_bundle(REFERENCE / "adhd")
    for name, heads in (("before", ()), ("after", [(1, 2)])):
        expected = bundle_logits(bundle, ids, heads)[-3].softmax(-1).topk(5)
        assert [token["token_id"] for token in found[name]] == expected.indices.tolist()
        shown = torch.tensor([token["probability"] for token in found[name]])
        assert torch.allclose(shown, expected.values, atol=1e-4)
        for token in found[name]:
            assert token["token"] == tokens.get(token["token_id"], token["token"])
    lines = run(*words).out.splitlines()
    assert lines[0] == f"adhd:L1H2 (zero), prompt 2, position {len(ids) - 3}"
    assert [line.split()[0] for line in lines] == ["adhd:L1H2", "rank", "1", "2", "3", "4", "5"]


def test_a_model_that_is_gone_or_changed_is_told(
    prepared: Path, dataset: Path, run: Run, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    (prepared / "model").rename(moved)
    try:
        gone = run("ablate", dataset, "--head=L0H0")
        assert gone.code == 2
        assert f"{prepared / 'model'} is not a folder" in gone.err
        other = run("ablate", dataset, f"--source=adhd={REFERENCE / 'standard'}")
        assert other.code == 2
        assert "does not hold the weights of 'adhd'" in other.err
        assert "ablation_effects" not in read_manifest(dataset).tables
        assert run("ablate", dataset, "--head=L0H0", f"--source=adhd={moved}").code == 0
        assert len(count(dataset)) == 1
    finally:
        moved.rename(prepared / "model")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["ablate", "{d}", "--head=L3H0"], "model 'adhd' has no head L3H0"),
        (["ablate", "{d}", "--head=L0H4"], "model 'adhd' has no head L0H4"),
        (["ablate", "{d}", "--head=H4"], "--head 'H4' names no head"),
        (["ablate", "{d}", "--head=L0H1+L0H2"], "names no head"),
        (["ablate", "{d}", "--model=x"], "has no model 'x'"),
        (["ablate", "{d}", "--kind=half"], "'half' is not one of"),
        (["ablate", "{d}", "--source=adhd"], "is not NAME=SOURCE"),
        (["ablate", "{d}", "--source=x=y"], "has no model 'x'"),
        (["ablate", "{d}/attention"], "is not a dataset"),
        (["top-tokens", "{d}", "adhd", "--prompt=0"], "is not MODEL:HEAD"),
        (["top-tokens", "{d}", "adhd:L9H0", "--prompt=0"], "has no head L9H0"),
        (["top-tokens", "{d}", "x:L0H0", "--prompt=0"], "has no model 'x'"),
        (["top-tokens", "{d}", "adhd:L0H0", "--prompt=99"], "has no prompt 99"),
        (["top-tokens", "{d}", "adhd:L0H0", "--prompt=0", "--position=999"], "no position 999"),
        (["top-tokens", "{d}", "adhd:L0H0", "--prompt=0", "-k", "0"], "0 is not in the range"),
    ],
)
def test_bad_input_is_one_line(words: list[str], what: str, prepared: Path, run: Run) -> None:
    dataset = prepared / "dataset"
    before = content(dataset)
    outcome = run(*(word.format(d=dataset) for word in words))
    assert outcome.code == 2
    assert what in outcome.err
    assert "Traceback" not in outcome.err
    assert content(dataset) == before


def test_one_prompt_has_no_other_to_take_from(run: Run, tmp_path: Path) -> None:
    words = (f"--model=adhd={REFERENCE / 'adhd'}", f"--prompts={_prompts(tmp_path, 1)}")
    assert run("ingest", *words, "--out", tmp_path / "one").code == 0
    outcome = run("ablate", tmp_path / "one", "--kind=resample")
    assert outcome.code == 2
    assert "there is only one" in outcome.err
    generated = run("generate", tmp_path / "one", "--kind=resample", "--ablate=L0H0")
    assert "there is only one" in generated.err
    assert run("verify", tmp_path / "one").code == 0, "nothing was left behind"
    assert run("ablate", tmp_path / "one", "--head=L0H0").code == 0
    with open_session(tmp_path / "one") as session:
        (row,) = session.rows("select * from ablation_ranking")
    assert row["rank"] == row["n_prompts"] == 1
    assert row["low"] is row["high"] is row["kl_low"] is None


@pytest.mark.parametrize(
    ("build", "what"),
    [(BertModel, "saved without the head"), (BertForMaskedLM, "neither [MASK] nor <mask>")],
)
def test_a_model_without_tokens_to_predict_is_told(
    build: Callable[[Any], Any], what: str, run: Run, tmp_path: Path
) -> None:
    sizes: dict[str, Any] = {"vocab_size": 325, "hidden_size": 32, "intermediate_size": 48}
    config = BertConfig(**sizes, num_hidden_layers=1, num_attention_heads=2)
    build(config).save_pretrained(tmp_path / "model")
    shutil.copy(TOKENIZER, tmp_path / "model")
    words = (f"--model=mine={tmp_path / 'model'}", f"--prompts={_prompts(tmp_path)}")
    assert run("ingest", *words, "--out", tmp_path / "dataset").code == 0
    outcome = run("ablate", tmp_path / "dataset")
    assert outcome.code == 2
    assert "no tokens to predict" in outcome.err
    assert what in outcome.err


def _set(**values: Any) -> Callable[[Rows], object]:
    return lambda rows: rows[0].update(values)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_set(probability_after=1.5), "a probability_after below 0 or above 1"),
        (_set(kl_nats=-0.5), "a kl_nats below 0"),
        (_set(kind="half"), "a kind that is none of"),
        (_set(delta_loss_nats=5.0), "that is not that of its probabilities"),
        (_set(delta_loss_nats=None), "a delta_loss_nats where no token follows"),
        (_set(position=99), "a position that its prompt lacks"),
        (lambda rows: rows.pop(), "lacks a position of a prompt"),
        (lambda rows: [row.update(layer=1) for row in rows], "that another file has"),
    ],
)
def test_verify_finds_rows_that_cannot_be(
    change: Callable[[Rows], object], what: str, ablated: Path, tmp_path: Path
) -> None:
    dataset = Path(shutil.copytree(ablated, tmp_path / "dataset"))
    rewrite(dataset, pipeline.TABLE, change)
    problems = [problem for check in verify(dataset) for problem in check.problems]
    assert [what in problem.what for problem in problems] == [True]


@pytest.fixture(scope="module")
def ablated(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablated") / "dataset"
    shutil.copytree(prepared / "dataset", folder)
    assert headswap.main(["ablate", str(folder), "--head=L0H0", "--head=L1H0"]) == 0
    return folder
