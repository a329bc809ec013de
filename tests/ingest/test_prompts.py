"""Prompt files of every kind: the right prompts, or one message that names the place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ingest.kernel.errors import InputError
from ingest.prompts.prompt_set import PAIRED_TASKS, Prompt, read_prompts

TEA = {"pair_id": 0, "variant": "standard", "task": "Make tea", "steps": ["Boil water", "Pour"]}


def contents(prompts: tuple[Prompt, ...]) -> list[tuple[object, ...]]:
    return [(p.pair_id, p.variant, p.task, p.steps, p.complexity, p.text) for p in prompts]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def test_one_prompt_is_the_same_in_every_format(tmp_path: Path) -> None:
    record = TEA | {"complexity": 2}
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    (tmp_path / "a.csv").write_text(
        "pair_id,variant,task,steps,complexity\n0,standard,Make tea,Boil water | Pour,2\n"
    )
    pl.DataFrame([record]).write_parquet(tmp_path / "a.parquet")
    sets = [read_prompts(tmp_path / f"a.{ending}") for ending in ("jsonl", "csv", "parquet")]
    assert contents(sets[0].prompts) == [
        (
            "0",
            "standard",
            "Make tea",
            ("Boil water", "Pour"),
            2,
            "<|task|>Make tea<|steps|>Boil water<|sep|>Pour<|end|>",
        )
    ]
    assert [prompts.sha256 for prompts in sets] == [sets[0].sha256] * 3


def test_plain_text_is_a_prompt_a_line(write) -> None:
    prompts = read_prompts(write("a.txt", "One line.\n\n  Another, indented\r\n"))
    assert [prompt.text for prompt in prompts.prompts] == ["One line.", "  Another, indented"]
    assert [prompt.prompt_id for prompt in prompts.prompts] == [0, 1]
    assert {prompt.variant for prompt in prompts.prompts} == {None}
    assert prompts.variant == "all"


def test_prompt_ids_are_places_in_the_file() -> None:
    for variant, ids in (("standard", range(0, 24, 2)), ("adhd", range(1, 24, 2))):
        prompts = read_prompts(PAIRED_TASKS, variant)
        assert [prompt.prompt_id for prompt in prompts.prompts] == list(ids)
        assert prompts.left_out == 12
    assert len(read_prompts(PAIRED_TASKS, "all").prompts) == 24


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + json.dumps(TEA).encode(),
        json.dumps(TEA).encode() + b"\r\n",
        b"\n\n" + json.dumps(TEA).encode() + b"\n\n",
        json.dumps(TEA, ensure_ascii=True).encode(),
    ],
    ids=["byte order mark", "CRLF", "empty lines", "ascii"],
)
def test_harmless_forms_are_read_alike(content: bytes, write) -> None:
    prompts = read_prompts(write("a.jsonl", content))
    assert contents(prompts.prompts)[0][2:4] == ("Make tea", ("Boil water", "Pour"))


@pytest.mark.parametrize(
    "task",
    [
        "zero\u200bwidth",
        "\u05e2\u05d1\u05e8\u05d9\u05ea",
        "tea 🫖 for 👩‍👩‍👧",
        "a\u0000b",
        "x" * 10_000_000,
    ],
    ids=["zero width", "right to left", "emoji", "null character", "ten megabytes"],
)
def test_unusual_text_is_kept_as_it_is(task: str, write) -> None:
    prompts = read_prompts(write("a.jsonl", json.dumps(TEA | {"task": task}, ensure_ascii=False)))
    assert prompts.prompts[0].task == task


def test_unknown_fields_are_counted(write) -> None:
    lines = [json.dumps(TEA | {"pair_id": n, "mood": 1, "note": ""}) for n in range(3)]
    assert read_prompts(write("a.jsonl", "\n".join(lines))).ignored_fields == {"mood": 3, "note": 3}


REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("a.jsonl", "", "has no prompt"),
    "empty text": ("a.txt", "\n \n", "has no prompt"),
    "invalid UTF-8": ("a.jsonl", b'{"a": "\xff"}', r"line 1: not valid UTF-8 \(byte 7\)"),
    "UTF-16": ("a.txt", "hello".encode("utf-16"), "line 1: not valid UTF-8"),
    "lone surrogate": ("a.jsonl", r'{"text": "a\ud800"}', "half a character"),
    "deep nesting": ("a.jsonl", "[" * 100_000, "line 1: not JSON"),
    "duplicate ids": ("a.jsonl", f"{json.dumps(TEA)}\n{json.dumps(TEA)}", r"line 2.*\(.*line 1\)"),
    "text and task": ("a.jsonl", json.dumps(TEA | {"text": "x"}), 'both "text" and "task"'),
    "text of no text": ("a.jsonl", '{"text": 1}', '"text" is missing, empty or no text'),
    "big complexity": ("a.jsonl", json.dumps(TEA | {"complexity": 10**9}), '"complexity"'),
    "reserved variant": ("a.jsonl", json.dumps(TEA | {"variant": "all"}), '"all" is no variant'),
    "CSV too short": ("a.csv", "text,variant\nonly one\n", "line 2: not as many fields"),
    "CSV too long": ("a.csv", "text\na,b\n", "line 2: not as many fields"),
    "CSV open quote": ("a.csv", 'text\n"abc', r"line \d: not CSV"),
    "CSV header only": ("a.csv", "text\n", "has no prompt"),
    "no Parquet": ("a.parquet", b"PAR1", "no readable Parquet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_place(case: str, write) -> None:
    name, content, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        read_prompts(write(name, content))
