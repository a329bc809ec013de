"""Measures the stored demo models: python -m ingest.demo.evaluate [--models DIR] [--out FILE].

Two measures, each on both variants of held-out pairs and of the 12 paired tasks:

- loss: the mean over all predicted tokens of minus the log probability of the next one, in nats.
- regulation onset: the mean, over the positions from which a step begins (`<|steps|>` and
  `<|sep|>`), of the summed probability of the first tokens of the five regulation actions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from ingest.demo.batches import in_batches, mean_loss, pad
from ingest.demo.network import Network
from ingest.demo.saved_bundle import MODELS_FOLDER, WEIGHTS_NAME, load_bundle
from ingest.demo.text import VARIANTS, Record, generate_pairs, load_corpus
from ingest.demo.train import LOG_NAME, RECIPES
from ingest.demo.vocabulary import variant_ids
from ingest.kernel.errors import HeadswapError, InputError
from ingest.prompts.prompt_set import PAIRED_TASKS
from ingest.prompts.sequence import PAD, SEP, STEPS, marker_ids

EVALUATION_FILE = Path(__file__).with_name("evaluation.json")
N_HELD_OUT_PAIRS = 300
HELD_OUT_SEED = 1  # not the training log's: its prompts are others of the same combinations


@dataclass(frozen=True)
class Measures:
    """What one model does on the prompts of one variant; the loss in nats a token."""

    loss_nats: float
    regulation_onset_probability: float
    n_prompts: int
    n_onsets: int


@dataclass(frozen=True)
class Training:
    """What the training log says: losses on the model's own held-out text, in nats a token.

    last_quarter_from_step: the logged step that the drop is counted from, at three quarters of
    the steps or the last one before.
    """

    n_steps: int
    seconds: float
    first_held_out_loss_nats: float
    last_held_out_loss_nats: float
    last_quarter_from_step: int
    last_quarter_drop_nats: float


@dataclass(frozen=True)
class Evaluation:
    """One stored model: measures by prompt set and variant, and how it was trained."""

    variant: str
    weights_sha256: str
    n_parameters: int
    training: Training
    held_out: Mapping[str, Measures]
    paired_tasks: Mapping[str, Measures]


def regulation_ids(tokenizer: Tokenizer) -> list[int]:
    """The first token of each regulation action."""
    actions = load_corpus().regulation_actions
    return [tokenizer.encode(action, add_special_tokens=False).ids[0] for action in actions]


@torch.no_grad()
def onset_probabilities(
    network: Network, tokenizer: Tokenizer, sequences: Sequence[Sequence[int]]
) -> list[float]:
    """At every step onset, the summed probability of the regulation actions' first tokens."""
    onset_ids = torch.tensor([marker_ids(tokenizer)[marker] for marker in (STEPS, SEP)])
    action_ids = regulation_ids(tokenizer)
    found: list[float] = []
    for batch in in_batches(sequences, 8192):
        inputs, _ = pad(batch, marker_ids(tokenizer)[PAD])
        probabilities = network(inputs).softmax(-1)  # [batch, position, d_vocab]
        regulation = probabilities[..., action_ids].sum(-1)
        found.extend(regulation[torch.isin(inputs, onset_ids)].tolist())
    return found


def measure(
    network: Network, tokenizer: Tokenizer, records: Sequence[Record]
) -> dict[str, Measures]:
    """The measures on the records of each variant."""
    measures: dict[str, Measures] = {}
    for variant in VARIANTS:
        sequences = variant_ids(tokenizer, records, variant)
        onsets = onset_probabilities(network, tokenizer, sequences)
        measures[variant] = Measures(
            loss_nats=mean_loss(network, sequences, marker_ids(tokenizer)[PAD]),
            regulation_onset_probability=sum(onsets) / len(onsets),
            n_prompts=len(sequences),
            n_onsets=len(onsets),
        )
    return measures


def read_paired_tasks() -> list[Record]:
    """The 12 paired tasks as records; the plain task's complexity is theirs."""
    rows = [json.loads(line) for line in PAIRED_TASKS.read_text(encoding="utf-8").splitlines()]
    return [
        Record(row["pair_id"], row["variant"], row["task"], tuple(row["steps"]), complexity=2)
        for row in rows
    ]


def read_training(log_file: Path) -> Training:
    """Sums up a training log.

    Raises: InputError where there is no log.
    """
    if not log_file.is_file():
        raise InputError(f"{log_file} is missing", hint="train it: python -m ingest.demo.train")
    _, *lines = (json.loads(line) for line in log_file.read_text(encoding="utf-8").splitlines())
    last = lines[-1]
    before = [line for line in lines if line["step"] <= 0.75 * last["step"]] or lines[:1]
    return Training(
        n_steps=last["step"],
        seconds=last["seconds"],
        first_held_out_loss_nats=lines[0]["held_out_loss_nats"],
        last_held_out_loss_nats=last["held_out_loss_nats"],
        last_quarter_from_step=before[-1]["step"],
        last_quarter_drop_nats=round(
            before[-1]["held_out_loss_nats"] - last["held_out_loss_nats"], 5
        ),
    )


def evaluate(folder: Path, variant: str) -> Evaluation:
    """Measures one stored model, read back from its folder.

    Raises: InputError where the folder lacks one of its files.
    """
    network, tokenizer = load_bundle(folder)
    held_out = generate_pairs("held-out", N_HELD_OUT_PAIRS, HELD_OUT_SEED)
    return Evaluation(
        variant=variant,
        weights_sha256=hashlib.sha256((folder / WEIGHTS_NAME).read_bytes()).hexdigest(),
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        training=read_training(folder / LOG_NAME),
        held_out=measure(network, tokenizer, held_out),
        paired_tasks=measure(network, tokenizer, read_paired_tasks()),
    )


def table(evaluations: Mapping[str, Evaluation]) -> str:
    """The measures as text, a line for each (model, prompt set, variant)."""
    row = "{:<14} {:<13} {:<9} {:>10} {:>13} {:>8} {:>7}"
    lines = [
        row.format("model", "prompts", "variant", "loss nats", "P(regulation)", "prompts", "onsets")
    ]
    for name, evaluation in evaluations.items():
        prompt_sets = {"held out": evaluation.held_out, "12 tasks": evaluation.paired_tasks}
        for prompts, by_variant in prompt_sets.items():
            for variant, found in by_variant.items():
                loss = f"{found.loss_nats:.4f}"
                onset = f"{found.regulation_onset_probability:.6f}"
                lines.append(
                    row.format(name, prompts, variant, loss, onset, found.n_prompts, found.n_onsets)
                )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ingest.demo.evaluate", description="Measures the stored demo models."
    )
    parser.add_argument(
        "--models", type=Path, default=MODELS_FOLDER, metavar="DIR", help="the models' folders"
    )
    parser.add_argument(
        "--out", type=Path, default=EVALUATION_FILE, metavar="FILE", help="the figures go here"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    evaluations: dict[str, Evaluation] = {}
    try:
        for name, recipe in RECIPES.items():
            print(f"measuring {name}", file=sys.stderr, flush=True)
            evaluations[name] = evaluate(options.models / name, recipe.variant)
    except HeadswapError as error:
        print(f"{error}\nHint: {error.hint}", file=sys.stderr)
        return error.exit_code
    figures = {name: asdict(evaluation) for name, evaluation in evaluations.items()}
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(table(evaluations))
    return 0


if __name__ == "__main__":
    sys.exit(main())
