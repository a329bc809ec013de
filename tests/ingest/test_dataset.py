"""The contract: what a written dataset looks like, and which folders are refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingest.dataset.manifest import KEPT_FOLDER, checksum_of, read_manifest
from ingest.dataset.reader import open_dataset
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.schemas import schema_of
from ingest.kernel.errors import DatasetError, HeadswapError
from ingest.kernel.files import sha256_of, write_text_aside
from ingest.producers.batches import plan_batches


def test_manifest_names_every_file_truly(reference_dataset: Path) -> None:
    entries = read_manifest(reference_dataset).files()
    # Kept views lie beside the data; their names state their own hashes.
    on_disk = {
        str(path.relative_to(reference_dataset))
        for path in reference_dataset.rglob("*.parquet")
        if KEPT_FOLDER not in path.relative_to(reference_dataset).parts
    }
    assert {entry.path for entry in entries} == on_disk
    for entry in entries:
        path = reference_dataset / entry.path
        assert (path.stat().st_size, sha256_of(path)) == (entry.bytes, entry.sha256)
        assert pq.read_metadata(path).num_rows == entry.rows


def test_files_have_the_schema_of_their_table(reference_dataset: Path) -> None:
    dataset = open_dataset(reference_dataset)
    for name, table in STORED_TABLES.items():
        for path in dataset.table_files(name):
            assert pq.read_schema(path).equals(schema_of(table))


def test_attention_is_sorted_with_one_head_a_row_group(reference_dataset: Path) -> None:
    for path in open_dataset(reference_dataset).table_files("attention"):
        rows = pq.read_table(path).drop_columns("weight")
        names = [(name, "ascending") for name in rows.column_names]
        assert rows.equals(rows.sort_by(names))
        metadata = pq.read_metadata(path)
        heads = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        assert len(heads) == 3 * 4
        for group in heads:
            for column in (0, 1, 2):  # model, layer, head
                statistics = group.column(column).statistics
                assert statistics.min == statistics.max
                assert group.column(column).has_offset_index


@pytest.mark.parametrize("n_heads", [1, 8, 32])
@pytest.mark.parametrize("length", [8, 60, 512, 4096])
def test_a_row_group_is_scanned_whole_by_the_viewer_of_the_hub(
    length: int, n_heads: int, reference_dataset: Path
) -> None:
    """It reads groups of at most 300 MB: at the bytes a row of real files, all plans fit."""
    (path, *_) = open_dataset(reference_dataset).table_files("attention")
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    bytes_a_row = max(group.total_byte_size / group.num_rows for group in groups)
    for batch in plan_batches([length] * 600, n_heads):
        n_rows = len(batch.members) * length * (length + 1) // 2
        assert n_rows * bytes_a_row < 300e6


def test_any_reader_opens_the_dataset(reference_dataset: Path) -> None:
    import polars

    frame = polars.read_parquet(reference_dataset / "attention" / "**" / "*.parquet")
    assert frame["model"].unique().sort().to_list() == ["adhd", "standard"]


@pytest.mark.parametrize("table", STORED_TABLES)
def test_hugging_face_datasets_load_every_table(
    table: str, reference_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the card's configs, offline; rows of attention say which model they are of."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_CACHE_HOME", str(tmp_path))
    loaded = datasets.load_dataset(str(reference_dataset), table, cache_dir=str(tmp_path))["train"]
    manifest = read_manifest(reference_dataset)
    assert loaded.column_names == [column.name for column in STORED_TABLES[table].columns]
    assert len(loaded) == manifest.rows_of(table)
    if table == "attention":
        models = Counter(loaded["model"])
        assert models == {
            model.name: manifest.rows_of(table, model.name) for model in manifest.models
        }


def _edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(dataset: Path) -> None:
        path = dataset / "manifest.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content | {"sha256": checksum_of(content)}))

    return edit


def _link_outside(dataset: Path) -> None:
    shutil.move(dataset / "tokens.parquet", dataset.parent / "tokens.parquet")
    (dataset / "tokens.parquet").symlink_to(dataset.parent / "tokens.parquet")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda d: (d / "manifest.json").unlink(), "it has no manifest.json"),
    "manifest cut": (lambda d: (d / "manifest.json").write_text('{"a'), "cannot be read"),
    "no object": (lambda d: (d / "manifest.json").write_text("[]"), '"format" is not'),
    "other format": (_edited(lambda m: m.update(format="x")), '"format" is not'),
    "newer version": (_edited(lambda m: m.update(format_version=99)), "version 99 is newer"),
    "older version": (_edited(lambda m: m.update(format_version=1)), "version 1 is older"),
    "key missing": (_edited(lambda m: m.pop("tables")), "'tables' is missing"),
    "wrong type": (
        _edited(lambda m: m.update(tables=[])),
        "'tables' is a list, not a table of keys",
    ),
    "table missing": (_edited(lambda m: m["tables"].pop("tokens")), "no table 'tokens'"),
    "unknown table": (_edited(lambda m: m["tables"].update(x=[])), "unknown table 'x'"),
    "path outside": (
        _edited(lambda m: m["tables"]["tokens"][0].update(path="../tokens.parquet")),
        "not a Parquet file inside",
    ),
    "absolute path": (
        _edited(lambda m: m["tables"]["tokens"][0].update(path="/tmp/tokens.parquet")),
        "not a Parquet file inside",
    ),
    "edited by hand": (
        lambda d: (d / "manifest.json").write_text(
            (d / "manifest.json").read_text().replace('"dtype": "float32"', '"dtype": "bfloat16"')
        ),
        "not the one that its checksum",
    ),
    "no hash": (_edited(lambda m: m["tables"]["tokens"][0].update(sha256="")), "impossible"),
    "more rows than bytes can hold": (
        _edited(lambda m: m["tables"]["tokens"][0].update(rows=10**9)),
        "impossible",
    ),
    "model name": (
        _edited(lambda m: m["models"][0].update(name="../x")),
        "cannot be the name of a model",
    ),
    "one name twice": (_edited(lambda m: m["models"].append(m["models"][0])), "one name"),
    "other model's file": (
        _edited(lambda m: m["models"][0].update(name="x")),
        "belongs to no model",
    ),
    "file missing": (lambda d: (d / "tokens.parquet").unlink(), "tokens.parquet is missing"),
    "file cut": (
        lambda d: (d / "tokens.parquet").write_bytes(b"PAR1"),
        "has 4 bytes, but the manifest says",
    ),
    "link to outside": (_link_outside, "is a link to outside"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_dataset_is_refused(damage: str, reference_dataset: Path, tmp_path: Path) -> None:
    dataset = shutil.copytree(reference_dataset, tmp_path / "dataset")
    change, message = DAMAGES[damage]
    change(dataset)
    with pytest.raises(DatasetError, match=message):
        open_dataset(dataset)


def test_orphan_file_does_not_exist_for_readers(reference_dataset: Path, tmp_path: Path) -> None:
    dataset = shutil.copytree(reference_dataset, tmp_path / "dataset")
    folder = dataset / "attention" / "standard"
    shutil.copy(folder / "part-00000.parquet", folder / "part-99999.parquet")
    assert open_dataset(dataset).table_files("attention") == [
        dataset / path.relative_to(reference_dataset)
        for path in open_dataset(reference_dataset).table_files("attention")
    ]


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text_aside(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text_aside(path, "new \ud800")
    assert [child.name for child in tmp_path.iterdir()] == ["file.txt"]
    assert path.read_text() == "old"


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HeadswapError, match="cannot write"):
        write_text_aside(tmp_path / "file" / "below.txt", "text")
