"""The generated text of the demo models, and the tokenizer trained on it."""

from __future__ import annotations

import itertools
import json

import pytest

from ingest.demo.text import (
    COMPLEXITIES,
    SPLITS,
    VARIANTS,
    Record,
    generate_pairs,
    load_corpus,
)
from ingest.demo.vocabulary import VOCABULARY_SIZE, token_ids, train_tokenizer
from ingest.kernel.errors import InputError
from ingest.prompts.prompt_set import PAIRED_TASKS
from ingest.prompts.sequence import MARKERS, sequence_text

N_PAIRS = 400


@pytest.fixture(scope="module")
def records():
    """Pairs of both splits."""
    return [record for split in SPLITS for record in generate_pairs(split, N_PAIRS, seed=5)]


@pytest.fixture(scope="module")
def train_records(records):
    return records[: 2 * N_PAIRS]


def is_regulation(step):
    return step in load_corpus().regulation_actions


@pytest.mark.parametrize("split", SPLITS)
def test_pairs_same_seed_are_the_same(split):
    assert generate_pairs(split, 20, seed=3) == generate_pairs(split, 20, seed=3)


def test_pairs_other_seed_are_others():
    assert generate_pairs("train", 20, seed=3) != generate_pairs("train", 20, seed=4)


def test_pairs_fewer_are_the_first_of_more():
    assert generate_pairs("train", 10, seed=3) == generate_pairs("train", 20, seed=3)[:20]


def test_pairs_unknown_split_is_an_input_error():
    with pytest.raises(InputError, match="no split named 'test'"):
        generate_pairs("test", 1, seed=0)


def test_pair_shares_task_and_complexity(train_records):
    for standard, adhd in zip(train_records[::2], train_records[1::2], strict=True):
        assert (standard.variant, adhd.variant) == VARIANTS
        assert (standard.pair_id, standard.task, standard.complexity) == (
            adhd.pair_id,
            adhd.task,
            adhd.complexity,
        )


def test_activity_has_each_level_of_steps():
    for combination in load_corpus().combinations:
        levels = sorted(step.level for step in combination.plan)
        assert levels == [1, 1, 1, 2, 3, 4, 5], combination.activity


def test_standard_steps_number_complexity_plus_two(records):
    for record in records:
        if record.variant == "standard":
            assert len(record.steps) == record.complexity + 2


def test_adhd_smaller_steps_outnumber_standard_steps(records):
    for standard, adhd in zip(records[::2], records[1::2], strict=True):
        smaller = [step for step in adhd.steps if not is_regulation(step)]
        assert len(smaller) >= 2 * len(standard.steps)


def test_adhd_mean_number_of_steps_grows_with_complexity(records):
    means = []
    for complexity in COMPLEXITIES:
        counts = [
            len(record.steps)
            for record in records
            if record.variant == "adhd" and record.complexity == complexity
        ]
        means.append(sum(counts) / len(counts))
    assert means == sorted(means)


def test_complexity_follows_from_the_task(records):
    scales = load_corpus().scales
    phrase_levels = {phrase: level for level, row in scales.items() for phrase in row if phrase}
    for record in records:
        found = [level for text, level in phrase_levels.items() if record.task.endswith(text)]
        assert (found or [2]) == [record.complexity], record.task


def test_regulation_stands_between_smaller_steps(records):
    for record in records:
        flags = [is_regulation(step) for step in record.steps]
        assert not flags[0]
        assert not flags[-1]
        assert not any(this and following for this, following in itertools.pairwise(flags))
        if record.variant == "standard":
            assert not any(flags)


def test_regulation_does_not_repeat_before_all_were_used(records):
    n_actions = len(load_corpus().regulation_actions)
    for record in records:
        used = [step for step in record.steps if is_regulation(step)]
        for start in range(0, len(used), n_actions):
            cycle = used[start : start + n_actions]
            assert len(set(cycle)) == len(cycle)


def test_ordinary_steps_begin_with_a_capital_letter(records):
    for record in records:
        for step in record.steps:
            assert step[0].isupper() != is_regulation(step)


def test_splits_share_no_combination_and_no_task():
    split_of: dict[tuple[str, str], str] = {}
    for item in load_corpus().combinations:
        assert split_of.setdefault((item.activity, item.object), item.split) == item.split
    tasks = {
        split: {record.task for record in generate_pairs(split, N_PAIRS, seed=0)}
        for split in SPLITS
    }
    assert tasks["train"].isdisjoint(tasks["held-out"])


def test_held_out_words_occur_in_training():
    combinations = load_corpus().combinations
    train = [item for item in combinations if item.split == "train"]
    assert {item.activity for item in train} == {item.activity for item in combinations}
    assert {item.object for item in train} == {item.object for item in combinations}
    assert 0.1 < 1 - len(train) / len(combinations) < 0.2


def test_paired_tasks_are_never_generated(records):
    paired = {
        json.loads(line)["task"] for line in PAIRED_TASKS.read_text(encoding="utf-8").splitlines()
    }
    assert paired == load_corpus().reserved_tasks
    assert not paired & {record.task for record in records}


@pytest.fixture(scope="module")
def tokenizer(train_records):
    return train_tokenizer(train_records)


def test_tokenizer_markers_come_last(tokenizer):
    assert tokenizer.get_vocab_size() == VOCABULARY_SIZE
    first = VOCABULARY_SIZE - len(MARKERS)
    assert [tokenizer.token_to_id(marker) for marker in MARKERS] == [
        first + index for index in range(len(MARKERS))
    ]


def test_tokenizer_round_trip(tokenizer, records):
    for record in [*records[:20], Record(0, "standard", "Größe: 3 m² – ok?", ("Ein Schritt",), 2)]:
        ids = token_ids(tokenizer, record.task, record.steps)
        text = tokenizer.decode(ids, skip_special_tokens=False)
        spaced = sequence_text(f" {record.task}", [f" {step}" for step in record.steps])
        assert text == spaced


def test_tokenizer_trained_twice_is_the_same(tokenizer, train_records):
    assert train_tokenizer(train_records).to_str() == tokenizer.to_str()


def test_tokenizer_regulation_actions_begin_differently(tokenizer, records):
    actions = load_corpus().regulation_actions
    first = {tokenizer.encode(action).ids[0] for action in actions}
    assert len(first) == len(actions)
    ordinary = {
        tokenizer.encode(step).ids[0]
        for record in records
        for step in record.steps
        if not is_regulation(step)
    }
    assert not first & ordinary


def test_sequences_fit_the_context(tokenizer, records):
    lengths = [len(token_ids(tokenizer, record.task, record.steps)) for record in records[::8]]
    lengths += [len(token_ids(tokenizer, record.task, record.steps)) for record in records[1::8]]
    assert max(lengths) <= 256
