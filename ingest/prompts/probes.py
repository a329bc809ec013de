"""Probes: prompts of random words, made for what natural text measures badly.

`probe:repeated` is a word, then a row of distinct words twice: in the second a head that looks for
what followed the token before (induction; Olsson et al. 2022, arXiv 2209.11895) has one place to
look at, and neither meaning nor nearness points there. `probe:sink` begins each prompt with another
word and has it again in the middle: a head that looks at position 0 whatever stands there (the
attention sink of Xiao et al. 2023, arXiv 2309.17453) passes over the second, one that looks for the
token does not. Where a tokenizer puts a token of its own first, that token stands in the middle.

The words are drawn from those that each tokenizer at hand keeps as one token, so that the models
read one text and cut it alike. Nothing is stored: the same probe, tokenizers and seed give the same
prompts. The parts of a prompt are its `steps`, and `tokens.step_index` numbers them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.dataset.manifest import PROBE_PREFIX
from ingest.kernel.errors import InputError
from ingest.kernel.meant import meant
from ingest.prompts.prompt_set import Prompt, PromptSet
from ingest.prompts.sequence import encode_prompt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_HINT = "for example probe:repeated,prompts=50,length=25,seed=0, or probe:sink"
# What tokenizers write for the space before a word: byte-level ones, and SentencePiece.
_SPACES = "\u0120\u2581"


@dataclass(frozen=True)
class Probe:
    """What to make: prompts, words of each random row, and the seed of all draws."""

    kind: str
    prompts: int = 50
    length: int = 25
    seed: int = 0

    @property
    def name(self) -> str:
        """Its one full name, which is the variant of its prompts.

        >>> Probe("repeated", seed=3).name
        'probe:repeated,prompts=50,length=25,seed=3'
        """
        numbers = [f"{name}={getattr(self, name)}" for name in _NUMBERS]
        return ",".join([f"{PROBE_PREFIX}{self.kind}", *numbers])


KINDS = ("repeated", "sink")
_NUMBERS = tuple(field.name for field in fields(Probe) if field.name != "kind")
_LIMITS = {"prompts": (1, 100_000), "length": (2, 10_000), "seed": (0, 2**31 - 1)}


def parse_probe(text: str) -> Probe | None:
    """Reads the name of a probe; None where the text names none, but a file.

    >>> parse_probe("probe:sink,seed=7")
    Probe(kind='sink', prompts=50, length=25, seed=7)

    Raises: InputError where it names a probe or a number that there is not.
    """
    if not text.startswith(PROBE_PREFIX):
        return None
    kind, *settings = text.removeprefix(PROBE_PREFIX).split(",")
    if kind not in KINDS:
        guess = meant(kind, KINDS)
        hint = f"did you mean {PROBE_PREFIX}{guess}?" if guess else _HINT
        raise InputError(f"there is no probe {kind!r}; there are {', '.join(KINDS)}", hint=hint)
    numbers: dict[str, int] = {}
    for setting in settings:
        match = re.fullmatch(rf"({'|'.join(_NUMBERS)})=(\d{{1,10}})", setting)
        if match is None:
            known = ", ".join(f"{name}=NUMBER" for name in _NUMBERS)
            raise InputError(f"{text}: {setting!r} is none of {known}", hint=_HINT)
        name, number = match[1], int(match[2])
        low, high = _LIMITS[name]
        if not low <= number <= high:
            raise InputError(f"{text}: {name} is not between {low:,} and {high:,}", hint=_HINT)
        numbers[name] = number
    return Probe(kind, **numbers)


def make_probe(probe: Probe, tokenizers: Mapping[str, Tokenizer]) -> PromptSet:
    """The prompts of a probe; tokenizers: of the models that will read them, by the model's name.

    Raises: InputError where the tokenizers do not share enough words or, for the sink, do not
    begin a text alike.
    """
    import numpy as np  # not at the top: the name of a probe is read without it

    front = _shared_front(tokenizers) if probe.kind == "sink" else None
    opening, words = _shared_words(probe, tokenizers, starts_with_word=probe.kind == "sink")
    needed = probe.length + 1
    if len(words) < needed:
        raise InputError(
            f"{probe.name} needs {needed} words that are one token each, and the tokenizers of "
            f"{', '.join(tokenizers)} share {len(words)}",
            hint=f"take a smaller length, or ingest the models into datasets of their own; {_HINT}",
        )
    generator = np.random.default_rng([probe.seed, KINDS.index(probe.kind)])
    prompts = []
    for number in range(probe.prompts):
        first, *drawn = (words[n] for n in generator.choice(len(words), needed, replace=False))
        row = " ".join(drawn)
        middle = (probe.length + 1) // 2
        halves = [" ".join(part) for part in (drawn[:middle], drawn[middle:])]
        if probe.kind == "repeated":
            parts, text = [row, row], f"{opening}{first} {row} {row}"
        elif front is None:
            parts = [first, halves[0], first, halves[1]]
            text = opening + " ".join(parts)
        else:
            # No space before it, of which some tokenizers would make a token.
            parts, text = [halves[0], front, halves[1]], f"{halves[0]}{front} {halves[1]}"
        prompts.append(
            Prompt(
                prompt_id=number,
                pair_id=None,
                variant=probe.name,
                task=None,
                steps=tuple(parts),
                complexity=None,
                text=text,
                where=f"{probe.name}, prompt {number}",
            )
        )
    return PromptSet(Path(probe.name), probe.name, tuple(prompts), 0, {})


def check_cut_alike(prompts: PromptSet, tokenizers: Mapping[str, Tokenizer]) -> None:
    """Whether each tokenizer keeps every word of a probe's prompts as one token.

    Raises: InputError where one does not, which is then no probe for its model.
    """
    for model, tokenizer in tokenizers.items():
        for prompt in prompts.prompts:
            tokens = encode_prompt(tokenizer, prompt, None)
            n_tokens = sum(token.step_index is not None for token in tokens)
            n_words = sum(len(part.split()) for part in prompt.steps or ())
            if n_tokens != n_words:
                raise InputError(
                    f"the tokenizer of {model!r} cuts the {n_words} words of {prompt.where} into "
                    f"{n_tokens} tokens",
                    hint="ingest all models together into a new dataset: the words are then chosen "
                    "for every tokenizer",
                )


def _shared_words(
    probe: Probe, tokenizers: Mapping[str, Tokenizer], starts_with_word: bool
) -> tuple[str, list[str]]:
    """How the text begins, and the sorted words that every tokenizer keeps as one token.

    starts_with_word: whether the first word must be the same token as later ones, which for some
    tokenizers takes a space before it, and for others none.
    """
    candidates = set.intersection(*map(_vocabulary_words, tokenizers.values()))
    openings = ("", " ") if starts_with_word else ("a ",)
    found = {}
    for opening in openings:
        words = sorted(candidates)
        for tokenizer in tokenizers.values():
            words = _kept_words(tokenizer, words, opening)
        found[opening.removeprefix("a ")] = words
    return max(found.items(), key=lambda item: len(item[1]))


def _vocabulary_words(tokenizer: Tokenizer) -> set[str]:
    """Entries of a vocabulary that look like a word of small letters, without their space."""
    entries = (entry.lstrip(_SPACES) for entry in tokenizer.get_vocab())
    return {entry for entry in entries if len(entry) > 1 and entry.isalpha() and entry.islower()}


def _kept_words(tokenizer: Tokenizer, words: Sequence[str], opening: str) -> list[str]:
    """The words that are one token, and the same one again after themselves."""
    n_before = len(tokenizer.encode(opening.strip(), add_special_tokens=False).ids)
    texts = [f"{opening}{word} {word}" for word in words]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    ids = [encoding.ids[n_before:] for encoding in encodings]
    return [
        word for word, own in zip(words, ids, strict=True) if len(own) == 2 and own[0] == own[1]
    ]


def _shared_front(tokenizers: Mapping[str, Tokenizer]) -> str | None:
    """The token that the tokenizers put before a text, None for none."""
    fronts = {model: _front(tokenizer) for model, tokenizer in tokenizers.items()}
    if len(set(fronts.values())) > 1:
        listed = ", ".join(f"{model} with {front or 'none'}" for model, front in fronts.items())
        raise InputError(
            f"the tokenizers begin a text with different tokens of their own: {listed}",
            hint="ingest their models into datasets of their own",
        )
    return next(iter(fronts.values()))


def _front(tokenizer: Tokenizer) -> str | None:
    encoding = tokenizer.encode("a", add_special_tokens=True)
    if not encoding.special_tokens_mask[0]:
        return None
    front: str | None = tokenizer.id_to_token(encoding.ids[0])
    return front
