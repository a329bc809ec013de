"""The generated text that the demo models learn from: pairs of task and steps.

A task is an activity, an object and a phrase for its scale; the scale decides the complexity (1-5)
and with it the number of steps. The standard variant lists the coarse steps, the ADHD variant the
smaller steps of each with regulation actions between them. The words are in `activities.toml`.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ingest.kernel.errors import InputError

ACTIVITIES_FILE = Path(__file__).with_name("activities.toml")
VARIANTS = ("standard", "adhd")
SPLITS = ("train", "held-out")
COMPLEXITIES = (1, 2, 3, 4, 5)

# In each category, object o is held out of activity a where o % 7 == (2 a + 1) % 7: an object is
# held out of one activity at most, so its words can be learnt from the category's others.
HELD_OUT_PERIOD = 7
# A regulation action follows a smaller step (the last excepted) with this probability.
REGULATION_RATE = 0.6

# A task's object has an adjective, and the task a companion, each with this probability.
DETAIL_RATE = 0.4

_CHOICE = re.compile(r"\[([^]]+)]")


@dataclass(frozen=True)
class StepPlan:
    """One coarse step, the smaller steps it is made of, and the complexity it appears from."""

    level: int
    coarse: str
    small: tuple[str, ...]


@dataclass(frozen=True)
class Combination:
    """An activity with one of its category's objects; words fill the slots of its templates."""

    activity: str
    object: str
    task: str
    plan: tuple[StepPlan, ...]
    words: Mapping[str, str]
    split: str


@dataclass(frozen=True)
class Record:
    """One generated prompt; the two variants of a pair share pair_id, task and complexity."""

    pair_id: int
    variant: str
    task: str
    steps: tuple[str, ...]
    complexity: int


@dataclass(frozen=True)
class Corpus:
    """All that records are generated from."""

    combinations: tuple[Combination, ...]
    scales: Mapping[int, tuple[str, ...]]
    adjectives: tuple[str, ...]
    companions: tuple[str, ...]
    synonyms: Mapping[str, tuple[str, ...]]
    regulation_actions: tuple[str, ...]
    reserved_tasks: frozenset[str]


def with_article(noun: str) -> str:
    """The noun with its indefinite article.

    >>> with_article("exam"), with_article("quiz")
    ('an exam', 'a quiz')
    """
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


def held_out(activity_index: int, object_index: int) -> bool:
    """Whether an (activity, object) combination of a category is kept from training."""
    return object_index % HELD_OUT_PERIOD == (2 * activity_index + 1) % HELD_OUT_PERIOD


@cache
def load_corpus() -> Corpus:
    """Reads `activities.toml`."""
    content = tomllib.loads(ACTIVITIES_FILE.read_text(encoding="utf-8"))
    categories = {name: table for name, table in content.items() if "activities" in table}
    return Corpus(
        combinations=tuple(
            combination
            for category, table in categories.items()
            for combination in _combinations(category, table)
        ),
        scales={int(level): tuple(phrases) for level, phrases in content["scales"].items()},
        adjectives=tuple(content["details"]["adjectives"]),
        companions=tuple(content["details"]["companions"]),
        synonyms={word: tuple(row) for row in content["synonyms"]["rows"] for word in row},
        regulation_actions=tuple(content["regulation"]["actions"]),
        reserved_tasks=frozenset(content["reserved"]["tasks"]),
    )


def _combinations(category: str, table: Mapping[str, Any]) -> Iterator[Combination]:
    for activity_index, (activity, entry) in enumerate(table["activities"].items()):
        plan = tuple(
            StepPlan(level, coarse, tuple(small)) for level, coarse, *small in entry["steps"]
        )
        for object_index, (noun, words) in enumerate(table["objects"].items()):
            is_held_out = held_out(activity_index, object_index)
            yield Combination(
                activity=f"{category}.{activity}",
                object=noun,
                task=entry["task"],
                plan=plan,
                words=words,
                split="held-out" if is_held_out else "train",
            )


def fill(template: str, words: Mapping[str, str], rng: random.Random) -> str:
    """A template with its free choices made and its slots filled.

    >>> fill("[Wipe|Dust] {surface}", {"surface": "desk"}, random.Random(0))
    'Dust desk'
    """
    if "[" in template:
        template = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
    return template.format_map(words)


def with_synonym(step: str, synonyms: Mapping[str, tuple[str, ...]], rng: random.Random) -> str:
    """The step with its first word exchanged for one of its row, where it has one."""
    first, space, rest = step.partition(" ")
    return rng.choice(synonyms[first]) + space + rest if first in synonyms else step


def with_companion(steps: list[str], companion: str) -> list[str]:
    """The steps, the first and the last done with the companion.

    >>> with_companion(["Open bank", "Read", "Pay bills"], " with Anna")
    ['Open bank with Anna', 'Read', 'Pay bills with Anna']
    """
    return [steps[0] + companion, *steps[1:-1], steps[-1] + companion]


def with_regulation(
    small_steps: list[str], actions: tuple[str, ...], rng: random.Random
) -> list[str]:
    """The smaller steps with regulation actions between them.

    Never two actions in a row, none at either end, and none again before all were used.
    """
    steps: list[str] = []
    unused: list[str] = []
    for index, step in enumerate(small_steps):
        steps.append(step)
        if index + 1 < len(small_steps) and rng.random() < REGULATION_RATE:
            unused = unused or rng.sample(actions, len(actions))
            steps.append(unused.pop())
    return steps


def _pair(pair_id: int, corpus: Corpus, item: Combination, rng: random.Random) -> list[Record]:
    complexity = rng.choice(COMPLEXITIES)
    noun, companion = item.object, ""
    if rng.random() < DETAIL_RATE:
        noun = f"{rng.choice(corpus.adjectives)} {noun}"
    if rng.random() < DETAIL_RATE:
        companion = f" with {rng.choice(corpus.companions)}"
    words = {**item.words, "object": noun, "an_object": with_article(noun)}

    def steps_from(templates: list[str]) -> list[str]:
        filled = [fill(template, words, rng) for template in templates]
        return with_companion(
            [with_synonym(step, corpus.synonyms, rng) for step in filled], companion
        )

    task = fill(item.task, words, rng) + companion
    task = f"{task} {rng.choice(corpus.scales[complexity])}".rstrip()
    plan = [step for step in item.plan if step.level <= complexity]
    coarse = steps_from([step.coarse for step in plan])
    small = steps_from([template for step in plan for template in step.small])
    adhd = with_regulation(small, corpus.regulation_actions, rng)
    return [
        Record(pair_id, variant, task, tuple(steps), complexity)
        for variant, steps in zip(VARIANTS, (coarse, adhd), strict=True)
    ]


def generate_pairs(split: str, n_pairs: int, seed: int) -> list[Record]:
    """The records of n_pairs pairs, both variants of each, the same for the same arguments.

    Raises: InputError where the split is neither ``train`` nor ``held-out``.
    """
    if split not in SPLITS:
        raise InputError(f"no split named {split!r}", hint=f"the splits are {', '.join(SPLITS)}")
    corpus = load_corpus()
    combinations = [item for item in corpus.combinations if item.split == split]
    rng = random.Random(f"{seed} {split}")
    records: list[Record] = []
    pair_id = 0
    while pair_id < n_pairs:
        pair = _pair(pair_id, corpus, rng.choice(combinations), rng)
        if pair[0].task not in corpus.reserved_tasks:
            records.extend(pair)
            pair_id += 1
    return records
