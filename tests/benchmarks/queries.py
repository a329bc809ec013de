"""Queries over many rows against a bare scan of one column; start-up of the command.

The dataset is drawn, not computed: rows of a softmax through the ordinary writer.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.writer import Triangle, attention_file, file_entry
from ingest.producers.batches import plan_batches
from sql.access.limits import Limits
from sql.parameters import Parameters
from sql.session import open_session
from tests.benchmarks.measure import Figure, best, exponent, peak_of
from tests.support.synthetic import SyntheticModel, commit_rows, prompt_row

MODELS = ("standard", "adhd")
N_LAYERS, N_HEADS = 6, 8
_PAIR = tuple(SyntheticModel(model, N_LAYERS, N_HEADS) for model in MODELS)
# Models of more heads, together 612, for which 60 prompts of 30 to 84 tokens are 66 M rows.
LARGE = tuple(SyntheticModel(name, n_layers=17, n_heads=12) for name in ("a", "b", "c"))
_LARGE_TOKENS = (30, 84)
_BINS = 20
_MARKERS = ("<|task|>", "<|steps|>", "<|sep|>", "<|end|>")
# The whole analysis: all profiles, all cosines, the ranking.
ANALYSIS = "select count(*), sum(value), sum(margin) from similarity_ranking"
SCAN = "select layer, head, sum(weight) from attention_rows group by all"
ONE_HEAD = (
    "select count(*), sum(weight) from attention where model = 'adhd' and layer = 3 and head = 5"
)


def drawn_dataset(
    path: Path,
    n_rows: int,
    models: Sequence[SyntheticModel] = _PAIR,
    n_tokens: tuple[int, int] = (30, 64),
    seed: int = 0,
) -> Path:
    """Writes models on prompts of `n_tokens`, least and most, about `n_rows` rows in all."""
    generator = np.random.default_rng(seed)
    n_heads = sum(model.n_layers * model.n_heads for model in models)
    sizes = np.arange(n_tokens[0], n_tokens[1] + 1)
    n_prompts = max(1, round(n_rows / (n_heads * (sizes * (sizes + 1) / 2).mean())))
    words = [_words(int(n)) for n in generator.choice(sizes, n_prompts)]
    lengths = [len(prompt) for prompt in words]
    attention = []
    for model in models:
        for number, batch in enumerate(plan_batches(lengths, model.n_heads)):
            triangle = Triangle(batch.members, [lengths[n] for n in batch.members], is_causal=True)
            part = STORED_TABLES["attention"].path(number, model.name)
            with attention_file(path / part, triangle, model.name) as file:
                for layer in range(model.n_layers):
                    weights = generator.random((model.n_heads, len(triangle)), dtype=np.float32)
                    starts = np.flatnonzero(triangle.key == 0)
                    sums = np.add.reduceat(weights, starts, axis=1)
                    weights /= np.repeat(sums, np.diff([*starts, len(triangle)]), axis=1)
                    file.write_layer(layer, weights)
            attention.append(file_entry(path, part, file.rows, model.name))
    prompts = [prompt_row(number, "task", ["step"]) for number in range(n_prompts)]
    commit_rows(path, models, attention, prompts, words)
    return path


def _words(n_tokens: int) -> list[str]:
    """A task of five words, then steps of five, their markers between."""
    words = ["<|task|>", *(f"task{n}" for n in range(5)), "<|steps|>"]
    # Of 23 words, so that some come again.
    words += [
        "<|sep|>" if n % 6 == 5 else f"word{n * n % 23}" for n in range(n_tokens - len(words) - 1)
    ]
    return [*words, "<|end|>"]


def figures(n_rows: int, rounds: int) -> Iterator[Figure]:
    """The analysis over a scan, from the mart, of one head, in little memory; the straight line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = drawn_dataset(folder / "dataset", n_rows)
        works: dict[str, Callable[[], object]] = {
            "scan": partial(_ask, dataset, SCAN, True),
            "analysis": partial(_ask, dataset, ANALYSIS, True),
            "in 1 GB": partial(_ask, dataset, ANALYSIS, True, Limits(memory=10**9)),
            "numpy": partial(numpy_way, dataset),
        }
        found = best(works, rounds)
        peaks = {what: peak_of(work) for what, work in works.items()}
        n = f"{n_rows / 1e6:.0f} M rows"

        def over(what: str, above: str, below: str, bar: float, reach: float) -> Figure:
            ratio, pair = found[above] / found[below], (peaks[above], peaks[below])
            return Figure(what, ratio, bar, reach, is_least=above == "numpy", peaks=pair)

        what = f"all profiles, cosines and ranking over a scan, {n}"
        yield over(what, "analysis", "scan", 1.5, 1.2)
        yield over("numpy in memory over the same", "numpy", "analysis", 1, 1)
        what = "the same in 1 GB over that without a limit"
        yield over(what, "in 1 GB", "analysis", math.inf, 1)
        # What was computed above is kept beside the data.
        again = {"analysis": (ANALYSIS, False), "head": (ONE_HEAD, False)}
        found = _best(dataset, again, max(rounds, 5))
        yield Figure("the same from the mart", found["analysis"], 0.2, 0.05, " s")
        yield Figure(f"one head's rows of {n}", found["head"], 0.1, 0.04, " s")


def numpy_way(dataset: Path) -> float:
    """The analysis with every row in memory, as a notebook would: the sum of all cosines."""
    tokens = pq.read_table(dataset / "tokens.parquet").to_pandas()
    lengths = tokens.groupby("prompt_id").size().to_numpy()
    marks = np.zeros((len(lengths), max(lengths)), dtype=bool)
    marks[tokens["prompt_id"], tokens["position"]] = tokens["is_structural"]
    queries = tokens["position"] * _BINS // lengths[tokens["prompt_id"]]
    n_queries = np.bincount(queries[tokens["position"] > 0], minlength=_BINS)
    profiles = []
    for model in MODELS:
        table = pq.read_table(dataset / "attention" / model, partitioning=None)
        numbers = [name for name in table.column_names if name != "model"]
        rows = {name: table[name].to_numpy() for name in numbers}
        bins = rows["query"] * _BINS // lengths[rows["prompt_id"]]
        cells = (rows["layer"].astype(np.int64) * N_HEADS + rows["head"]) * _BINS + bins
        # The first query, which has one key to look at, is no part of a profile.
        weights = rows["weight"] * (marks[rows["prompt_id"], rows["key"]] & (rows["query"] > 0))
        mass = np.bincount(cells, weights, minlength=N_LAYERS * N_HEADS * _BINS)
        profile = mass.reshape(-1, _BINS) / n_queries
        profiles.append(profile / np.linalg.norm(profile, axis=1, keepdims=True))
    return float((profiles[0] @ profiles[1].T).sum())


def scores(rounds: int) -> Iterator[Figure]:
    """Scores with intervals of many heads, from the rows and from what was kept."""
    with tempfile.TemporaryDirectory() as name:
        dataset = drawn_dataset(Path(name) / "dataset", 66_000_000, LARGE, _LARGE_TOKENS)
        query = "select count(*), sum(value), sum(low), sum(high) from head_scores"
        works = {
            "anew": partial(_ask, dataset, query, True),
            "kept": partial(_ask, dataset, query, False),
        }
        found = best(works, rounds)
        peak = peak_of(works["anew"])
        what = "head scores with intervals, 612 heads, 60 prompts, 66 M rows"
        yield Figure(what, found["anew"], 8, 5, " s", peaks=(peak,))
        yield Figure("the same from the mart", found["kept"], 0.3, 0.1, " s")


def growth(n_rows: int, rounds: int) -> Iterator[Figure]:
    """How the time of the analysis grows while the rows double three times."""
    sizes = [n_rows, 2 * n_rows, 4 * n_rows, 8 * n_rows]
    with tempfile.TemporaryDirectory() as name:
        seconds = []
        for size in sizes:
            dataset = drawn_dataset(Path(name) / str(size), size)
            seconds.append(_best(dataset, {"analysis": (ANALYSIS, True)}, rounds)["analysis"])
            shutil.rmtree(dataset)
    yield exponent("analysis", sizes, seconds)


def start_up(rounds: int) -> Iterator[Figure]:
    """The command from its start to its end."""
    with tempfile.TemporaryDirectory() as name:
        dataset = drawn_dataset(Path(name) / "dataset", 200_000)
        words = {"headswap --help": ["--help"], "headswap sql": ["sql", str(dataset), "select 1"]}
        found = best({what: partial(_run, given) for what, given in words.items()}, rounds)
        yield Figure("headswap --help", found["headswap --help"], 0.08, 0.05, " s")
        yield Figure('headswap sql DATASET "select 1"', found["headswap sql"], 0.3, 0.2, " s")


def _run(words: list[str]) -> None:
    command = [sys.executable, "-m", "headswap", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _best(dataset: Path, queries: dict[str, tuple[str, bool]], rounds: int) -> dict[str, float]:
    """The best time of each query, a session each; True for one without what earlier ones kept."""
    works = {
        what: partial(_ask, dataset, query, is_anew) for what, (query, is_anew) in queries.items()
    }
    return best(works, rounds)


def _ask(dataset: Path, query: str, is_anew: bool, limits: Limits | None = None) -> None:
    if is_anew:
        shutil.rmtree(dataset / "views", ignore_errors=True)
    with open_session(dataset, Parameters(), limits) as session:
        session.rows(query)
