"""`import headswap`: a dataset opened, asked, drawn; heads; what shows itself in a notebook."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import altair as alt
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

import headswap
from headswap.datasets import Dataset
from ingest.dataset.manifest import read_manifest
from reports.figures.figures import FIGURES, Choice
from sql.graph.catalog import relations
from sql.session import Session
from tests.support.running import REFERENCE, Reference, token_ids

MODELS = {name: str(REFERENCE / name) for name in ("standard", "adhd")}


@pytest.fixture(scope="module")
def data(reference_dataset: Path) -> Iterator[Dataset]:
    with headswap.open(reference_dataset) as data:
        yield data


# --- asking -----------------------------------------------------------------------------------


def test_a_query_goes_to_polars_pandas_and_arrow(data: Dataset, reference_session: Session) -> None:
    query = "select layer_a, head_a, value from verdicts where model_a = 'standard' order by all"
    expected = reference_session.rows(query)
    assert len(expected) == 12
    relation = data.sql(query)
    assert relation.pl().to_dicts() == expected
    assert relation.df().to_dict("records") == expected
    assert relation.arrow().read_all().to_pylist() == expected
    assert "layer_a" in str(relation)


def test_models_and_prompts_come_in_their_order(data: Dataset) -> None:
    assert data.models.pl()["model"].to_list() == list(MODELS)
    assert data.prompts.pl()["prompt_id"].to_list() == sorted(data.prompts.pl()["prompt_id"])
    assert len(data.prompts.pl()) == 12


def test_views_are_all_relations_with_their_columns(data: Dataset, tmp_path: Path) -> None:
    views = data.views
    assert list(views) == list(relations())
    assert len(views) == len(relations())
    for name in ("attention", "verdicts", "parameters"):
        columns = [(column.name, column.type) for column in views[name].columns]
        described = data.sql(f"describe {name}").fetchall()
        assert [(row[0], row[1].lower()) for row in described] == columns
    assert all(views[name].made_by is None for name in views)
    small = headswap.from_arrays(np.ones((1, 1, 1, 1)), ["a"], tmp_path / "small")
    with headswap.open(small) as other:
        assert other.views["ablation_ranking"].made_by == "`headswap ablate`"
        assert other.views["profiles"].made_by is None


def test_what_it_is_asked_with_is_that_of_the_command(reference_dataset: Path) -> None:
    claim = "standard:L0H0 ~ adhd:L0H1 best match"
    with headswap.open(
        reference_dataset,
        bins=7,
        reference="adhd:L1H2",
        pairs=[("adhd", "standard")],
        similarity="profile",
        draws=999,
        seed=3,
        claims=[claim],
    ) as data:
        (row,) = data.sql("select * from parameters").pl().to_dicts()
        assert (row["bins"], row["n_draws"], row["seed"]) == (7, 999, 3)
        place = [row[f"reference_{name}"] for name in ("model", "layer", "head")]
        assert place == ["adhd", 1, 2]
        assert data.sql("select claim from claim_rows").fetchall() == [(claim,)]


# --- drawing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["profiles", "pattern", "matrix"])
def test_a_figure_is_that_of_the_command(
    name: str, data: Dataset, reference_session: Session
) -> None:
    chart = data.figure(name, theme="dark", width=400)  # type: ignore[arg-type]
    from reports.charts.theme import DARK

    expected = FIGURES[name](reference_session, Choice(theme=DARK, width=400)).chart
    assert chart.to_dict() == expected.to_dict()


def test_a_figure_says_what_it_does_not_show(tmp_path: Path) -> None:
    n = 90
    weights = np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]
    folder = headswap.from_arrays(weights[None, None], ["a"] * n, tmp_path / "long")
    with headswap.open(folder) as data, pytest.warns(UserWarning, match="the first 80 of 90"):
        data.figure("pattern")


# --- heads ------------------------------------------------------------------------------------


def test_a_head_has_the_patterns_of_transformer_lens(
    data: Dataset, reference: Reference, reference_session: Session
) -> None:
    head = data.head("adhd:L1H2")
    assert (head.name, head.model, head.layer, head.head) == ("adhd:L1H2", "adhd", 1, 2)
    ids = data.prompts.pl()["prompt_id"].to_list()
    for number, prompt_id in list(enumerate(ids))[:3]:
        expected = reference.patterns["adhd"][number][1, 2]
        np.testing.assert_allclose(head.pattern(prompt_id), expected, atol=2e-4)
        assert len(head.tokens(prompt_id)) == len(token_ids(reference_session, "adhd", prompt_id))
    rows = head.patterns.pl()
    assert rows["prompt_id"].unique().sort().to_list() == ids
    assert rows["weight"].sum() == pytest.approx(len(rows.unique(["prompt_id", "query"])), 1e-5)
    assert head.profile.pl()["n_queries"].sum() > 0
    scores = dict(head.scores.pl().select("score", "value").iter_rows())
    assert scores["structural"] == pytest.approx(
        np.mean(
            [
                np.concatenate(
                    [
                        pattern[1, 2][1:] @ structural
                        for pattern, structural in zip(
                            reference.patterns["adhd"], reference.structural, strict=True
                        )
                    ]
                )
            ]
        ),
        abs=1e-4,
    )


def test_a_heads_counterpart_is_the_verdict(data: Dataset) -> None:
    # The heads of adhd are those of standard in another order, so that each is found again.
    head = data.head("L1H2")
    assert head.name == "standard:L1H2"
    (row,) = (
        data.sql("select * from verdicts where model_a = 'standard' and layer_a = 1 and head_a = 2")
        .pl()
        .to_dicts()
    )
    found = head.counterpart
    assert found is not None
    assert head.counterparts == (found,)
    assert found.head == f"adhd:L{row['layer_b']}H{row['head_b']}"
    assert (found.value, found.p_value) == (row["value"], row["p_family"])
    assert found.is_beyond_chance == row["is_beyond_chance"]
    verb = "has a counterpart" if found.is_beyond_chance else "No head of adhd matches"
    assert verb in found.sentence


# --- making -----------------------------------------------------------------------------------


def test_ingest_is_that_of_the_command(ingested_reference: Path, tmp_path: Path) -> None:
    out = headswap.ingest(MODELS, None, tmp_path / "dataset")
    assert _hashes(out) == _hashes(ingested_reference)
    assert (out / "views.sql").is_file()


def test_prompts_are_texts_and_records(tmp_path: Path) -> None:
    tasks = (Path(headswap.__file__).parents[1] / "ingest/prompts/paired_tasks.jsonl").read_text()
    records = [json.loads(line) for line in tasks.splitlines()[:4]]
    given = [*records, {"text": "Make tea"}]
    model = {"standard": MODELS["standard"]}
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, given)))
    listed = headswap.ingest(model, [*records, "Make tea"], tmp_path / "listed")
    from_file = headswap.ingest(model, tmp_path / "prompts.jsonl", tmp_path / "from-file")
    assert _hashes(listed) == _hashes(from_file)
    with pytest.raises(headswap.InputError, match='prompt 1: "text" is missing, empty'):
        headswap.ingest(model, ["Make tea", ""], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def _hashes(dataset: Path) -> list[tuple[str, str]]:
    return sorted((entry.path, entry.sha256) for entry in read_manifest(dataset).files())


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda data: data.sql("selec 1"), "selec"),
        (lambda data: data.sql("select * from verdictz"), "verdictz"),
        (lambda data: data.sql("drop table models"), "a DROP statement does not only read"),
        (lambda data: data.sql("select 1; select 2"), "2 statements instead of one query"),
        (lambda data: data.head("nobody:L0H0"), "has no model 'nobody'"),
        (lambda data: data.head("L9H0"), "has no head L9H0"),
        (lambda data: data.head("three"), "'three' names no head"),
        (lambda data: data.head("L0H0").pattern(99), "analyses no prompt 99"),
        (lambda data: data.figure("pie"), "there is no figure 'pie'"),
        (lambda data: data.figure("profiles", theme="pink"), "there is no theme 'pink'"),
        (lambda data: data.figure("profiles", "L0H0", "L0H1", "L0H2"), "3 heads for one figure"),
        (lambda data: data.views["verdictz"], "there is no view 'verdictz'"),
        (lambda _: headswap.open("nowhere"), "nowhere"),
        (lambda _: headswap.ingest({}, None, "nowhere"), "there is no model to ingest"),
        (lambda _: headswap.ingest({"a": "demo:x"}, None, "nowhere"), "no demo model 'x'"),
        (lambda _: headswap.look("demo:x", "Make tea"), "no demo model 'x'"),
        (lambda _: headswap.look("demo:adhd", "Make tea", "three"), "'three' names no head"),
    ],
)
def test_what_cannot_be_done_is_one_error(
    work: Callable[[Dataset], object], message: str, data: Dataset
) -> None:
    with pytest.raises(headswap.HeadswapError) as caught:
        work(data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("nowhere").exists()


def test_a_traceback_ends_with_the_hint(data: Dataset) -> None:
    with pytest.raises(headswap.InputError) as caught:
        data.head("nobody:L0H0")
    assert traceback.format_exception(caught.value)[-1] == "Hint: it has standard, adhd\n"


def test_a_closed_dataset_says_so(reference_dataset: Path) -> None:
    data = headswap.open(reference_dataset)
    head = data.head("L0H0")
    data.close()
    data.close()
    for work in (lambda: data.sql("select 1"), lambda: data.views, lambda: head.scores):
        with pytest.raises(headswap.InputError, match="was closed"):
            work()
    assert repr(data).endswith("closed>")
    assert "was closed" in head._repr_html_()


# --- notebooks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda data: data, "<td>standard</td>"),
        (lambda data: data.views, "<td>verdicts</td>"),
        (lambda data: data.views["verdicts"], "<td>is_beyond_chance</td>"),
        (lambda data: data.head("adhd:L1H2"), "<svg"),
        (lambda data: data.head("adhd:L1H2").counterpart, "standard"),
        (lambda _: headswap.look(MODELS["adhd"], "Make <b>tea</b>", "L1H2"), "image/png;base64,"),
    ],
    ids=["dataset", "views", "view", "head", "counterpart", "look"],
)
def test_results_show_themselves_in_a_notebook(
    make: Callable[[Dataset], object], shown: str, data: Dataset
) -> None:
    result = make(data)
    formats, _ = DisplayFormatter().format(result)
    assert shown in formats["text/html"]
    assert "<b>tea</b>" not in formats["text/html"]
    assert formats["text/plain"] == repr(result)
    assert " at 0x" not in repr(result)


def test_relations_and_charts_show_themselves_too(data: Dataset) -> None:
    formats, _ = DisplayFormatter().format(data.models)
    assert "standard" in formats["text/plain"]
    formats, _ = DisplayFormatter().format(data.figure("profiles"))
    assert "vegaEmbed" in formats["text/html"]
    assert isinstance(data.figure("profiles"), alt.LayerChart)


# --- the import -------------------------------------------------------------------------------


def test_the_import_loads_nothing_that_it_does_not_need() -> None:
    code = "import sys, headswap; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"duckdb", "torch", "transformers", "altair", "polars", "pyarrow", "numpy", "msgspec"}
    assert heavy & set(loaded) == set()
    assert set(headswap.__all__) <= set(dir(headswap))
    # What tells a type checker of somebody else's project that this one states its types.
    assert Path(headswap.__file__).with_name("py.typed").is_file()
