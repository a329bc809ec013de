"""README.md: followed word for word from an empty folder, short, and what it says is so."""

from __future__ import annotations

import re
from pathlib import Path

import headswap
from sql.session import open_session
from tests.support.dependencies import ROOT
from tests.support.pages.blocks import blocks
from tests.support.pages.follow import Reader, svg_texts
from tests.support.running import REFERENCE

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_a_reader_who_follows_it_gets_what_it_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow(README)
    # The picture is that of the first command.
    kept = (ROOT / "docs" / "pictures" / "look.svg").read_text(encoding="utf-8")
    drawn = (tmp_path / "heads.svg").read_text(encoding="utf-8")
    assert svg_texts(kept) == svg_texts(drawn)
    # Marked in the text, for the reader; nothing else is left out.
    assert [block.cost for block in reader.skipped] == ["needs a network", "needs your models"]
    with open_session(tmp_path / "demo" / "dataset") as session:
        for model, *numbers in re.findall(
            r"^\| (\w+) " + r"\| (\d+) " * 5 + r"\| ([\d.]+) \|$", TEXT, re.M
        ):
            names = ("layer", "head", "prompt_id", "query", "key")
            where = " and ".join(f"{n} = {v}" for n, v in zip(names, numbers, strict=False))
            (found,) = session.rows(
                f"select weight from attention where model = '{model}' and {where}"
            )
            assert abs(found["weight"] - float(numbers[-1])) < 0.0015
        (caveat,) = session.rows(
            "select count(*) filter (where holds) as n_hold, count(*) as n_heads "
            "from published_criterion where model_a = 'standard' and model_b = 'adhd'"
        )
        assert "**But {n_hold} of the {n_heads} heads of".format(**caveat) in TEXT
        (smallest,) = session.rows(
            "select min(p_family) as p from verdicts "
            "where model_a = 'standard' and model_b = 'adhd'"
        )
        assert f"(smallest p {smallest['p']:.2f})" in TEXT
        rows = session.rows(
            "select model_b, n_same_index, p_value from same_index_tests "
            "where layer is null and model_a = 'standard' order by model_b"
        )
        same, twin = rows
        text = " ".join(TEXT.split())
        most_alike = f"{same['n_same_index']} of 48 are the most alike of their layer"
        assert f"(p = {same['p_value']:.5f}; {most_alike})" in text
        assert f"(p = {twin['p_value']:.2f}; {twin['n_same_index']} of 48)" in text
        (effect,) = session.rows(
            "select mean_delta_loss_nats as change, low, high from ablation_ranking "
            "where model = 'standard' and layer = 3 and head = 5"
        )
        assert f"the loss changes by {effect['change']:.3f} nats" in text
        assert effect["low"] < 0 < effect["high"]  # "an interval that includes 0"


def test_what_to_do_with_two_models_works_with_two_models(
    tmp_path: Path, monkeypatch, capfd
) -> None:
    (block,) = (block for block in blocks(README) if block.cost == "needs your models")
    code = block.code.replace("path/to/one", str(REFERENCE / "standard"))
    code = code.replace("ORG/NAME", str(REFERENCE / "adhd"))
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("Any text at all.\nAnd more of it.\n")
    for line in code.splitlines():
        assert headswap.main(line.split()[1:]) == 0, capfd.readouterr().err
    assert Path("report/index.html").exists()


def test_it_is_read_in_one_sitting() -> None:
    assert len(TEXT.splitlines()) <= 200
    # Terms are said what they are before they are used.
    for term in ("structural", "profile"):
        defined = TEXT.index(f"**{term}**")
        assert term not in TEXT[:defined].lower(), term
