"""A hub on loopback, its clients, and a dataset to send there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.graph.export import write_views
from tests.support.services.hub import COMMAND, TOKEN, Client, Hub, free_port, serve_hub
from tests.support.services.sharing import TASKS
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def clients(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Client]]:
    """One for each set of settings."""
    folder = tmp_path_factory.mktemp("transfer")
    settings = {
        "owner": {"HF_TOKEN": TOKEN},
        "reader": {},
        "stranger": {"HF_TOKEN": "hf_another"},
        "unreachable": {"HF_ENDPOINT": f"http://127.0.0.1:{free_port()}", "HF_TOKEN": TOKEN},
        "offline": {"HF_HUB_OFFLINE": "1"},
    }
    shared = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",  # whose storage speaks another protocol than this hub
    }
    clients = {
        name: Client(folder / f"{name}.err", shared | own, COMMAND)
        for name, own in settings.items()
    }
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    path = write_synthetic_dataset(tmp_path_factory.mktemp("share") / "dataset", models, TASKS)
    write_views(path)
    return path


@pytest.fixture
def own(dataset: Path, tmp_path: Path) -> Path:
    """A copy of the dataset that a test may change."""
    return shutil.copytree(dataset, tmp_path / "own")


@pytest.fixture(scope="module")
def shared(hub: Hub, clients: dict[str, Client], dataset: Path) -> str:
    """A repository that holds the dataset."""
    assert clients["owner"].run("push", dataset, "org/shared").code == 0
    return "org/shared"
