"""What is not sent and not fetched: manifests that lie, repositories that cannot be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest.dataset.manifest import MANIFEST_NAME, checksum_of
from tests.support.services.sharing import commit_as, content

FILE = "attention/a/part-00000.parquet"

# --- lies -----------------------------------------------------------------------------------


def with_entry(dataset: Path, path: str, changes: dict[str, object]) -> bytes:
    """The manifest with one file's entry changed, its checksum made right again."""
    manifest = json.loads((dataset / MANIFEST_NAME).read_bytes())
    for entries in manifest["tables"].values():
        for entry in entries:
            if entry["path"] == path:
                entry.update(changes)
    manifest["sha256"] = checksum_of(manifest)
    return json.dumps(manifest).encode()


LIES: dict[str, tuple[dict[str, object], str]] = {
    "another checksum": ({"sha256": "0" * 64}, "does not have the SHA-256"),
    "another size": ({"bytes": 5_000_000}, "but the manifest says 5,000,000"),
    "a file that is not there": (
        {"path": "attention/a/part-00009.parquet"},
        "is named by the manifest and is not there",
    ),
    "a file outside": ({"path": "../../x.parquet"}, "is not a Parquet file inside the dataset"),
    "more rows than bytes": ({"rows": 10**15}, "impossible numbers"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_is_refused(hub, clients, dataset, tmp_path, lie):
    changes, words = LIES[lie]
    repo_id, out = f"lies/{lie.replace(' ', '-')}", tmp_path / "out"
    commit_as(hub, repo_id, dataset, **{MANIFEST_NAME: with_entry(dataset, FILE, changes)})
    refused = clients["reader"].run("pull", repo_id, "--out", out)
    assert refused.code == 2
    assert words in refused.err
    assert len(refused.err.splitlines()) == 2
    assert not out.exists()


def test_a_manifest_whose_checksum_is_wrong_is_refused(hub, clients, dataset, tmp_path):
    text = (dataset / MANIFEST_NAME).read_bytes().replace(b"synthetic:a", b"synthetic:z")
    commit_as(hub, "lies/checksum", dataset, **{MANIFEST_NAME: text})
    refused = clients["reader"].run("pull", "lies/checksum", "--out", tmp_path / "out")
    assert refused.code == 2
    assert "not the one that its checksum was taken of" in refused.err


def test_a_damaged_dataset_is_not_sent(hub, clients, own):
    path = own / FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    refused = clients["owner"].run("push", own, "org/damaged")
    assert refused.code == 2
    assert "does not have the SHA-256" in refused.err
    assert "datasets/org/damaged" not in hub.repositories


# --- refusals -------------------------------------------------------------------------------


REFUSED_PUSHES = [
    ("reader", ["org/new"], 2, "you may not write to org/new (HTTP 401)"),
    ("stranger", ["org/new"], 2, "you may not write to org/new (HTTP 403)"),
    ("owner", ["foreign/new"], 2, "you may not write to foreign/new (HTTP 403)"),
    ("owner", ["name"], 2, "cannot be a branch of a repository"),
    ("owner", ["org/name@v1"], 2, "cannot be a branch of a repository"),
    ("owner", ["org/name", "--revision=../x"], 2, "cannot be a branch of a repository"),
    ("owner", ["org/name", "--license=a b"], 2, "'a b' names no licence"),
    ("owner", ["org/shared", "--private"], 2, "exists and is public"),
    ("unreachable", ["org/name"], 1, "cannot be reached"),
    ("offline", ["org/name"], 2, "HF_HUB_OFFLINE is set"),
]


@pytest.mark.parametrize(("client", "words", "code", "message"), REFUSED_PUSHES, ids=str)
def test_a_push_is_refused_in_one_line(clients, shared, own, client, words, code, message):
    outcome = clients[client].run("push", own, *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 2, outcome.err


REFUSED_PULLS = [
    ("reader", ["org/absent"], 2, "org/absent@main is not on"),
    ("owner", ["org/absent"], 2, "(HTTP 404)"),
    ("reader", ["org/shared@v9"], 2, "has no revision 'v9'"),
    ("reader", ["org/plain"], 2, "is not a dataset of headswap: it has no manifest.json"),
    ("reader", ["org/shared", "--models=x"], 2, "has no model 'x'"),
    ("reader", ["org/shared", "--models=a,"], 2, "an empty name"),
    ("reader", ["org/shared", "--tables=nothing"], 2, "has no table 'nothing'"),
    ("reader", ["org/shared", "--layers=9"], 2, "has no layer 9"),
    ("reader", ["org/shared", "--layers=3-1"], 2, "neither a number nor a range"),
    ("reader", ["name"], 2, "cannot be a dataset on the hub"),
    ("reader", ["hf://models/org/name"], 2, "cannot be a dataset on the hub"),
    ("unreachable", ["org/shared"], 1, "cannot be reached"),
    ("offline", ["org/shared"], 2, "HF_HUB_OFFLINE is set"),
]


@pytest.mark.parametrize("case", REFUSED_PULLS, ids=str)
def test_a_pull_is_refused_in_one_line(hub, clients, shared, tmp_path, case):
    client, words, code, message = case
    hub.add("datasets/org/plain").commit({"README.md": b"# another dataset"})
    outcome = clients[client].run("pull", *words, "--out", tmp_path / "out")
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 2, outcome.err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_left_alone(clients, shared, own, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("mine")
    refused = clients["reader"].run("pull", shared, "--out", full)
    assert (refused.code, [path.name for path in full.iterdir()]) == (2, ["thesis.txt"])
    assert "holds other files" in refused.err
    before = content(own)
    refused = clients["reader"].run("pull", shared, "--out", own)
    assert refused.code == 2
    assert "was not pulled from org/shared" in refused.err
    assert content(own) == before
