"""The seams under random input: whatever comes, an answer or a message, and never anything else."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest.dataset.manifest import checksum_of, read_manifest
from ingest.dataset.writer import Triangle
from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.text import printable
from ingest.models.source import parse_model_sources
from ingest.producers.batches import plan_batches
from ingest.producers.patterns import stored_cells
from ingest.prompts.prompt_set import read_prompts
from reports.study.built_in import EXAMPLE
from reports.study.study import read_study
from sql.access.limits import parse_memory
from sql.parameters import parse_claim, parse_head
from sql.session import Session, open_session
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

# Each example writes a file in a folder that lasts for the test; that is what it is about.
FILES = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    return write_synthetic_dataset(tmp_path_factory.mktemp("fuzz") / "dataset", models)


@pytest.fixture(scope="module")
def session(dataset: Path) -> Iterator[Session]:
    with open_session(dataset) as opened:
        yield opened


def _paths_in(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = content.items() if isinstance(content, dict) else []
    if isinstance(content, list):
        items = list(enumerate(content))
    for key, value in items:
        yield from _paths_in(value, (*path, key))


@FILES
@given(data=st.data(), is_sealed=st.booleans())
def test_a_changed_manifest_is_read_or_refused(
    data: st.DataObject, is_sealed: bool, dataset: Path, tmp_path: Path
) -> None:
    content = json.loads((dataset / "manifest.json").read_text())
    *way, last = data.draw(st.sampled_from([path for path in _paths_in(content) if path]))
    target = content
    for key in way:
        target = target[key]
    target[last] = data.draw(JSON)
    if is_sealed:
        content["sha256"] = checksum_of(content)
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with contextlib.suppress(InputError):
        read_manifest(tmp_path)


@FILES
@given(noise=st.binary(max_size=60), place=st.integers(0, 10_000))
def test_a_damaged_manifest_is_read_or_refused(
    noise: bytes, place: int, dataset: Path, tmp_path: Path
) -> None:
    content = bytearray((dataset / "manifest.json").read_bytes())
    place %= len(content)
    content[place : place + len(noise)] = noise
    (tmp_path / "manifest.json").write_bytes(content)
    with contextlib.suppress(InputError):
        read_manifest(tmp_path)


@FILES
@given(
    ending=st.sampled_from([".jsonl", ".csv", ".txt", ".parquet"]), content=st.binary(max_size=200)
)
def test_any_bytes_are_prompts_or_refused(ending: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"prompts{ending}"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert read_prompts(path).prompts


RECORDS = st.dictionaries(
    st.sampled_from(["pair_id", "variant", "task", "steps", "text", "complexity", "other"]), JSON
)


@FILES
@given(records=st.lists(RECORDS, min_size=1, max_size=4))
def test_any_records_are_prompts_or_refused(records: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    with contextlib.suppress(InputError):
        prompts = read_prompts(path, "all")
        assert len(prompts.prompts) == len(records)
        assert all(prompt.text.strip() for prompt in prompts.prompts)


@FILES
@given(place=st.integers(0, 5000), noise=st.text(max_size=20), n_removed=st.integers(0, 10))
def test_a_changed_study_is_read_or_refused(
    place: int, noise: str, n_removed: int, tmp_path: Path
) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    place %= len(text)
    path = tmp_path / "study.toml"
    changed = text[:place] + noise + text[place + n_removed :]
    path.write_bytes(changed.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(InputError):
        read_study(str(path))


VOCABULARY = """
select from where group by order limit ( ) , * = 1 'a' "b" ; -- /* $x ? profiles attention models
layer head cosine count(*) with as union all join on describe show explain analyze copy to insert
delete update set x null case when end cast :: integer [ ] { } .
"""
WORDS = st.sampled_from(VOCABULARY.split())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=12).map(" ".join)))
@example(query="select \x00")
@example(query="\ud800")
@example(query="explain explain select 1")
@example(query="explain (analyze) select 1")
@example(query="with a as (with b as (copy models to 'x') select 1) select 1")
def test_any_query_is_answered_or_refused(
    query: str, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(HeadswapError), session.ask(query) as relation:
        relation.limit(5).fetchall()
    assert session.rows("select bins from parameters") == [{"bins": 20}]
    assert not list(tmp_path.iterdir())


@settings(deadline=None)
@given(st.text(max_size=30))
@example("٣GB")
@example("L٣H0")
@example("untrained:")
def test_any_argument_is_read_or_refused(text: str) -> None:
    for parse in (parse_head, parse_claim, parse_memory):
        with contextlib.suppress(InputError):
            parse(text)
    with contextlib.suppress(InputError):
        parse_model_sources([text])
    assert not {character for character in printable(text) if ord(character) < 32}


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
    st.integers(1, 8),
    st.integers(1, 200),
    st.booleans(),
)
def test_every_query_and_key_is_in_just_one_batch(
    lengths: list[int], n_heads: int, tokens: int, is_causal: bool
) -> None:
    seen = []
    for batch in plan_batches(lengths, n_heads, tokens):
        assert batch.width == max(lengths[member] for member in batch.members)
        rows = Triangle(batch.members, [lengths[member] for member in batch.members], is_causal)
        seen += list(zip(rows.prompt_id, rows.query, rows.key, strict=True))
        shape = len(batch.members), n_heads, batch.width, batch.width
        pattern = torch.arange(math.prod(shape)).reshape(shape)
        places = torch.from_numpy(rows.flat_index(n_heads, batch.width))
        member = np.searchsorted(batch.members, rows.prompt_id)
        found = stored_cells(pattern, places).numpy()
        assert (pattern.numpy()[member, :, rows.query, rows.key] == found.T).all()
    expected = {
        (prompt, query, key)
        for prompt, length in enumerate(lengths)
        for query in range(length)
        for key in range(query + 1 if is_causal else length)
    }
    assert len(seen) == len(expected)
    assert set(seen) == expected
