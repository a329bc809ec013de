"""Weights prompt by prompt out of Parquet files, however the files are cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.dataset.writer import Triangle, attention_file
from sql.computed.matching.head_products import head_products
from sql.computed.matching.prompt_weights import ModelFiles, prompt_weights

LENGTHS = {0: 5, 1: 3, 2: 6, 3: 4, 4: 2}
ROLES = {prompt: np.arange(length) % 3 for prompt, length in LENGTHS.items()}
SHAPES = {"one": (2, 3), "two": (1, 2), "square": (2, 1)}


def patterns_of(model: str) -> dict[int, np.ndarray]:
    """Each prompt's weights `[head, query, key]`, random, future keys only where all are stored."""
    n_layers, n_heads = SHAPES[model]
    generator = np.random.default_rng(sorted(SHAPES).index(model))
    found = {}
    for prompt, length in LENGTHS.items():
        scores = generator.random((n_layers * n_heads, length, length)).astype(np.float32)
        found[prompt] = scores if model == "square" else np.tril(scores)
    return found


def write_model(
    folder: Path, model: str, batches: Sequence[Sequence[int]], precision: str = "float32"
) -> ModelFiles:
    n_layers, n_heads = SHAPES[model]
    patterns, paths = patterns_of(model), []
    for number, batch in enumerate(batches):
        triangle = Triangle(batch, [LENGTHS[prompt] for prompt in batch], model != "square")
        cells = np.arange(len(triangle))
        ends = np.cumsum([(triangle.prompt_id == prompt).sum() for prompt in batch])
        rows = np.empty((n_layers * n_heads, len(cells)), np.float32)
        for prompt, chosen in zip(batch, np.split(cells, ends[:-1]), strict=True):
            rows[:, chosen] = patterns[prompt][:, triangle.query[chosen], triangle.key[chosen]]
        path = folder / f"{model}-{number}.parquet"
        with attention_file(path, triangle, model, precision) as file:
            for layer in range(n_layers):
                file.write_layer(layer, rows[layer * n_heads : (layer + 1) * n_heads])
        paths.append(path)
    return ModelFiles(model, paths, range(n_layers), n_heads)


@pytest.fixture(params=["same files", "other files"])
def models(request, tmp_path):
    other = [[0, 1, 2, 3, 4]] if request.param == "other files" else [[0, 3], [1, 2, 4]]
    return [
        write_model(tmp_path, "one", [[0, 3], [1, 2, 4]]),
        write_model(tmp_path, "two", other),
    ]


@pytest.mark.parametrize("room", [1, 2000, 1 << 20], ids=["a prompt at a time", "some", "all"])
def test_weights_are_those_of_the_models(models, room):
    found = {item.prompt_id: item for item in prompt_weights(models, ROLES, room)}
    assert sorted(found) == sorted(LENGTHS)
    for prompt, item in found.items():
        query, key = np.tril_indices(LENGTHS[prompt])
        assert (item.query == query).all()
        assert (item.key == key).all()
        assert (item.role_query == ROLES[prompt][query]).all()
        assert (item.role_key == ROLES[prompt][key]).all()
        stacked = np.concatenate([patterns_of(name)[prompt] for name in ("one", "two")])
        assert (item.weights == stacked[:, query, key]).all()


def test_keys_that_one_model_does_not_store_are_0(tmp_path):
    batches = [[0, 1, 2, 3, 4]]
    models = [write_model(tmp_path, name, batches) for name in ("two", "square")]
    for item in prompt_weights(models, ROLES):
        n = LENGTHS[item.prompt_id]
        assert len(item.query) == n * n
        dense = item.weights.reshape(-1, n, n)
        assert (dense[:2] == patterns_of("two")[item.prompt_id]).all()
        assert (dense[2:] == patterns_of("square")[item.prompt_id]).all()


def test_only_wanted_prompts_that_all_models_have_are_read(tmp_path):
    models = [
        write_model(tmp_path, "one", [[0, 1], [2, 3]]),
        write_model(tmp_path, "two", [[1, 2, 3, 4]]),
    ]
    wanted = {prompt: ROLES[prompt] for prompt in (0, 1, 3, 4)}
    assert [item.prompt_id for item in prompt_weights(models, wanted)] == [1, 3]


def test_half_precision_is_read_as_it_is(tmp_path):
    model = write_model(tmp_path, "two", [[0, 1, 2, 3, 4]], "float16")
    for item in prompt_weights([model], ROLES):
        expected = patterns_of("two")[item.prompt_id][:, item.query, item.key]
        assert (item.weights == expected.astype(np.float16)).all()


def test_sums_do_not_depend_on_how_files_are_cut(tmp_path):
    blocks = dict.fromkeys(LENGTHS, 0)
    found = []
    for number, batches in enumerate(([[0, 1, 2, 3, 4]], [[4], [0, 2], [1, 3]])):
        folder = tmp_path / str(number)
        folder.mkdir()
        models = [write_model(folder, name, batches) for name in ("one", "two")]
        found.append(head_products(prompt_weights(models, ROLES), blocks))
    np.testing.assert_allclose(found[0].products, found[1].products, atol=1e-12)
    np.testing.assert_allclose(found[0].class_sums, found[1].class_sums, atol=1e-12)


def test_files_of_another_layout_are_refused(tmp_path):
    model = write_model(tmp_path, "one", [[0, 1]])
    path = model.paths[0]
    with pytest.raises(ValueError, match="one row group for each of 8 heads"):
        list(prompt_weights([ModelFiles("one", [path], range(2), 4)], ROLES))
    with pytest.raises(ValueError, match="layer 1 where it should be"):
        list(prompt_weights([ModelFiles("one", [path], range(3), 2)], ROLES))
    table = pq.read_table(path)
    pq.write_table(table, path)
    with pytest.raises(ValueError, match="one row group"):
        list(prompt_weights([model], ROLES))
