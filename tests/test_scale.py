"""The page on scale: its numbers follow from the formula and from the measurements in the log."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.support.dependencies import ROOT
from tests.support.pages.scale import (
    BYTES_A_ROW,
    PAGE,
    PLAN,
    Prices,
    Study,
    core_hours,
    filled,
)
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

LOG = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")


def test_the_page_shows_what_the_formula_gives():
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "run `python -m tests.support.pages.scale`"


def test_rows_are_those_that_a_mask_has():
    lower = int(np.tril(np.ones((PLAN.tokens, PLAN.tokens), dtype=bool)).sum())
    assert PLAN.rows == 100 * 10_000 * 48 * lower
    assert f"| rows | {PLAN.rows:,} |" in PAGE.read_text(encoding="utf-8")


def test_bytes_a_row_are_those_of_the_log():
    (found,) = re.findall(r"\| bytes a row, lossless / float16 \| ([\d.]+) / ([\d.]+) \|", LOG)
    assert tuple(map(float, found)) == tuple(BYTES_A_ROW.values())


def test_rows_a_second_are_those_of_the_log():
    (found,) = re.findall(r"\| ingest, million rows a second of processor time \| ([\d.]+) \|", LOG)
    assert float(found) * 1e6 == Prices().rows_a_second
    assert f"{found} million rows a second" in PAGE.read_text(encoding="utf-8")


def test_one_terabyte_and_the_small_study_are_as_the_page_says():
    page = PAGE.read_text(encoding="utf-8")
    billions = round(1e12 / BYTES_A_ROW["float32"] / 1e9, -1)
    assert f"1 TB holds {billions:.0f} billion rows" in page
    small = Study(models=100, prompts=200, tokens=128, layers=6, heads=8)
    assert f"{small.rows / 1e9:.1f} billion rows, {small.terabytes() * 1e3:.0f} GB" in page


def test_time_is_rows_over_rows_a_second():
    prices = Prices(rows_a_second=1000.0)
    study = Study(models=1, prompts=1000, tokens=3, layers=1, heads=600)
    assert core_hours(study, prices) == pytest.approx(1.0)


def test_a_dataset_has_the_rows_of_the_formula(tmp_path):
    from ingest.dataset.reader import open_dataset

    dataset = open_dataset(write_synthetic_dataset(tmp_path / "d", [SyntheticModel("a", seed=1)]))
    model = dataset.read_table("models").to_pylist()[0]
    tokens = dataset.read_table("tokens")["prompt_id"].to_pylist()
    lengths = [tokens.count(prompt_id) for prompt_id in sorted(set(tokens))]
    expected = sum(Study(1, 1, n, model["n_layers"], model["n_heads"]).rows for n in lengths)
    assert dataset.manifest.rows_of("attention") == expected
