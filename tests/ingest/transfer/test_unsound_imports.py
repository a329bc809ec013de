"""What is unsound is not imported: one line says where and why, and nothing is written or run."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from tests.support.interrupted import content
from tests.support.running import Run
from tests.support.transfer.foreign import (
    TOKENS,
    arrays,
    layers_of_a_batch,
    patterns,
    table,
)


class _Runs:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self._path),)


def _changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        named = arrays(patterns())
        change(named)
        np.savez(folder / "mine.npz", **named)
        return folder / "mine.npz"

    return write


def _value(number: int, place: tuple[int, ...], value: float) -> Callable[[dict[str, Any]], object]:
    return lambda named: named[f"attention_{number}"].__setitem__(place, value)


def _raw(name: str, text: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(text)
        return folder / name

    return write


def _saved(made: Callable[[Path], Any]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save(made(folder), folder / "mine.pt")
        return folder / "mine.pt"

    return write


def _table(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        change(table(patterns())).write_parquet(folder / "mine.parquet")
        return folder / "mine.parquet"

    return write


def _pickled(folder: Path) -> Path:
    (folder / "mine.pt").write_bytes(pickle.dumps(_Runs(folder / "ran")))
    return folder / "mine.pt"


def _object_array(folder: Path) -> Path:
    runs = np.array([_Runs(folder / "ran")], dtype=object)
    np.savez(folder / "mine.npz", attention=np.ones((1, 1, 1, 1)), tokens=runs)
    return folder / "mine.npz"


def _object_weights(folder: Path) -> Path:
    runs = np.array([_Runs(folder / "ran")], dtype=object)
    np.savez(folder / "mine.npz", attention=runs, tokens=np.array(["a"]))
    return folder / "mine.npz"


UNSOUND: dict[str, tuple[Callable[[Path], Path], str]] = {
    "NaN": (
        _changed(_value(1, (1, 2, 1, 0), np.nan)),
        "mine.npz, attention_1: L1H2 has weights that are no finite numbers",
    ),
    "infinite": (_changed(_value(0, (0, 0, 0, 0), np.inf)), "no finite numbers"),
    "below 0": (_changed(_value(0, (0, 1, 1, 0), -0.5)), "attention_0: L0H1 has weights below 0"),
    "sums": (
        _changed(_value(1, (1, 0, 1, 0), 0.9)),
        "attention_1: L1H0 has a query whose weights sum to 1 only within",
    ),
    "scores before the softmax": (
        _changed(lambda named: named.update(attention_0=np.ones((2, 3, 3, 3)))),
        "L0H0 has a query whose weights sum to 1 only within 2.0e+00",
    ),
    "fewer tokens": (
        _changed(lambda named: named.update(tokens_0=np.array(["a", "b"]))),
        "attention_0: attention of the shape [2, 3, 3, 3] is not [layer, head, query, key] of 2",
    ),
    "no square": (
        _changed(lambda named: named.update(attention_1=np.ones((2, 3, 2, 1), np.float32))),
        "of the shape [2, 3, 2, 1] is not",
    ),
    "one dimension": (
        _changed(lambda named: named.update(attention_1=np.ones(2, np.float32))),
        "of the shape [2] is not",
    ),
    "no layer": (
        _changed(lambda named: named.update(attention_1=np.ones((0, 3, 2, 2), np.float32))),
        "of the shape [0, 3, 2, 2] is not",
    ),
    "other heads": (
        _changed(lambda named: named.update(attention_1=named["attention_1"][:, :2])),
        "attention_1: 2 layers of 2 heads, but the first prompt has 2 of 3",
    ),
    "whole numbers": (
        _changed(lambda named: named.update(attention_0=np.eye(3, dtype=int)[None, None])),
        "values of the type int64 are no attention weights",
    ),
    "no tokens": (
        _changed(lambda named: named.pop("tokens_1")),
        "attention_1: it is not known what its tokens are",
    ),
    "numbers of tokens alone": (
        _changed(lambda named: named.update(tokens_0=np.array([1, 2, 3]))),
        "attention_0: it is not known what its tokens are",
    ),
    "tokens that are no texts": (
        _changed(lambda named: named.update(tokens_0=np.array([1.5, 2, 3]))),
        "the tokens are neither texts nor numbers",
    ),
    "other names": (
        _changed(lambda named: [named.pop(f"attention_{n}") for n in (0, 1)]),
        "has no array 'attention'",
    ),
    "pickle in npz": (_object_array, "tokens is a pickle, which could run code"),
    "weights that are a pickle": (_object_weights, "attention is a pickle, which could run code"),
    "pickle": (_pickled, "mine.pt is no readable file of torch.save"),
    "pickle in torch": (
        _saved(lambda folder: {"attentions": _Runs(folder / "ran")}),
        "needs a type that headswap does not load: posix.mkdir",
    ),
    "no npz": (_raw("mine.npz", b"PK\3\4"), "no readable .npz file"),
    "text as npz": (_raw("mine.npz", b"text"), "no readable .npz file"),
    "no safetensors": (_raw("mine.safetensors", b"\xff" * 9), "no readable .safetensors file"),
    "no torch file": (_raw("mine.pt", b"text"), "mine.pt"),
    "empty torch file": (_raw("mine.pt", b""), "no readable file of torch.save"),
    "torch without attention": (_saved(lambda _: {"logits": torch.ones(1)}), "has no 'attention'"),
    "torch of texts": (_saved(lambda _: ("a", "b")), "holds no tuple of tensors"),
    "layers of two sizes": (
        _saved(lambda _: {"attentions": (torch.ones(1, 2, 1, 1), torch.ones(2, 2, 1, 1))}),
        "the layers hold [1, 2] prompts",
    ),
    "tokens of fewer prompts": (
        _saved(lambda _: {"attentions": layers_of_a_batch(patterns()), "tokens": TOKENS[:1]}),
        "tokens of 1 prompts, attention of 2",
    ),
    "more tokens than positions": (
        _saved(
            lambda _: {"attentions": layers_of_a_batch(patterns()), "tokens": [["a"] * 4, ["b"]]}
        ),
        "attention of the shape [2, 3, 3, 3] is not [layer, head, query, key] of 4 tokens",
    ),
    "no CSV": (_raw("mine.csv", b"a,b\n1\n"), "no readable CSV file"),
    "no Parquet": (_raw("mine.parquet", b"PAR1"), "no readable Parquet file"),
    "no column": (_table(lambda rows: rows.drop("weight")), "has no column 'weight'"),
    "no rows": (_table(lambda rows: rows.clear()), "has no rows"),
    "lost rows": (
        _table(lambda rows: rows.filter((pl.col("query") != 1) | (pl.col("head") != 2))),
        "prompt 0: L0H2 has a query whose weights sum to 1 only within 1.0e+00",
    ),
    "rows twice": (
        _table(lambda rows: pl.concat([rows, rows.head(1)])),
        "two rows are of one layer, head, query and key",
    ),
    "a null": (
        _table(lambda rows: rows.with_columns(pl.lit(None).cast(pl.Int64).alias("head"))),
        "the column 'head' lacks values",
    ),
    "half a head": (
        _table(lambda rows: rows.with_columns(pl.col("head") + 0.5)),
        "the column 'head' does not hold whole numbers",
    ),
    "head below 0": (
        _table(lambda rows: rows.with_columns(pl.col("head") - 1)),
        "a number that is no 0-based index",
    ),
    "key far away": (
        _table(lambda rows: rows.with_columns(pl.col("key") + 2**30)),
        "rows are too few",
    ),
    "weights in words": (
        _table(lambda rows: rows.with_columns(weight=pl.lit("much"))),
        "'weight' does not hold numbers",
    ),
    "NaN in a table": (
        _table(lambda rows: rows.with_columns(weight=pl.lit(float("nan")))),
        "no finite numbers",
    ),
    "a position of two tokens": (
        _table(lambda rows: rows.with_columns(token=pl.col("key").cast(pl.String))),
        "a position has two tokens",
    ),
    "an unknown ending": (_raw("mine.bin", b"x"), "ends in none of .npz"),
    "an empty folder": (lambda folder: folder / "empty", "holds no file that ends in"),
    "nothing": (lambda folder: folder / "nothing.npz", "is neither a file nor a folder"),
    "a name that is none": (_raw("---.npz", b"x"), "cannot name a model"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_what_is_unsound_is_refused_in_a_line(case: str, run: Run, tmp_path: Path) -> None:
    write, reason = UNSOUND[case]
    (tmp_path / "empty").mkdir()
    source = write(tmp_path)
    before = content(tmp_path)
    outcome = run("import", source, "--out", tmp_path / "d")
    assert outcome.code == 2
    assert reason in outcome.err
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) <= 2
    assert content(tmp_path) == before
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--column=weight=w"], "--column is for tables"),
        (["--column=w"], "is not OURS=THEIRS"),
        (["--column=size=w"], "is not OURS=THEIRS"),
        (["--model=a/b"], "cannot name a model"),
        (["--tokens={t}/nothing.json"], "cannot read the tokens"),
        (["--tokens={t}/one.json"], "attention of 2 prompts, but tokens of 1"),
        (["--tokens={t}/numbers.json"], "numbers, not texts"),
        (["--tokenizer={t}/one.json"], "none are named"),
        (["--prompts={t}/one.txt"], "attention of 2 prompts, but"),
        (["--prompts={t}/two.txt", "--tokenizer={t}/one.json"], "no readable tokenizer"),
        (["--structural=("], "no regular expression"),
        (["--out={t}/full"], "exists already"),
        (["--array=weights"], "has no array 'weights'"),
    ],
    ids=str,
)
def test_options_that_cannot_be_used(
    words: list[str], reason: str, run: Run, tmp_path: Path
) -> None:
    source = _changed(lambda named: None)(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    (tmp_path / "one.json").write_text('["a", "b"]')
    (tmp_path / "numbers.json").write_text("[[1, 2, 3], [4, 5]]")
    (tmp_path / "one.txt").write_text("one\n")
    (tmp_path / "two.txt").write_text("one\ntwo\n")
    filled = [word.replace("{t}", str(tmp_path)) for word in words]
    out = [] if any(word.startswith("--out") for word in words) else ["--out", tmp_path / "d"]
    before = content(tmp_path)
    outcome = run("import", source, *filled, *out)
    assert (outcome.code, outcome.out) == (2, "")
    assert reason in outcome.err
    assert content(tmp_path) == before


def test_torch_is_named_where_a_file_needs_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _saved(lambda _: layers_of_a_batch(patterns()))(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    outcome = run("import", source, "--out", tmp_path / "d")
    assert outcome.code == 2
    assert "mine.pt needs torch, which is not installed" in outcome.err
    assert "pip install 'headswap[models]'" in outcome.err
