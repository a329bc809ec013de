"""`headswap ingest` from a hub on loopback: a dataset with the commit in it, or one clear line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.dataset.manifest import read_manifest
from tests.support.running import REFERENCE
from tests.support.services.hub import COMMAND, Client, Fault, Hub, serve_hub

PROMPT = {"pair_id": 0, "variant": "standard", "task": "Make tea", "steps": ["Boil water", "Pour"]}
BUNDLE = "hooked_transformer.pt"


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def client(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("hub")
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "home")}
    client = Client(folder / "client.err", settings, COMMAND)
    yield client
    client.close()


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps(PROMPT))
    return path


def bundle(name: str) -> dict[str, bytes]:
    folder = REFERENCE / name
    return {file: (folder / file).read_bytes() for file in (BUNDLE, "tokenizer.json")}


def content_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_ingest_pins_the_commit_of_a_moving_branch(
    hub: Hub, client: Client, prompts: Path, tmp_path: Path
) -> None:
    repository = hub.add("org/pair")
    first = repository.commit(bundle("standard"))
    out = tmp_path / "dataset"

    def ingest(revision: str, name: str = "mine") -> tuple[int, str]:
        model = f"--model={name}=org/pair@{revision}"
        outcome = client.run("ingest", model, "--prompts", prompts, "--out", out)
        return outcome.code, outcome.err

    assert ingest("main")[0] == 0
    (model,) = read_manifest(out).models
    assert (model.source, model.revision) == ("org/pair@main", first)
    second = repository.commit(bundle("adhd"))
    before = content_of(out)
    code, err = ingest("main")
    assert code == 2
    assert "already holds another model named 'mine' (from org/pair@main)" in err
    assert ingest(first)[0] == 0  # the pinned commit is what the dataset holds
    assert content_of(out) == before
    assert ingest("main", "later")[0] == 0
    assert [model.revision for model in read_manifest(out).models] == [first, second]


@pytest.mark.parametrize(
    ("fault", "file", "code"),
    [
        (Fault.RESET, BUNDLE, 1),
        (Fault.TRUNCATED, BUNDLE, 1),
        (Fault.SHORT, BUNDLE, 1),
        (Fault.ALTERED, BUNDLE, 1),
        (Fault.ERROR, "", 1),
        (Fault.MISSING, "tokenizer.json", 2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_ingest_of_what_did_not_come_whole_writes_nothing(
    fault: Fault, file: str, code: int, hub: Hub, client: Client, prompts: Path, tmp_path: Path
) -> None:
    name = f"org/{fault.name.lower()}"
    repository = hub.add(name)
    repository.commit(bundle("standard"))
    repository.faults[file] = fault
    out = tmp_path / "dataset"
    outcome = client.run("ingest", f"--model=mine={name}", "--prompts", prompts, "--out", out)
    assert outcome.code == code
    message, hint = outcome.err.splitlines()
    assert message.startswith("headswap: ")
    assert name in message
    assert hint.startswith("Hint: ")
    assert not out.exists()


@pytest.mark.parametrize(("name", "status"), [("org/private", 401), ("org/absent", 401)])
def test_ingest_of_a_repository_that_is_not_shown_writes_nothing(
    name: str, status: int, hub: Hub, client: Client, prompts: Path, tmp_path: Path
) -> None:
    hub.add("org/private", is_private=True).commit(bundle("standard"))
    out = tmp_path / "dataset"
    outcome = client.run("ingest", f"--model=mine={name}", "--prompts", prompts, "--out", out)
    assert outcome.code == 2
    assert name in outcome.err
    assert f"HTTP {status}" in outcome.err
    assert not out.exists()
