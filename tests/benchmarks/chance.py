"""Whether chance is told from likeness: false alarms of unrelated models, recovery under noise.

`python -m tests.benchmarks.chance` prints both tables and writes docs/chance.json and the picture.
The networks are the demo models' own; everything else is NumPy and `sql.computed.chance`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import torch
from numpy.typing import NDArray

from ingest.demo.network import Network
from ingest.demo.saved_bundle import MODELS_FOLDER, load_bundle
from ingest.demo.vocabulary import token_ids
from ingest.prompts.prompt_set import PAIRED_TASKS, read_prompts
from ingest.prompts.sequence import marker_ids
from sql.computed.chance import best_under_rotation
from tests.support.oracles.statistics import cosines, profile, profile_sums

Floats = NDArray[np.float64]

DOCS = Path(__file__).parents[2] / "docs"
BINS = 20
N_DRAWS = 1000
N_REJECTED = 40  # pairs on which the slow null that was not chosen is shown
LEVELS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
NULLS = ("heads rotated within layers", "heads rotated across layers", "bins rotated")


class Prompts:
    """The 12 tasks as the demo models read them, and profiles on them."""

    def __init__(self) -> None:
        self.network, tokenizer = load_bundle(MODELS_FOLDER / "standard-1")
        markers = list(marker_ids(tokenizer).values())
        self.ids = [
            token_ids(tokenizer, prompt.task or "", prompt.steps or ())
            for prompt in read_prompts(PAIRED_TASKS, "standard").prompts
        ]
        self.structural = [np.isin(ids, markers) for ids in self.ids]

    def profiles(self, network: Network) -> Floats:
        """`[head, bin]`, the heads flat."""
        width = max(map(len, self.ids))
        padded = torch.zeros(len(self.ids), width, dtype=torch.long)
        for row, ids in enumerate(self.ids):
            padded[row, : len(ids)] = torch.tensor(ids)
        with torch.inference_mode():
            stacked = network.patterns(padded).double().numpy()
        patterns = [
            stacked[:, row, :, : len(ids), : len(ids)].reshape(-1, len(ids), len(ids))
            for row, ids in enumerate(self.ids)
        ]
        sums, counts = profile_sums(patterns, self.structural, no_sink=False, bins=BINS)
        return profile(sums, counts, np.ones(len(self.ids)), centred=False)

    def within_layers(
        self, a: Floats, b: Floats, n_draws: int, generator: np.random.Generator
    ) -> Floats:
        """The null that was chosen, `[draw, head of a]`."""
        layers = np.repeat(np.arange(self.network.shape.n_layers), self.network.shape.n_heads)
        return best_under_rotation(a, b, layers, n_draws, generator)

    def untrained(self, seed: int) -> Floats:
        """The profiles of a network of the same shape with weights drawn from a seed."""
        network = Network(self.network.shape)
        network.initialize(torch.Generator().manual_seed(seed))
        return self.profiles(network.eval())


def across_layers(a: Floats, b: Floats, n_draws: int, generator: np.random.Generator) -> Floats:
    """A null that was not chosen: all heads of b mixed, whatever their layer."""
    return best_under_rotation(a, b, np.zeros(len(b), dtype=int), n_draws, generator)


def rotated_bins(a: Floats, b: Floats, n_draws: int, generator: np.random.Generator) -> Floats:
    """Another: the deviations of b's heads turned in the space of bins."""
    mean = b.mean(axis=0)
    found = []
    for _ in range(n_draws):
        orthogonal, triangle = np.linalg.qr(generator.standard_normal((BINS, BINS)))
        turned = (b - mean) @ (orthogonal * np.sign(np.diag(triangle)))
        found.append(cosines(a, mean + turned).max(axis=1))
    return np.array(found)


def strongest_p_value(a: Floats, b: Floats, null: Floats) -> float:
    """The lowest p_family of any head of a, as in the view match_statistics."""
    limit = 1 - 1e-12
    fisher = np.arctanh(np.clip(null, -limit, limit))
    centre, deviation = fisher.mean(axis=0), fisher.std(axis=0, ddof=1)
    observed = np.arctanh(np.clip(cosines(a, b).max(axis=1), -limit, limit))
    strongest = ((fisher - centre) / deviation).max(axis=1)
    score = ((observed - centre) / deviation).max()
    return float((1 + (strongest >= score).sum()) / (1 + len(null)))


def false_alarms(prompts: Prompts, n_pairs: int) -> Iterator[dict[str, Any]]:
    """The lowest p_family of each pair of unrelated networks, by null and similarity."""
    draw: dict[str, Callable[..., Floats]] = dict(
        zip(NULLS, (prompts.within_layers, across_layers, rotated_bins), strict=True)
    )
    for pair in range(n_pairs):
        raw = [prompts.untrained(2 * pair + side) for side in (1, 2)]
        for similarity in ("profile", "profile_centred"):
            a, b = (
                heads - heads.mean(axis=0) if similarity.endswith("centred") else heads
                for heads in raw
            )
            for null, function in draw.items():
                # What was rejected is clear from fewer draws, the slowest from fewer pairs too.
                if null == NULLS[2] and pair >= N_REJECTED:
                    continue
                n_draws = N_DRAWS if null == NULLS[0] else N_DRAWS // 5
                generator = np.random.default_rng([pair, 0])
                p_value = strongest_p_value(a, b, function(a, b, n_draws, generator))
                yield {"pair": pair, "similarity": similarity, "null": null, "p_value": p_value}
        print(f"\rpair {pair + 1} of {n_pairs}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def recovery(prompts: Prompts) -> Iterator[dict[str, Any]]:
    """What is left of a copy whose heads were permuted and whose weights were disturbed."""
    heads = prompts.profiles(prompts.network)
    clean = {name: tensor.clone() for name, tensor in prompts.network.state_dict().items()}
    shape = prompts.network.shape
    generator = np.random.default_rng(0)
    # Within layers, so that the layers of the copy are layers.
    places = np.concatenate(
        [
            layer * shape.n_heads + generator.permutation(shape.n_heads)
            for layer in range(shape.n_layers)
        ]
    )
    for level in LEVELS:
        for seed in range(5 if level else 1):
            noises = torch.Generator().manual_seed(seed)
            for name, parameter in prompts.network.named_parameters():
                noise = torch.randn(parameter.shape, generator=noises)
                parameter.data = clean[name] + level * clean[name].std() * noise
            copy = prompts.profiles(prompts.network)[places]
            for similarity in ("profile", "profile_centred"):
                a, b = (
                    found - found.mean(axis=0) if similarity.endswith("centred") else found
                    for found in (heads, copy)
                )
                values = cosines(a, b)
                null = prompts.within_layers(a, b, N_DRAWS, np.random.default_rng(seed))
                found = places[values.argmax(axis=1)] == np.arange(len(heads))
                yield {
                    "level": level,
                    "seed": seed,
                    "similarity": similarity,
                    "recovered": float(found.mean()),
                    "excess": float((values.max(axis=1) - null.mean(axis=0)).mean()),
                    "p_value": strongest_p_value(a, b, null),
                }
    prompts.network.load_state_dict(clean)


def picture(alarms: list[dict[str, Any]], noise: list[dict[str, Any]]) -> alt.HConcatChart:
    """Calibration beside recovery."""
    below = alt.Legend(orient="bottom")
    levels = np.linspace(0.01, 1, 100)
    rows = []
    for null in NULLS:
        for similarity in ("profile", "profile_centred"):
            chosen = [r for r in alarms if (r["null"], r["similarity"]) == (null, similarity)]
            p_values = np.array([row["p_value"] for row in chosen])
            rows += [
                {"level": float(x), "share": float((p_values <= x).mean())}
                | {"null": null, "similarity": similarity}
                for x in levels
            ]
    calibration = (
        alt.Chart(alt.Data(values=rows), title="Unrelated models: share called significant")
        .mark_line()
        .encode(
            x=alt.X("level:Q", title="family-wise level"),
            y=alt.Y("share:Q", title="pairs with any head below it (share)"),
            color=alt.Color("null:N", title="chance means", legend=below),
            strokeDash=alt.StrokeDash("similarity:N", title="similarity", legend=below),
        )
    )
    diagonal = (
        alt.Chart(alt.Data(values=[{"x": 0, "y": 0}, {"x": 1, "y": 1}]))
        .mark_line(color="#999", strokeDash=[2, 3])
        .encode(x="x:Q", y="y:Q")
    )
    long = [
        {"level": f"{row['level']:.0%}", "similarity": row["similarity"]}
        | {"measure": measure, "value": row[measure]}
        for row in noise
        for measure in ("recovered", "excess")
    ]
    curve = (
        alt.Chart(alt.Data(values=long))
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "level:O",
                title="noise on the weights, of their standard deviation",
                sort=[f"{level:.0%}" for level in LEVELS],
                axis=alt.Axis(labelAngle=0),
            ),
            y=alt.Y("mean(value):Q", title=None),
            color=alt.Color("similarity:N", title="similarity", legend=below),
        )
        .properties(width=300, height=130)
        .facet(row=alt.Row("measure:N", title=None, sort=["recovered", "excess"]))
        .resolve_scale(y="independent")
        .properties(title="A permuted, disturbed copy: heads found, mean excess")
    )
    chart: alt.HConcatChart = alt.hconcat(
        (diagonal + calibration).properties(width=320, height=320), curve
    ).resolve_scale(color="independent")
    return chart


def main() -> int:
    """Prints the tables, writes docs/chance.json and docs/chance.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=200, help="pairs of unrelated models")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of chance.json and .png")
    arguments = parser.parse_args()
    prompts = Prompts()
    noise = list(recovery(prompts))
    print("| noise | similarity | heads found | mean excess | lowest p_family |")
    print("|---|---|---|---|---|")
    for level in LEVELS:
        for similarity in ("profile", "profile_centred"):
            rows = [r for r in noise if (r["level"], r["similarity"]) == (level, similarity)]
            mean = {
                name: np.mean([row[name] for row in rows])
                for name in ("recovered", "excess", "p_value")
            }
            print(
                f"| {level:.0%} | {similarity} | {mean['recovered']:.3f} | {mean['excess']:.4f} "
                f"| {mean['p_value']:.3f} |"
            )
    alarms = list(false_alarms(prompts, arguments.pairs))
    print("\n| chance means | similarity | pairs | any head at 5 % |\n|---|---|---|---|")
    for null in NULLS:
        for similarity in ("profile", "profile_centred"):
            chosen = [r for r in alarms if (r["null"], r["similarity"]) == (null, similarity)]
            share = np.mean([row["p_value"] <= 0.05 for row in chosen])
            print(f"| {null} | {similarity} | {len(chosen)} | {share:.1%} |")
    (arguments.out / "chance.json").write_text(
        json.dumps({"false_alarms": alarms, "recovery": noise}, indent=0) + "\n"
    )
    picture(alarms, noise).save(arguments.out / "chance.png", scale_factor=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
