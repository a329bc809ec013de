"""The demo models' tokenizer: byte-level BPE with the five markers, trained on generated text."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from ingest.demo.text import Record
from ingest.prompts.sequence import MARKERS, encode_sequence

VOCABULARY_SIZE = 768  # markers included


def train_tokenizer(records: Sequence[Record]) -> Tokenizer:
    """Trains the tokenizer on the tasks and steps of the records; the markers come last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(MARKERS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [text for record in records for text in (record.task, *record.steps)]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(
        [AddedToken(marker, special=True, normalized=False) for marker in MARKERS]
    )
    return tokenizer


def token_ids(tokenizer: Tokenizer, task: str, steps: Sequence[str]) -> list[int]:
    """The token ids of a prompt, markers included."""
    return [token.token_id for token in encode_sequence(tokenizer, task, steps)]


def variant_ids(tokenizer: Tokenizer, records: Sequence[Record], variant: str) -> list[list[int]]:
    """The token ids of the records of one variant, a list a prompt."""
    return [
        token_ids(tokenizer, record.task, record.steps)
        for record in records
        if record.variant == variant
    ]
