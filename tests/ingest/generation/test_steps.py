"""The steps of a generated text, and which of them are of a class."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from ingest.generation.steps import context_of, steps_of
from ingest.kernel.errors import InputError
from ingest.prompts.classes import PhraseClass, parse_classes
from ingest.prompts.prompt_set import Prompt
from tests.support.models.bundles import TOKENIZER


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(TOKENIZER))


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Boil water<|sep|>Pour<|end|>", ["Boil water", "Pour"]),
        ("Boil water<|sep|>Pour<|sep|><|end|>", ["Boil water", "Pour"]),
        ("Boil water<|sep|><|sep|>Pour<|end|>", ["Boil water", "Pour"]),
        ("Boil water<|sep|>Po", ["Boil water", "Po"]),
        ("Boil water<|end|>Pour<|sep|>Rest", ["Boil water"]),
        ("<|end|>", []),
        ("", []),
    ],
)
def test_steps_lie_between_separators(tokenizer: Tokenizer, text: str, steps: list[str]) -> None:
    assert steps_of(tokenizer, tokenizer.encode(text, add_special_tokens=False).ids) == steps


def prompt_of(task: str | None, text: str) -> Prompt:
    steps = ("Boil water",) if task else None
    return Prompt(0, None, None, task, steps, None, text, "here")


def test_a_task_is_continued_after_its_steps_marker(tokenizer: Tokenizer) -> None:
    context = context_of(tokenizer, prompt_of("Make tea", "unused"), {"eos_token_id": 7})
    written = tokenizer.decode(list(context.token_ids), skip_special_tokens=False)
    assert written.replace(" ", "") == "<|task|>Maketea<|steps|>"
    assert context.end_ids == {tokenizer.token_to_id("<|end|>")}


@pytest.mark.parametrize(("stated", "ends"), [(7, {7}), ([7, 8], {7, 8}), (None, set())])
def test_a_text_is_continued_at_its_end(
    tokenizer: Tokenizer, stated: object, ends: set[int]
) -> None:
    context = context_of(tokenizer, prompt_of(None, "Make tea"), {"eos_token_id": stated})
    assert list(context.token_ids) == tokenizer.encode("Make tea").ids
    assert context.end_ids == ends


def test_classes_are_read_from_words_files_and_the_demo(tmp_path: Path) -> None:
    (tmp_path / "rest.txt").write_text("Pause\n\n deep breath \nPause\n")
    found = parse_classes([f"rest=@{tmp_path / 'rest.txt'}", "open=Open;", "demo:regulation"])
    assert found[:2] == [
        PhraseClass("rest", ("Pause", "deep breath")),
        PhraseClass("open", ("Open",)),
    ]
    assert (found[2].name, len(found[2].phrases)) == ("regulation", 5)
    assert [found[0].holds(step) for step in ("pause now", "DEEP BREATH", "a pause", "")] == [
        True,
        True,
        False,
        False,
    ]


def test_first_tokens_are_those_of_encoded_steps(tokenizer: Tokenizer) -> None:
    phrases = ("close the box", "close it", "the end")
    expected = {tokenizer.encode(phrase, add_special_tokens=False).ids[0] for phrase in phrases}
    assert PhraseClass("x", phrases).first_tokens(tokenizer) == tuple(sorted(expected))
    assert len(expected) == 2


@pytest.mark.parametrize("phrase", ["zebra", "\u200b"])
def test_a_space_is_no_first_token(tokenizer: Tokenizer, phrase: str) -> None:
    assert tokenizer.decode(tokenizer.encode(phrase, add_special_tokens=False).ids[:1]) in " "
    with pytest.raises(InputError, match="makes no first token"):
        PhraseClass("x", ("close", phrase)).first_tokens(tokenizer)


@pytest.mark.parametrize("words", ["x", "x=", "=a", "x=;;", "x y=a", "x=@/nothing", "x=@"])
def test_a_class_that_is_none_is_refused(words: str) -> None:
    with pytest.raises(InputError):
        parse_classes([words])


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two classes"):
        parse_classes(["x=a", "x=b"])
