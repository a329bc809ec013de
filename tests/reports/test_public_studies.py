"""The studies of public models, run from a hub on loopback with small models of their kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from ingest.dataset.manifest import read_manifest
from reports.study.built_in import STUDIES_FOLDER
from reports.study.study import read_study
from sql.session import open_session
from tests.support.models.small_tokenizers import byte_level
from tests.support.services.hub import COMMAND, Client, Hub, serve_hub

_LAST = 143000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Every repository and branch that the studies name, each of its own small GPT-NeoX."""
    folder = tmp_path_factory.mktemp("hub")
    byte_level().save(str(folder / "tokenizer.json"))
    tokenizer = (folder / "tokenizer.json").read_bytes()
    config = GPTNeoXConfig(
        vocab_size=600,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=128,
        initializer_range=0.2,
        architectures=["GPTNeoXForCausalLM"],
    )

    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        state: dict[str, torch.Tensor] = GPTNeoXForCausalLM(config).state_dict()
        return state

    with serve_hub() as hub:
        for name in ("pythia", "polypythias"):
            for source in read_study(name).models.values():
                repository, _, branch = source.partition("@")
                seed = int(repository.rpartition("seed")[2]) if "seed" in repository else 0
                step = int(branch.removeprefix("step"))
                # A run goes straight from its start to its end.
                done = (step / _LAST) ** 0.25
                first, last = weights(seed), weights(seed + 100)
                state = {key: (1 - done) * first[key] + done * last[key] for key in first}
                files = {
                    "config.json": config.to_json_string().encode(),
                    "model.safetensors": save(state, {"format": "pt"}),
                    "tokenizer.json": tokenizer,
                }
                if repository not in hub.repositories:
                    hub.add(repository)
                hub.repositories[repository].commit(files, branch)
        yield hub


@pytest.fixture(scope="module")
def client(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("client")
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "home")}
    client = Client(folder / "client.err", settings, COMMAND)
    yield client
    client.close()


@pytest.mark.parametrize(("name", "n_models"), [("pythia", 10), ("polypythias", 9)])
def test_a_study_of_public_models_runs_to_its_end(
    name: str, n_models: int, hub: Hub, client: Client, tmp_path: Path
) -> None:
    text = (STUDIES_FOLDER / f"{name}.toml").read_text()
    small = text.replace('"probe:repeated"', '"probe:repeated,prompts=6,length=8"')
    assert small != text
    (tmp_path / "study.toml").write_text(small)
    outcome = client.run("run", tmp_path / "study.toml")
    assert outcome.code == 0, outcome.err
    study = read_study(name, tmp_path)
    manifest = read_manifest(study.dataset)
    assert [model.source for model in manifest.models] == list(study.models.values())
    assert len(manifest.models) == n_models
    for model in manifest.models:
        repository, _, branch = model.source.partition("@")
        assert model.revision == hub.repositories[repository].branches[branch]
    assert (study.report / "index.html").is_file()
    (line,) = (study.report / "runs.jsonl").read_text().splitlines()
    assert json.loads(line)["models"] == list(study.models)
    with open_session(study.dataset) as session:
        (found,) = session.rows(
            "select count(*) as n, min(low) as low from head_scores "
            "where score = 'induction' and value between low and high"
        )
        runs = session.rows(
            "select run, min(step) as first_step, max(step) as last_step, count(*) as n "
            "from checkpoints group by run"
        )
        trends = session.rows("select * from score_trends where emergence_step is not null")
    assert found["n"] == n_models * 8
    assert found["low"] >= 0
    if name == "pythia":
        expected = {"run": "EleutherAI/pythia-70m", "first_step": 0, "last_step": _LAST, "n": 10}
        assert runs == [expected]
        assert {row["emergence_step"] for row in trends} <= {
            int(source.rpartition("step")[2]) for source in study.models.values()
        }
        assert trends
    else:
        assert {row["n"] for row in runs} == {1}
        assert not trends
