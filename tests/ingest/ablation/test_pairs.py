"""`headswap ablate --pairs`: two heads at once, against a forward by hand with both zeroed."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import headswap
from ingest.ablation import ablator, pipeline
from ingest.appending import Addition
from ingest.dataset.verification import verify
from sql.session import open_session
from tests.support.interrupted import content
from tests.support.oracles.ablation import bundle_logits, read_bundle
from tests.support.rewritten import Rows, rewrite
from tests.support.running import REFERENCE, Run, token_ids

N_LAYERS, N_HEADS, N_PROMPTS = 3, 4, 3
HEADS = list(itertools.product(range(N_LAYERS), range(N_HEADS)))
PAIRS = list(itertools.combinations(HEADS, 2))
COLUMNS = ("delta_loss_nats", "probability_after", "kl_nats")
# Of each pair `[column, position]`.
Values = dict[tuple[tuple[int, int], ...], NDArray[np.float64]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle on a few prompts, nothing ablated."""
    folder = tmp_path_factory.mktemp("pairs")
    records = [
        {
            "pair_id": n,
            "variant": "standard",
            "task": f"Clean {n}",
            "steps": ["rest", "sip"][: 1 + n % 2],
        }
        for n in range(N_PROMPTS)
    ]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, records)))
    words = ["ingest", f"--model=adhd={REFERENCE / 'adhd'}", f"--prompts={folder}/prompts.jsonl"]
    assert headswap.main([*words, "--out", str(folder / "dataset")]) == 0
    return folder / "dataset"


@pytest.fixture(scope="module")
def ablated(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with all pairs of all heads."""
    dataset = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("all") / "dataset"))
    assert headswap.main(["ablate", str(dataset), "--pairs=all"]) == 0
    return dataset


@pytest.fixture
def dataset(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "dataset"))


def by_hand(bundle: dict[str, Any], ids: list[int], dtype: torch.dtype) -> Values:
    """What ablating each pair changes in a prompt, NaN where no token follows."""
    targets = torch.tensor([*ids[1:], 0])[:, None]
    before = bundle_logits(bundle, ids, dtype=dtype).log_softmax(-1)
    found: Values = {}
    for pair in PAIRS:
        after = bundle_logits(bundle, ids, pair, dtype).log_softmax(-1)
        true = after.gather(1, targets)[:, 0]
        loss = before.gather(1, targets)[:, 0] - true
        kl = (before.exp() * (before - after)).sum(-1)
        columns = torch.stack((loss, true.exp(), kl)).double().numpy()
        columns[:2, -1] = np.nan
        found[pair] = columns
    return found


def test_pairs_equal_a_forward_with_both_heads_zeroed(ablated: Path) -> None:
    with open_session(ablated) as session:
        rows = session.rows("select * from pair_effects order by all")
        prompts = {n: token_ids(session, "adhd", n) for n in range(N_PROMPTS)}
        n_single = session.rows("select count(*) as n from ablation_ranking")[0]["n"]
    assert n_single == len(HEADS), "each head of a pair by itself, too"
    found: dict[Any, list[list[float]]] = {}
    for row in rows:
        pair = ((row["layer_a"], row["head_a"]), (row["layer_b"], row["head_b"]))
        places = found.setdefault((row["prompt_id"], pair), [])
        assert row["position"] == len(places)
        places.append([row[name] for name in COLUMNS])
    bundle = read_bundle(REFERENCE / "adhd")
    exact, rounded = (
        np.concatenate(
            [np.stack(list(by_hand(bundle, ids, dtype).values())) for ids in prompts.values()], -1
        )
        for dtype in (torch.float64, torch.float32)
    )
    keys = list(itertools.product(prompts, PAIRS))
    assert sorted(found) == sorted(keys)
    parts = [np.array([found[n, pair] for pair in PAIRS], dtype=np.float64) for n in prompts]
    mine = np.concatenate([part.transpose(0, 2, 1) for part in parts], -1)
    assert np.array_equal(np.isnan(mine), np.isnan(exact))
    for number, name in enumerate(COLUMNS):
        distance = np.nanmax(np.abs(rounded[:, number] - exact[:, number]))
        assert distance < 1e-3
        bound = max(1e-5, 2 * float(distance))
        assert np.nanmax(np.abs(mine[:, number] - exact[:, number])) <= bound, name
    assert np.nanmax(np.abs(exact[:, 0])) > 0.1, "else nothing was ablated"


def test_only_what_is_missing_is_added(dataset: Path, run: Run) -> None:
    assert run("ablate", dataset, "--pairs=L2H3+L0H1").code == 0
    with open_session(dataset) as session:
        (pair,) = session.rows("select distinct layer_a, head_a, layer_b, head_b from pair_effects")
        assert tuple(pair.values()) == (0, 1, 2, 3)
        singles = session.rows("select layer, head from ablation_ranking order by all")
        assert [tuple(single.values()) for single in singles] == [(0, 1), (2, 3)]
        n_tokens = session.rows("select count(*) as n from tokens")[0]["n"]
    done = json.loads(run("ablate", dataset, "--pairs=L0H1+L2H3", "--json").out)
    assert (done["added"], done["were_there"]) == ({"adhd": 0}, {"adhd": 3})
    heads = ("--head=L0H1", "--head=L2H3", "--head=L1H0")
    done = json.loads(run("ablate", dataset, "--pairs=all", *heads, "--json").out)
    assert (done["added"], done["were_there"]) == ({"adhd": 3 * n_tokens}, {"adhd": 3})
    assert not [check for check in verify(dataset) if check.problems]


@pytest.mark.parametrize("words", [("--pairs=L0H1+L2H3",), ("--method=attribution",)], ids=str)
@pytest.mark.parametrize("n_files", [0, 2, 5])
def test_what_was_interrupted_goes_on_to_the_same_bytes(
    words: tuple[str, ...],
    n_files: int,
    dataset: Path,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ablator, "TOKENS_PER_BATCH", 1)
    undisturbed = Path(shutil.copytree(dataset, tmp_path / "undisturbed"))
    assert run("ablate", undisturbed, *words).code == 0
    n_made = len([path for table in pipeline.TABLES for path in undisturbed.glob(f"{table}/*/*")])
    assert n_made == N_PROMPTS * (3 if "pairs" in words[0] else 1)
    n_noted, note = 0, Addition._note

    def stop(self: Any, entry: Any) -> None:
        nonlocal n_noted
        if n_noted == n_files % n_made:
            raise KeyboardInterrupt
        n_noted += 1
        note(self, entry)

    with monkeypatch.context() as patched:
        patched.setattr(Addition, "_note", stop)
        assert run("ablate", dataset, *words).code == 130
    assert run("ablate", dataset, *words).code == 0
    assert content(dataset) == content(undisturbed)


def test_what_an_interrupted_run_of_pairs_left_is_gone_after_another(
    dataset: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Addition, "_end", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run("ablate", dataset, "--pairs=L0H1+L2H3").code == 130
    assert list(dataset.glob("pair_effects/*/*"))
    assert run("ablate", dataset, "--head=L0H0").code == 0
    assert not list(dataset.glob("pair_effects/*/*"))
    assert run("verify", dataset).code == 0


def test_all_pairs_of_many_heads_are_refused_unless_heads_are_named(
    dataset: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_MOST_PAIRS", 65)
    before = content(dataset)
    refused = run("ablate", dataset, "--pairs=all")
    assert refused.code == 2
    assert "the 12 heads of 'adhd' are 66 pairs, each a run of the model" in refused.err
    assert "name some heads with --head" in refused.err
    assert content(dataset) == before


def _set(**values: Any) -> Callable[[Rows], object]:
    return lambda rows: rows[0].update(values)


def _swap(rows: Rows) -> None:
    for row in rows:
        row.update(layer_a=2, head_a=3, layer_b=0, head_b=1)


@pytest.mark.parametrize(
    ("table", "change", "what"),
    [
        (pipeline.PAIRS, _set(probability_after=1.5), "a probability_after below 0 or above 1"),
        (pipeline.PAIRS, _set(kind="half"), "a kind that is none of"),
        (pipeline.PAIRS, _set(layer_b=9), "a layer_b that 'adhd' lacks"),
        (pipeline.PAIRS, _set(head_a=4), "a head_a that 'adhd' lacks"),
        (pipeline.PAIRS, _swap, "whose first head does not stand before the second"),
        (pipeline.PAIRS, lambda rows: rows.pop(), "lacks a position of a prompt"),
        (pipeline.ESTIMATES, _set(kind="half"), "a kind that is none of"),
        (pipeline.ESTIMATES, _set(n_positions=99), "another number of positions"),
        (pipeline.ESTIMATES, _set(estimated_delta_loss_nats=None), "or none where one is"),
        (pipeline.ESTIMATES, _set(estimated_delta_loss_nats=float("inf")), "is not finite"),
        (pipeline.ESTIMATES, _set(layer=3), "a layer that 'adhd' lacks"),
        (pipeline.ESTIMATES, lambda rows: rows.append(dict(rows[0])), "two rows of one"),
    ],
)
def test_verify_finds_rows_that_cannot_be(
    table: str, change: Callable[[Rows], object], what: str, sound: Path, tmp_path: Path
) -> None:
    dataset = Path(shutil.copytree(sound, tmp_path / "dataset"))
    rewrite(dataset, table, change)
    problems = [problem for check in verify(dataset) for problem in check.problems]
    assert [what in problem.what for problem in problems] == [True]


@pytest.fixture(scope="module")
def sound(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("sound") / "dataset"))
    assert headswap.main(["ablate", str(dataset), "--pairs=L0H1+L2H3"]) == 0
    assert headswap.main(["ablate", str(dataset), "--method=attribution", "--head=L0H1"]) == 0
    return dataset
