"""`headswap look` and `headswap.look`: from a sentence to a picture, a second time at once."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import headswap
from ingest.models.source import DEMO_NAMES
from reports.charts.head_charts import MOST_CELLS, heads_chart
from reports.data.patterns import ModelPatterns
from reports.data.report import Token
from reports.study.study import read_study
from tests.support.running import REFERENCE, Reference, Run
from tests.support.services.browser import Browser, running_browser

STANDARD = str(REFERENCE / "standard")
TEXT = "<|task|>Clean the kitchen<|steps|>Wash dishes<|sep|>Wipe counters<|end|>"
# The first of the 12 paired tasks, whose patterns TransformerLens has computed.
TASK = json.loads(
    (Path(headswap.__file__).parents[1] / "ingest/prompts/paired_tasks.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()[0]
)


@pytest.fixture(scope="module")
def looked() -> headswap.Look:
    return headswap.look(STANDARD, TEXT, ["L1H2", "standard:L0H3"])


def test_weights_are_those_of_transformer_lens(reference: Reference) -> None:
    steps = "<|sep|>".join(TASK["steps"])
    looked = headswap.look(STANDARD, f"<|task|>{TASK['task']}<|steps|>{steps}<|end|>")
    expected = reference.patterns["standard"][0]
    assert len(looked.tokens()) == len(reference.tokens[0])
    for layer, head in np.ndindex(*expected.shape[:2]):
        found = looked.pattern(f"L{layer}H{head}")
        np.testing.assert_allclose(found, expected[layer, head], atol=2e-4)


def test_a_second_look_loads_no_model(looked: headswap.Look) -> None:
    assert looked.heads == ("standard:L1H2", "standard:L0H3")
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'transformers', 'tokenizers']))\n"
        "import headswap\n"
        "sys.exit(headswap.main(sys.argv[1:]))"
    )
    words = ["look", STANDARD, "L1H2", TEXT, "--json"]
    again = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["dataset"] == str(looked.dataset)
    assert told["tokens"] == {"standard": looked.tokens()}
    assert Path(told["picture"]).parent == looked.dataset.parent
    other = subprocess.run(
        [sys.executable, "-c", code, *words[:3], "Another text"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert other.returncode == 2
    assert "headswap[models]" in other.stderr


def test_other_weights_at_the_same_place_are_another_look(
    looked: headswap.Look, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(STANDARD, tmp_path / "standard"))
    assert headswap.look(folder, TEXT).dataset != looked.dataset  # of another source
    first = headswap.look(folder, TEXT)
    shutil.copy(REFERENCE / "adhd" / "hooked_transformer.pt", folder)
    second = headswap.look(folder, TEXT)
    assert second.dataset != first.dataset
    # Its heads are those of the first in another order.
    names = [f"L1H{head}" for head in range(4)]
    before, after = (np.stack([each.pattern(name) for name in names]) for each in (first, second))
    assert not np.allclose(before, after, atol=1e-3)


def test_a_damaged_cache_is_made_again(
    looked: headswap.Look, capfd: pytest.CaptureFixture[str]
) -> None:
    (looked.dataset / "tokens.parquet").write_bytes(b"damaged")
    again = headswap.look(STANDARD, TEXT)
    assert "is damaged: made again" in capfd.readouterr().err
    np.testing.assert_array_equal(again.pattern("L1H2"), looked.pattern("L1H2"))


def test_what_was_looked_at_longest_ago_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("ingest.looking._MOST_TEXTS", 2)
    kept = [headswap.look(STANDARD, text).dataset for text in ("one", "two")]
    headswap.look(STANDARD, "one")  # from the cache, and later than "two"
    kept.append(headswap.look(STANDARD, "three").dataset)
    assert [dataset.exists() for dataset in kept] == [True, False, True]


def test_keep_makes_a_dataset(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for _ in range(2):  # the second finds it there
        outcome = run("look", STANDARD, TEXT, "--keep", kept)
        assert outcome.code == 0, outcome.err
        assert outcome.out == f"{tmp_path / 'kept.html'}\n"
    assert run("verify", kept).code == 0
    with headswap.open(kept) as data:
        assert data.sql("select text from prompts").fetchall() == [(TEXT,)]
        assert "views.sql" in {path.name for path in kept.iterdir()}
    outcome = run("look", STANDARD, "Another text", "--keep", kept)
    assert outcome.code == 2
    assert "is a dataset of other prompts than the sentence" in outcome.err


def test_models_of_a_dataset_are_run_again(reference_dataset: Path, tmp_path: Path) -> None:
    looked = headswap.look(reference_dataset, TEXT, ["standard:L1H2", "adhd:L0H1"])
    assert looked.models == ("standard", "adhd")
    expected = headswap.look(str(REFERENCE / "adhd"), TEXT)
    np.testing.assert_allclose(looked.pattern("adhd:L0H1"), expected.pattern("L0H1"), atol=1e-6)
    assert len(looked.charts) == 2
    with pytest.raises(headswap.InputError, match="a figure is of one model"):
        looked.save(tmp_path / "both.png")
    assert looked.save(tmp_path / "both.html").exists()


def test_files_hold_the_same_weights(looked: headswap.Look, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(looked.save(tmp_path / "l.csv").read_text("utf-8"))))
    n = len(looked.tokens())
    assert len(rows) == 2 * n * (n + 1) // 2
    pattern = looked.pattern("L0H3")
    for row in rows[len(rows) // 2 :]:
        assert (row["layer"], row["head"]) == ("0", "3")
        assert row["key_token"] == looked.tokens()[int(row["key"])]
        found = pattern[int(row["query"]), int(row["key"])]
        assert float(row["weight"]) == pytest.approx(found, abs=1e-7)
    drawn = looked.save(tmp_path / "l.svg", theme="dark").read_text("utf-8")
    assert drawn.count(">L1H2</text>") == drawn.count(">L0H3</text>") == 1
    assert drawn.count(">&lt;|steps|&gt;</text>") == 3  # of the queries, and of the keys of each
    assert looked.save(tmp_path / "l.png").read_bytes().startswith(b"\x89PNG")
    assert looked.save(tmp_path / "l.pdf").read_bytes().startswith(b"%PDF")
    assert looked._repr_html_().count("data:image/png;base64,") == 1
    with pytest.raises(headswap.InputError, match="no file that ends in one of"):
        looked.save(tmp_path / "l.gif")


def test_more_weights_than_can_be_drawn_are_refused() -> None:
    tokens = tuple(Token("a", False) for _ in range(40))
    weights = np.full((30, 30, 40, 40), 0.025, dtype=np.float32)
    patterns = ModelPatterns("large", "a a", tokens, 40, weights)
    assert weights.size > MOST_CELLS
    with pytest.raises(headswap.InputError, match="900 heads on 40 tokens are 1,440,000 weights"):
        heads_chart(patterns, name="look", title="too many")
    heads_chart(patterns, patterns.heads[:2], name="look", title="two")


def test_the_sentence_is_read_from_stdin(
    run: Run, looked: headswap.Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TEXT}\n"))
    outcome = run("look", STANDARD, "-", "--json", "-o", tmp_path / "l.html")
    assert json.loads(outcome.out)["dataset"] == str(looked.dataset)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["Make", "tea"], "'Make' is no head such as L3H1"),
        ([], "of a model and a sentence only one is there: "),
        (["L0H0"], "there is no sentence after the head L0H0"),
        ([" "], "the sentence is empty"),
        (["other:L0H0", TEXT], "has no model 'other'"),
        (["L9H0", TEXT], "standard has no head L9H0"),
        ([TEXT, "--theme=pink"], "there is no theme 'pink'"),
        (["word " * 300], "the sentence: the prompt has "),
    ],
)
def test_what_cannot_be_looked_at_is_told(words: list[str], message: str, run: Run) -> None:
    outcome = run("look", STANDARD, *words)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Hint: " in outcome.err


def test_the_demo_models_go_by_the_names_of_the_demo() -> None:
    sources = {name: f"demo:{folder}" for name, folder in DEMO_NAMES.items()}
    assert sources == read_study("demo").models


# --- the page ---------------------------------------------------------------------------------

_LOOKS = "[...document.querySelectorAll('.looks')].map((line) => line.textContent)"
_PRESSED = (
    "[...document.querySelectorAll('.square[aria-pressed=true]')].map((one) => one.dataset.head)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.mark.parametrize("width", [1400, 390])
def test_page_shows_all_heads_and_those_chosen_large(
    width: int, looked: headswap.Look, browser: Browser, tmp_path: Path
) -> None:
    page = browser.open(looked.save(tmp_path / "look.html"), width)
    assert page.evaluate("document.querySelectorAll('.square canvas').length") == 12
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('.look-heads canvas').length") == 2
    assert page.evaluate(_PRESSED) == ["standard:L0H3", "standard:L1H2"]
    for line, name in zip(page.evaluate(_LOOKS), looked.heads, strict=True):
        last = looked.pattern(name)[-1]
        most, tokens = int(last.argmax()), looked.tokens()
        assert f"(position {len(tokens) - 1}) looks most at" in line
        assert f"(position {most}): {last[most]:.3f}" in line
    # The chosen head's weights as colours: the more weight, the darker, and none where no row is.
    square = "document.querySelector('[data-head=\"standard:L2H1\"] canvas').getContext('2d')"
    n = len(looked.tokens())
    data = page.evaluate(f"[...{square}.getImageData(0, 0, {n}, {n}).data]")
    pixels = np.array(data).reshape(n, n, 4)
    assert (pixels[..., 3] == 255 * np.tri(n)).all()
    pattern = looked.pattern("L2H1")
    brightness = pixels[..., :3].sum(axis=2)
    row = n - 1
    assert (np.diff(brightness[row][np.argsort(pattern[row], kind="stable")]) <= 0).all()

    page.evaluate("document.querySelector('[data-head=\"standard:L2H1\"]').click()")
    page.wait_for("document.documentElement.dataset.heads === 'standard:L2H1'")
    assert "standard%3AL2H1" in page.evaluate("location.hash")
    page.evaluate(
        "document.querySelector('[data-head=\"standard:L0H0\"]')"
        ".dispatchEvent(new MouseEvent('click', {ctrlKey: true}))"
    )
    page.wait_for("document.documentElement.dataset.heads === 'standard:L2H1,standard:L0H0'")
    page.evaluate("document.getElementById('theme').click()")
    page.wait_for("document.documentElement.dataset.charts === 'drawn'")
    assert page.evaluate(_PRESSED) == ["standard:L0H0", "standard:L2H1"]
    dark = page.evaluate(f"[...{square}.getImageData(0, {n - 1}, 1, 1).data]")
    assert dark != pixels[n - 1, 0].tolist()
    page.evaluate("history.back()")
    page.wait_for("document.documentElement.dataset.heads === 'standard:L2H1'")
    page.evaluate("document.querySelectorAll('.token')[1].focus()")
    assert "(position 1) looks most at" in page.evaluate(_LOOKS)[0]
    assert page.errors == []
    assert len(page.requests) == 1  # the page itself
    browser.close(page)
