"""Datasets pushed to a hub on loopback and pulled from it, through the real client."""

from __future__ import annotations

import json

import pytest

from ingest.dataset.manifest import MANIFEST_NAME, read_manifest
from tests.support.services.hub import Fault
from tests.support.services.sharing import TASKS, commit_as, content, is_dataset, on_hub
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

FILE = "attention/a/part-00000.parquet"


# --- there and back -------------------------------------------------------------------------


def test_a_pulled_dataset_is_the_pushed_one_to_the_byte(hub, clients, dataset, tmp_path):
    pushed = clients["owner"].run("push", dataset, "org/there", "--json")
    assert pushed.code == 0, pushed.err
    commit = json.loads(pushed.out)["commit"]
    assert json.loads(pushed.out)["address"] == f"hf://datasets/org/there@{commit}"
    assert hub.repositories["datasets/org/there"].commits[commit].keys() >= content(dataset).keys()
    out = tmp_path / "back"
    pulled = clients["reader"].run("pull", "org/there", "--out", out)
    assert (pulled.code, pulled.out) == (0, f"{out}\n"), pulled.err
    assert content(out) == content(dataset)
    verified = clients["reader"].run("verify", out, "--json")
    assert verified.code == 0, verified.out
    assert json.loads(verified.out)["sound"]


def test_only_what_changed_travels(hub, clients, own, tmp_path):
    assert clients["owner"].run("push", own, "org/changing").code == 0
    again = json.loads(clients["owner"].run("push", own, "org/changing", "--json").out)
    assert (again["sent"], len(again["kept"])) == ([], len(content(own)))
    out = tmp_path / "out"
    assert clients["reader"].run("pull", "org/changing", "--out", out).code == 0
    models = [SyntheticModel("a", seed=1), SyntheticModel("c", seed=3)]
    other = write_synthetic_dataset(tmp_path / "other", models, TASKS)
    hub.storage.uploaded.clear()
    pushed = json.loads(clients["owner"].run("push", other, "org/changing", "--json").out)
    attention = "attention/a/part-00000.parquet"
    assert attention in pushed["kept"]
    assert pushed["removed"] == ["attention/b/part-00000.parquet"]
    assert len(hub.storage.uploaded) == len([p for p in pushed["sent"] if p.endswith(".parquet")])
    hub.requests.clear()
    pulled = json.loads(clients["reader"].run("pull", "org/changing", "--out", out, "--json").out)
    assert attention in pulled["kept"]
    assert attention not in hub.asked("datasets/org/changing")
    assert pulled["removed"] == ["attention/b/part-00000.parquet"]
    assert content(out) == content(other)
    assert clients["reader"].run("verify", out).code == 0


def test_a_revision_is_a_branch_that_is_made_and_a_commit_stays(hub, clients, own, tmp_path):
    first = json.loads(clients["owner"].run("push", own, "org/versions", "--json").out)["commit"]
    words = ["push", own, "org/versions", "--revision", "v2", "--license", "cc-by-4.0"]
    second = clients["owner"].run(*words, "--json")
    assert second.code == 0, second.err
    assert read_manifest(own).licence == "cc-by-4.0"
    for revision, licence in ((first, None), ("main", None), ("v2", "cc-by-4.0")):
        out = tmp_path / revision
        assert clients["reader"].run("pull", f"org/versions@{revision}", "--out", out).code == 0
        assert read_manifest(out).licence == licence
        assert clients["reader"].run("verify", out).code == 0
    assert "\nlicense: cc-by-4.0\n" in (tmp_path / "v2" / "README.md").read_text()


def test_private_is_private(hub, clients, own, tmp_path):
    assert clients["owner"].run("push", own, "org/secret", "--private").code == 0
    assert hub.repositories["datasets/org/secret"].is_private
    refused = clients["reader"].run("pull", "org/secret", "--out", tmp_path / "out")
    assert refused.code == 2
    assert "org/secret@main is not on" in refused.err
    assert not (tmp_path / "out").exists()
    assert clients["owner"].run("pull", "org/secret", "--out", tmp_path / "out").code == 0


def test_a_part_is_a_dataset_that_says_of_what(shared, clients, dataset, tmp_path):
    out = tmp_path / "part"
    pulled = clients["reader"].run("pull", shared, "--models", "b", "--out", out, "--json")
    assert pulled.code == 0, pulled.err
    assert "attention/a/part-00000.parquet" not in json.loads(pulled.out)["fetched"]
    part, whole = read_manifest(out), read_manifest(dataset)
    assert [model.name for model in part.models] == ["b"]
    assert part.part_of is not None
    assert part.part_of.source == "hf://datasets/org/shared"
    assert part.part_of.sha256 == whole.sha256()
    verified = clients["reader"].run("verify", out)
    assert verified.code == 0, verified.out
    query = "select count(*) as n, min(model) as model from attention"
    asked = clients["reader"].run("sql", out, query, "--json")
    assert json.loads(asked.out) == [{"n": whole.rows_of("attention", "b"), "model": "b"}]
    assert "a part of" in (out / "README.md").read_text()


def test_findings_are_on_the_card_and_come_along(clients, own, tmp_path):
    pushed = clients["owner"].run("push", own, "org/found", "--findings")
    assert pushed.code == 0, pushed.err
    card = (own / "README.md").read_text()
    assert "## What was found" in card
    count = "select count(*) filter (where p_family <= 0.05) as n from verdicts "
    asked = clients["owner"].run("sql", own, f"{count} where model_a = 'a'", "--json")
    (row,) = json.loads(asked.out)
    assert f"{row['n'] or 'None'} of 6 heads of a" in card
    assert "![Profiles of a" in card
    out = tmp_path / "out"
    assert clients["reader"].run("pull", "org/found", "--out", out).code == 0
    there = {name: body for name, body in content(own).items() if not name.startswith("views/")}
    assert content(out) == there
    assert there["findings.png"].startswith(b"\x89PNG")
    assert clients["reader"].run("verify", out).code == 0
    part = tmp_path / "part"
    assert clients["reader"].run("pull", "org/found", "--models=a", "--out", part).code == 0
    assert "What was found" not in (part / "README.md").read_text()


# --- what breaks ----------------------------------------------------------------------------


def test_a_push_that_broke_off_goes_on(hub, clients, tmp_path):
    models = [SyntheticModel(name, seed=seed) for seed, name in enumerate("xyz")]
    path = write_synthetic_dataset(tmp_path / "dataset", models, TASKS * 2)
    hub.storage.uploaded.clear()
    # Three files come through; then the storage takes no more.
    hub.storage.spared, hub.storage.refusals = 3, 1000
    broken = clients["owner"].run("push", path, "org/broken")
    hub.storage.refusals = 0
    assert broken.code == 1
    assert "org/broken@main" in broken.err
    repository = hub.repositories["datasets/org/broken"]
    assert MANIFEST_NAME not in repository.commits[repository.branches["main"]]
    assert hub.storage.uploaded
    assert clients["owner"].run("push", path, "org/broken").code == 0
    assert len(set(hub.storage.uploaded)) == len(hub.storage.uploaded), "a file was sent twice"
    assert clients["reader"].run("pull", "org/broken", "--out", tmp_path / "out").code == 0
    assert content(tmp_path / "out") == content(path)


def test_a_push_goes_on_after_a_connection_that_broke_once(hub, clients, tmp_path):
    path = write_synthetic_dataset(tmp_path / "dataset", [SyntheticModel("w", seed=9)], TASKS)
    hub.storage.drops = 1
    assert clients["owner"].run("push", path, "org/dropped").code == 0
    assert hub.storage.drops == 0
    assert clients["reader"].run("pull", "org/dropped", "--out", tmp_path / "out").code == 0
    assert content(tmp_path / "out") == content(path)


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.ALTERED, Fault.ERROR])
def test_a_pull_that_broke_off_is_no_dataset_and_goes_on(hub, clients, dataset, tmp_path, fault):
    repo_id, file = f"org/pull-{fault.name.lower()}", "attention/b/part-00000.parquet"
    commit_as(hub, repo_id, dataset)
    repository, out = hub.repositories[f"datasets/{repo_id}"], tmp_path / "out"
    repository.faults[file] = fault
    broken = clients["reader"].run("pull", repo_id, "--out", out)
    assert broken.code == (2 if fault is Fault.ALTERED else 1), broken.err
    message, hint = broken.err.splitlines()
    assert file in message
    assert hint.startswith("Hint: ")
    assert not is_dataset(out)
    assert clients["reader"].run("sql", out, "select 1").code == 2
    repository.faults.clear()
    hub.requests.clear()
    assert clients["reader"].run("pull", repo_id, "--out", out).code == 0
    assert FILE not in hub.asked(f"datasets/{repo_id}"), "it had come whole"
    assert content(out) == on_hub(hub, repo_id)


def test_what_another_state_left_aside_is_not_taken_for_this_one(hub, clients, dataset, tmp_path):
    commit_as(hub, "org/states", dataset)
    repository, out = hub.repositories["datasets/org/states"], tmp_path / "out"
    assert clients["reader"].run("pull", "org/states@main", "--out", out).code == 0
    first = repository.branches["main"]
    models = [SyntheticModel("a", seed=5), SyntheticModel("b", seed=6)]
    other = write_synthetic_dataset(tmp_path / "other", models, TASKS)
    commit_as(hub, "org/states", other)
    repository.faults["attention/b/part-00000.parquet"] = Fault.ERROR
    assert clients["reader"].run("pull", "org/states", "--out", out).code == 1
    assert (out / ".pull" / FILE).is_file()
    again = clients["reader"].run("pull", f"org/states@{first}", "--out", out)
    assert again.code == 0, again.err
    assert clients["reader"].run("verify", out).code == 0
    assert (out / FILE).read_bytes() == (dataset / FILE).read_bytes()


def test_a_branch_that_moved_is_not_overwritten(hub, clients, own):
    assert clients["owner"].run("push", own, "org/moving").code == 0
    repository = hub.repositories["datasets/org/moving"]
    hub.storage.moves = repository
    moved = clients["owner"].run("push", own, "org/moving", "--license", "mit")
    assert moved.code == 1
    assert "org/moving@main was changed by somebody else meanwhile" in moved.err
    assert repository.commits[repository.branches["main"]].keys() == {"other.txt"}
    assert clients["owner"].run("push", own, "org/moving").code == 0
    assert "other.txt" in repository.commits[repository.branches["main"]]
