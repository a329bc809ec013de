"""`headswap figure`: every figure in every form, and its numbers against the views' own."""

from __future__ import annotations

import csv
import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reports.charts.theme import THEMES
from reports.figures import figure_command
from reports.figures.figure_files import pixels, write_figure
from reports.figures.figures import FIGURES, Choice, Drawn
from sql.session import Session, open_session
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

# What each form starts with, and how an 89 mm wide one says its width.
FORMS = {
    "svg": (b"<svg", rb'width="88\.90mm"'),
    "png": (b"\x89PNG", struct.pack(">I", 1050)),  # 300 pixels an inch
    "pdf": (b"%PDF", rb"MediaBox ?\[0 0 252 "),  # 72 points an inch
    "csv": (b"model", b""),
}
COSINES = (
    "select model_a, layer_a, head_a, model_b, layer_b, head_b, value as cosine from similarities "
    "where similarity = 'content' and model_a = 'a' and model_b = 'b' order by all"
)
# The rows that a figure of the choices below is made of.
QUERIES = {
    "profiles": "select model, layer, head, bin, n_queries, mass from profiles "
    "where model = 'b' and layer = 1 and head = 2 order by bin",
    "pattern": "select model, layer, head, prompt_id, query, key, weight from attention "
    "where model = 'b' and layer = 1 and head = 2 and prompt_id = 2 order by query, key",
    "chance": """
        with own as (
            select match_statistics.* from match_statistics inner join reference_head
            on model = model_a and layer = layer_a and head = head_a
        )
        select value as cosine, low, high, null_mean from own
        union all by name
        select same_index_value as cosine from own
        union all by name
        select back.value as cosine from own
        inner join similarities as back on back.similarity = own.similarity
        and back.model_a = own.model_a and back.model_b = own.model_b
        and back.layer_a = own.layer_b and back.head_a = own.head_b
        and back.layer_b = own.layer_b and back.head_b = own.head_b
    """,
    "distribution": COSINES,
    "matrix": COSINES,
    "trends": "select model, layer, head, run, step, score, value, low, high, emergence_step "
    "from score_trends where score = 'first_token' order by last_value desc, layer, head, step",
    "swaps": "select model_a, layer_a, head_a, model_b, layer_b, head_b, value as cosine "
    "from matches where model_a = 'a' and model_b = 'b' order by layer_a, head_a",
}
MEASURED = ("value", "mass", "weight", "cosine", "low", "high", "null_mean")
CHOICES = {
    "profiles": ["--head=b:L1H2"],
    "pattern": ["--head=b:L1H2", "--prompt=2"],
    "trends": ["--score=first_token"],
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [
        SyntheticModel("a", seed=1, source="run@step0"),
        SyntheticModel("b", seed=1, places=(3, 1, 2, 0, 5, 4), noise=0.01, source="run@step8"),
    ]
    return write_synthetic_dataset(tmp_path_factory.mktemp("figures") / "dataset", models)


@pytest.fixture(scope="module")
def session(dataset: Path) -> Iterator[Session]:
    with open_session(dataset) as session:
        yield session


@pytest.mark.parametrize("name", FIGURES)
def test_the_numbers_under_a_figure_are_those_of_the_views(
    name: str, dataset: Path, session: Session, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "figure.csv"
    outcome = run("figure", dataset, name, "-o", file, *CHOICES.get(name, []))
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{file}\n", "")
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    expected = session.rows(QUERIES[name])
    assert len(rows) == len(expected) > 0
    for row, wanted in zip(rows, expected, strict=True):
        for key, value in wanted.items():
            if value is None:
                assert row[key] == ""
                continue
            told = type(value)(row[key])
            assert told == (pytest.approx(value, abs=1e-9) if key in MEASURED else value)


@pytest.fixture(scope="module")
def drawn(session: Session) -> dict[str, Drawn]:
    return {name: draw(session, Choice(width=pixels(89))) for name, draw in FIGURES.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_a_columns_width_and_is_the_same_again(
    name: str, form: str, drawn: dict[str, Drawn], tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.{form}" for number in range(2)]
    for file in files:
        write_figure(drawn[name], file)
    start, width = FORMS[form]
    content = files[0].read_bytes()
    assert len(content) == len(files[1].read_bytes())
    if form != "pdf":  # its fonts come in any order
        assert content == files[1].read_bytes()
    assert content.startswith(start)
    if form == "png":
        assert content[16:20] == width
    else:
        assert re.search(width, content)


@pytest.mark.parametrize("theme", THEMES)
def test_the_command_draws_in_the_colours_of_a_theme(
    theme: str, dataset: Path, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "figure.svg"
    words = [f"--theme={theme}", "--width=183"]
    assert run("figure", dataset, "pattern", "-o", file, *words).code == 0
    text = file.read_text(encoding="utf-8")
    assert 'width="183.09mm"' in text
    # The ground is drawn first; titles in the ink.
    assert re.findall(r'<rect [^>]*fill="(#\w+)"', text)[0] == THEMES[theme].paper
    assert f'fill="{THEMES[theme].ink}"' in text


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_a_dark_side(name: str, session: Session) -> None:
    text = FIGURES[name](session, Choice(theme=THEMES["dark"])).chart.to_json()
    light = {getattr(THEMES["light"], role) for role in ("paper", "ink", "reference", "other")}
    assert not [colour for colour in light if colour in text]
    assert THEMES["dark"].paper in text


def test_the_planted_match_is_drawn_by_default(session: Session) -> None:
    drawn = FIGURES["profiles"](session, Choice())
    heads = {(row["model"], row["layer"], row["head"]) for row in drawn.rows}
    (reference,) = (place for model, *place in heads if model == "a")
    (match,) = (place for model, *place in heads if model == "b")
    places = (3, 1, 2, 0, 5, 4)
    assert places[match[0] * 3 + match[1]] == reference[0] * 3 + reference[1]


def test_one_model_has_profiles_and_patterns_but_nothing_to_compare(
    run: Run, tmp_path: Path
) -> None:
    dataset = write_synthetic_dataset(tmp_path / "dataset", [SyntheticModel("a")])
    for name in ("profiles", "pattern"):
        assert run("figure", dataset, name, "-o", tmp_path / f"{name}.svg").code == 0
    outcome = run("figure", dataset, "matrix", "-o", tmp_path / "matrix.svg")
    assert outcome.code == 2
    assert "has no second model that 'a' is compared with" in outcome.err
    assert not (tmp_path / "matrix.svg").exists()


def test_a_figure_that_cannot_be_drawn_leaves_the_earlier_one(
    dataset: Path, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "figure.svg"
    assert run("figure", dataset, "pattern", "-o", file).code == 0
    before = file.read_bytes()
    outcome = run("figure", dataset, "pattern", "-o", file, "--head=b:L7H0")
    assert (outcome.code, outcome.out) == (2, "")
    assert "'b' has no head L7H0" in outcome.err
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["figure.svg"]


def test_what_a_figure_leaves_out_is_said(run: Run, tmp_path: Path) -> None:
    long = ("Count", tuple(f"step {number}" for number in range(60)))
    dataset = write_synthetic_dataset(tmp_path / "dataset", [SyntheticModel("a")], [long])
    outcome = run("figure", dataset, "pattern", "-o", tmp_path / "figure.svg", "--json")
    assert re.fullmatch(r"the first \d+ of \d+ tokens are shown\n", outcome.err)
    assert outcome.out == f'{{"figure": "{tmp_path / "figure.svg"}"}}\n'


def test_the_command_offers_every_figure_and_theme() -> None:
    offered = {
        parameter.name: parameter.type.choices
        for parameter in figure_command.command.params
        if isinstance(parameter.type, click.Choice)
    }
    assert list(offered["name"]) == list(FIGURES)
    assert list(offered["theme"]) == list(THEMES)
