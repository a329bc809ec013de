"""Some layers or tables pulled from a hub on loopback: what travels, and what it becomes."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from ingest.dataset.manifest import read_manifest
from ingest.dataset.relations import required_tables
from tests.support.services.hub import Fault
from tests.support.services.sharing import commit_as, content, is_dataset

FILE = "attention/standard/part-00000.parquet"
OTHER_FILE = "attention/adhd/part-00000.parquet"


@pytest.fixture(scope="module")
def reference(hub, reference_dataset):
    """A repository with rows of every table that a dataset may have."""
    commit_as(hub, "org/reference", reference_dataset)
    return "org/reference"


def test_layers_are_those_of_an_extract_and_no_more_travels(
    hub, clients, reference, reference_dataset, tmp_path
):
    out, by_hand, reader = tmp_path / "part", tmp_path / "by-hand", clients["reader"]
    hub.n_bytes = 0
    pulled = reader.run("pull", reference, "--layers", "1", "--out", out, "--json")
    assert pulled.code == 0, pulled.err
    said, n_sent, whole = json.loads(pulled.out), hub.n_bytes, read_manifest(reference_dataset)
    # Of the other half of the rows nothing comes but what footers say of it.
    n_attention = sum(entry.bytes for entry in whole.files_of("attention"))
    n_others = sum(entry.bytes for entry in whole.files()) - n_attention
    assert n_others < said["n_bytes"] <= n_sent
    assert said["n_bytes"] < n_others + 0.8 * n_attention
    assert reader.run("extract", reference_dataset, "--layers=1", "--out", by_hand).code == 0
    assert reader.run("verify", by_hand).code == 0
    part, extracted = read_manifest(out), read_manifest(by_hand)
    assert part.models == extracted.models
    assert part.tables.keys() == extracted.tables.keys()
    assert {entry.path for entry in part.files()} == {entry.path for entry in extracted.files()}
    for ours, theirs in zip(part.files(), extracted.files(), strict=True):
        assert pq.read_table(out / ours.path).equals(pq.read_table(by_hand / theirs.path))
    assert part.part_of is not None
    assert extracted.part_of is not None
    assert part.part_of.left_out == extracted.part_of.left_out
    assert part.part_of.sha256 == whole.sha256()
    assert part.part_of.source == "hf://datasets/org/reference"
    assert f"@{part.part_of.revision}" in said["address"]
    assert reader.run("verify", out).code == 0
    before = content(out)
    again = reader.run("pull", reference, "--layers", "1", "--out", out, "--json")
    assert FILE in json.loads(again.out)["kept"]
    assert content(out) == before
    # All of them again: the folder becomes the whole.
    assert reader.run("pull", reference, "--out", out).code == 0
    assert read_manifest(out) == whole
    assert reader.run("verify", out).code == 0


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.ALTERED, Fault.SHORT])
def test_layers_that_do_not_come_make_no_dataset_and_go_on(
    hub, clients, reference_dataset, tmp_path, fault
):
    repo_id, out = f"org/layers-{fault.name.lower()}", tmp_path / "out"
    commit_as(hub, repo_id, reference_dataset)
    repository = hub.repositories[f"datasets/{repo_id}"]
    repository.faults[OTHER_FILE] = fault
    broken = clients["reader"].run("pull", repo_id, "--layers=0", "--out", out)
    assert broken.code in (1, 2), broken.err
    assert OTHER_FILE in broken.err
    assert len(broken.err.splitlines()) == 2, broken.err
    assert not is_dataset(out)
    repository.faults.clear()
    hub.requests.clear()
    assert clients["reader"].run("pull", repo_id, "--layers=0", "--out", out).code == 0
    came = {path for path in hub.asked(f"datasets/{repo_id}") if path.startswith("attention")}
    assert came == {OTHER_FILE}, "the other model's layers had come"
    assert clients["reader"].run("verify", out).code == 0
    assert not (out / ".pull").exists()


def test_other_layers_than_were_left_aside_are_fetched(hub, clients, reference_dataset, tmp_path):
    commit_as(hub, "org/aside", reference_dataset)
    repository, out = hub.repositories["datasets/org/aside"], tmp_path / "out"
    repository.faults[OTHER_FILE] = Fault.SHORT
    assert clients["reader"].run("pull", "org/aside", "--layers=0", "--out", out).code == 2
    assert list((out / ".pull").rglob(FILE))
    repository.faults.clear()
    assert clients["reader"].run("pull", "org/aside", "--layers=1", "--out", out).code == 0
    assert {model.layers for model in read_manifest(out).models} == {(1,)}
    assert clients["reader"].run("verify", out).code == 0


def test_of_the_tables_that_a_dataset_may_lack_only_those_asked_for(
    hub, clients, reference, reference_dataset, tmp_path
):
    out, whole = tmp_path / "part", read_manifest(reference_dataset)
    hub.requests.clear()
    words = ["pull", reference, "--tables", "ablation_effects,head_writes", "--out", out]
    pulled = clients["reader"].run(*words)
    assert pulled.code == 0, pulled.err
    part = read_manifest(out)
    wanted = {*required_tables(), "ablation_effects", "head_writes"}
    assert set(part.tables) == wanted < set(whole.tables)
    left_out = [name for name in whole.tables if name not in wanted]
    for name in left_out:
        paths = {entry.path for entry in whole.files_of(name)}
        assert not paths & hub.asked("datasets/org/reference")
    assert part.part_of is not None
    (line,) = part.part_of.left_out
    assert set(line.removeprefix("tables: ").split(", ")) == set(left_out)
    assert clients["reader"].run("verify", out).code == 0
    query = "select count(*) as n from ablation_effects"
    asked = clients["reader"].run("sql", out, query, "--json")
    assert json.loads(asked.out) == [{"n": whole.rows_of("ablation_effects")}]
