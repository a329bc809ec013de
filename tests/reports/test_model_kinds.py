"""Title, check and `pair_summary` on models and texts that nobody thought of: each is true."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
)

from reports.data import wording
from reports.data.queries import read_report
from reports.site.pages import write_report
from sql.session import open_session
from tests.support.page_text import text_of
from tests.support.running import Run

TEXT = """The kettle is on the stove, and the water is warm.
Put the tea into the pot; wait for four minutes.
She walks to the door and sits down in the garden
A list: apples, pears and the last of the plums.
He reads the letter twice. Then he reads it again.
The road to the sea is long but the sea is near
""".splitlines()
SPECIAL: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


def byte_level(vocabulary: int) -> Tokenizer:
    """As GPT-2's: it adds no special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def word_piece(vocabulary: int) -> Tokenizer:
    """As BERT's, without the template that adds [CLS] and [SEP]."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def gpt2(n_layers: int = 2, n_heads: int = 4) -> Any:
    sizes = {"n_layer": n_layers, "n_head": n_heads, "n_embd": 32, "n_positions": 64}
    return GPT2LMHeadModel(GPT2Config(vocab_size=400, initializer_range=0.2, **sizes, **SPECIAL))


def neox() -> Any:
    sizes = {"num_hidden_layers": 3, "num_attention_heads": 2, "hidden_size": 32}
    more = {"intermediate_size": 48, "max_position_embeddings": 64, "vocab_size": 400}
    return GPTNeoXForCausalLM(GPTNeoXConfig(initializer_range=0.2, **sizes, **more, **SPECIAL))


def bert() -> Any:
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
    more = {"intermediate_size": 48, "max_position_embeddings": 64, "vocab_size": 400}
    return BertForMaskedLM(BertConfig(initializer_range=0.2, pad_token_id=0, **sizes, **more))


@dataclass(frozen=True)
class Kind:
    """Two models that have no head in common, and what must be said of them.

    similarity: what they are compared by. tested: heads of the first that can be.
    """

    models: tuple[Callable[[], Any], Callable[[], Any]]
    tokenizers: tuple[Callable[[int], Tokenizer], Callable[[int], Tokenizer]]
    title: str
    similarity: str
    tested: int
    is_one_shape: bool
    structural: str | None = None


NONE_OF = r"None of {n} heads of one has a counterpart in two beyond chance \(family-wise 5%\)"
UNTESTED = r"Whether heads of one have counterparts in two is not tested: the two models cut .*"
NO_MATCH = r"No head of two matches one L\dH\d beyond chance \(p = [01]\.\d+\)"
KINDS = {
    "two untrained GPT-2s": Kind(
        (gpt2, gpt2), (byte_level, byte_level), NONE_OF.format(n=8), "content", 8, True
    ),
    "two BERTs": Kind(
        (bert, bert), (word_piece, word_piece), NONE_OF.format(n=8), "content", 8, True
    ),
    "two architectures": Kind(
        (gpt2, neox), (byte_level, byte_level), NONE_OF.format(n=8), "content", 8, False
    ),
    "two tokenizers": Kind(
        (gpt2, bert), (byte_level, word_piece), UNTESTED, "profile_whitened", 0, True
    ),
    "two tokenizers and structural tokens": Kind(
        *((gpt2, bert), (byte_level, word_piece), NO_MATCH, "profile_whitened", 8, True),
        structural=r"^\s*[.,;:]$",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_said_of_models_without_a_head_in_common_is_true(
    name: str, run: Run, tmp_path: Path
) -> None:
    kind = KINDS[name]
    out = tmp_path / "dataset"
    words = ["--prompts", str(tmp_path / "prompts.txt"), "--out", str(out)]
    words += ["--structural", kind.structural] if kind.structural else []
    (tmp_path / "prompts.txt").write_text("\n".join(TEXT))
    # Trained once: a trainer may break ties in another way the next time.
    tokenizers = {make: make(360) for make in kind.tokenizers}
    for seed, (model, build, make) in enumerate(
        zip(("one", "two"), kind.models, kind.tokenizers, strict=True)
    ):
        torch.manual_seed(7 + seed)
        build().eval().save_pretrained(tmp_path / model)
        tokenizers[make].save(str(tmp_path / model / "tokenizer.json"))
        words += ["--model", f"{model}={tmp_path / model}"]
    outcome = run("ingest", *words)
    assert outcome.code == 0, outcome.err
    has_structure = kind.structural is not None
    assert ("tokens is structural: profiles are undefined" in outcome.err) != has_structure
    assert ("--structural REGEX" in outcome.err) != has_structure

    with open_session(out) as session:
        report = read_report(session)
        write_report(session, tmp_path / "pages")
        summary = session.rows("select * from pair_summary where model_a = 'one'")[0]
        verdicts = session.rows("select * from verdicts where model_a = 'one'")
    title = wording.headline(report)
    assert re.fullmatch(kind.title, title), title
    page = text_of((tmp_path / "pages" / "index.html").read_text(encoding="utf-8"))
    assert title in page
    assert ("Profiles are undefined here" in page) != has_structure
    has_same_index = kind.is_one_shape and kind.tested > 0
    assert ("At the same place?" in page) == has_same_index
    assert {row["similarity"] for row in verdicts} == {kind.similarity}
    assert summary["n_tested"] == kind.tested
    assert summary["n_beyond_chance"] == (0 if kind.tested else None)

    claim = "one:L0H0 ~ two:L0H0"
    tests = ("beyond chance", "best match", "above same index")
    outcome = run("claims", out, *(f"--claim={claim} {test}" for test in tests))
    assert outcome.code == 1
    lines = dict(zip(sorted(tests), outcome.out.splitlines(), strict=False))
    if kind.tested:
        assert re.search(r"beyond chance: DOES NOT HOLD: \w+ cosine -?\d\.\d{4}, p = ", outcome.out)
    else:
        assert "undefined" in lines["beyond chance"]
    assert ("– (undefined)" in lines["best match"]) != has_structure
