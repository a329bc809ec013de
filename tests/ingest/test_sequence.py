"""Prompts as tokens: offsets, roles and structural tokens, in both forms."""

from __future__ import annotations

import itertools

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from ingest.kernel.errors import InputError
from ingest.prompts.sequence import (
    encode_sequence,
    encode_text,
    sequence_text,
    structural_pattern,
    with_structural,
)
from tests.support.running import REFERENCE

STEPS = ["Boil water", "Pour, slowly"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(REFERENCE / "standard" / "tokenizer.json"))


def test_offsets_cover_the_text_without_gap(tokenizer: Tokenizer) -> None:
    text = sequence_text("Make tea", STEPS)
    tokens = encode_sequence(tokenizer, "Make tea", STEPS)
    # A space that the tokenizer puts before a word shares its first character.
    for earlier, later in itertools.pairwise(tokens):
        assert earlier.char_start <= later.char_start <= earlier.char_end <= later.char_end
    assert (tokens[0].char_start, tokens[-1].char_end) == (0, len(text))
    for token in tokens:
        assert token.token.strip() in text[token.char_start : token.char_end]


def test_roles_and_step_indices(tokenizer: Tokenizer) -> None:
    tokens = encode_sequence(tokenizer, "Make tea", STEPS)
    order = list(dict.fromkeys((token.role, token.step_index) for token in tokens))
    assert order == [("marker", None), ("task", None), ("step", 0), ("step", 1)]
    assert [token.is_structural for token in tokens] == [t.role == "marker" for t in tokens]


def test_steps_are_encoded_one_by_one(tokenizer: Tokenizer) -> None:
    tokens = encode_sequence(tokenizer, "Make tea", STEPS)
    for index, step in enumerate(STEPS):
        alone = tokenizer.encode(step, add_special_tokens=False).ids
        assert [token.token_id for token in tokens if token.step_index == index] == alone


def test_plain_text_has_the_tokenizers_special_tokens(tokenizer: Tokenizer) -> None:
    framed = Tokenizer.from_str(tokenizer.to_str())
    framed.post_processor = TemplateProcessing(
        single="<|task|> $A <|end|>", special_tokens=[("<|task|>", 320), ("<|end|>", 323)]
    )
    text = "Clean the<|sep|>kitchen 🫖"
    tokens = encode_text(framed, text)
    assert tokens[0].token == "<|task|>"
    assert [t.token for t in tokens if t.is_structural] == ["<|task|>", "<|sep|>", "<|end|>"]
    assert (tokens[0].char_start, tokens[0].char_end) == (0, 0)
    assert (tokens[-1].char_start, tokens[-1].char_end) == (len(text), len(text))
    sep = next(token for token in tokens if token.token == "<|sep|>")
    assert text[sep.char_start : sep.char_end] == "<|sep|>"
    assert {token.role for token in tokens} == {"special", "text"}


def test_pattern_replaces_the_default(tokenizer: Tokenizer) -> None:
    tokens = encode_sequence(tokenizer, "Make tea", STEPS)
    chosen = with_structural(tokens, structural_pattern(r"^,$"))
    assert [token.token for token in chosen if token.is_structural] == [","]
    assert with_structural(tokens, structural_pattern(None)) == tokens


def test_broken_pattern_is_refused() -> None:
    with pytest.raises(InputError, match="no regular expression"):
        structural_pattern("(")
