"""Models from the hub, through the real client, from a hub on loopback that can misbehave."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator

import pytest

from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.hub import HubId, explained, parse_hub_id
from tests.support.services.hub import TOKEN, Client, Fault, Hub, free_port, serve_hub


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def clients(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Client]]:
    """One for each set of settings; they share a cache, but each test has its own repositories."""
    folder = tmp_path_factory.mktemp("hub")
    settings = {
        "online": {},
        "offline": {"HF_HUB_OFFLINE": "1"},
        "unreachable": {"HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"},
        "token": {"HF_TOKEN": TOKEN},
    }
    shared = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "home")}
    clients = {name: Client(folder / f"{name}.err", shared | own) for name, own in settings.items()}
    yield clients
    for client in clients.values():
        client.close()


def model(seed: int = 0) -> dict[str, bytes]:
    """The least that is a model; nobody looks into the files."""
    return {
        "config.json": b'{"seed": %d}' % seed,
        "model.safetensors": bytes((seed, *range(250))) * 800,
        "onnx/model.safetensors": b"another",
        "tokenizer.json": b'{"tokens": %d}' % seed,
    }


EXTRAS = {
    "generation_config.json": b"{}",
    "special_tokens_map.json": b"{ }",
    "tokenizer_config.json": b"{  }",
}
UNWANTED = {
    "README.md": b"# model",
    "modeling.py": b"raise SystemExit",
    "onnx/config.json": b"{}",
    "pytorch_model.bin": b"pickle",
    "training_args.bin": b"pickle",
}
SAVED = {"config.json", "model.safetensors", "tokenizer.json"}


# --- what is asked for ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("org/name", HubId("org/name", "main"), id="branch-main"),
        pytest.param("org/name@v1.0", HubId("org/name", "v1.0"), id="tag"),
        pytest.param("org/name@refs/pr/1", HubId("org/name", "refs/pr/1"), id="pull-request"),
        pytest.param("org/na.me_-1@" + "a" * 40, HubId("org/na.me_-1", "a" * 40), id="commit"),
        pytest.param("name", None, id="no-organisation"),
        pytest.param("a/b/c", None, id="two-slashes"),
        pytest.param("/absolute", None, id="absolute"),
        pytest.param("./local", None, id="here"),
        pytest.param("../up", None, id="above"),
        pytest.param("~/model", None, id="home"),
        pytest.param("demo:adhd-1", None, id="demo"),
        pytest.param("org/name@", None, id="no-revision"),
        pytest.param("org/name@../../x", None, id="revision-leaves-the-cache"),
        pytest.param("org/name@/etc", None, id="revision-absolute"),
        pytest.param("org/a--b", None, id="refused-by-the-hub"),
        pytest.param("org/model.git", None, id="git-address"),
        pytest.param("", None, id="empty"),
    ],
)
def test_parse_hub_id(source, expected):
    assert parse_hub_id(source) == expected


def test_fetch_asks_only_for_what_a_model_needs(hub, clients):
    files = model()
    commit = hub.add("org/plain").commit({**files, **EXTRAS, **UNWANTED})
    answer = clients["online"].fetch("org/plain")
    assert answer.revision == commit
    assert answer.files == {name: files[name] for name in SAVED} | EXTRAS
    assert hub.asked("org/plain") == SAVED | EXTRAS.keys()
    assert answer.err == ""


def test_fetch_with_code_allowed_asks_for_code(hub, clients):
    hub.add("org/code").commit({**model(), **UNWANTED})
    answer = clients["online"].fetch("org/code", allow_code=True)
    assert answer.files.keys() == {*SAVED, "modeling.py"}


def test_fetch_of_a_bundle_leaves_other_weights(hub, clients):
    hub.add("org/bundle").commit({**model(), "hooked_transformer.pt": b"bundle"})
    answer = clients["online"].fetch("org/bundle")
    expected = {"config.json", "hooked_transformer.pt", "tokenizer.json"}
    assert answer.files.keys() == expected
    assert hub.asked("org/bundle") == expected


def test_fetch_follows_a_branch_and_keeps_a_pinned_commit(hub, clients):
    repository = hub.add("org/moving")
    first, online = repository.commit(model(1)), clients["online"]
    assert online.fetch("org/moving").revision == first
    second = repository.commit(model(2))
    moved, pinned = online.fetch("org/moving"), online.fetch(f"org/moving@{first}")
    assert (moved.revision, moved.files["config.json"]) == (second, b'{"seed": 2}')
    assert (pinned.revision, pinned.files["config.json"]) == (first, b'{"seed": 1}')


def test_fetch_of_what_is_cached_asks_for_no_file(hub, clients):
    hub.add("org/again").commit(model())
    clients["online"].fetch("org/again")
    hub.requests.clear()
    assert clients["online"].fetch("org/again").code == 0
    assert [request.path for request in hub.requests] == ["/api/models/org/again/revision/main"]


def test_fetch_sends_the_token(hub, clients):
    commit = hub.add("org/private", is_private=True).commit(model())
    hub.requests.clear()
    assert clients["token"].fetch("org/private").revision == commit
    assert {request.token for request in hub.requests} == {TOKEN}


# --- refusals -------------------------------------------------------------------------------


def without(*names: str) -> dict[str, bytes]:
    return {name: body for name, body in model().items() if name not in names}


@pytest.mark.parametrize(
    ("client", "source", "code", "words"),
    [
        pytest.param(
            "online",
            "refused/private",
            2,
            ["refused/private", "HTTP 401", "hf auth login", "HF_TOKEN"],
            id="private",
        ),
        pytest.param(
            "token", "refused/absent", 2, ["refused/absent", "HTTP 404", "spelling"], id="absent"
        ),
        pytest.param(
            "online", "refused/gated", 2, ["refused/gated is gated", "hf auth login"], id="gated"
        ),
        pytest.param(
            "online", "refused/plain@v9", 2, ["refused/plain", "revision 'v9'"], id="revision"
        ),
        pytest.param(
            "online",
            "refused/gone",
            2,
            ["refused/gone@main: tokenizer.json", "does not have it"],
            id="file-gone",
        ),
        pytest.param(
            "online",
            "refused/no-tokenizer",
            2,
            ["refused/no-tokenizer@main holds no tokenizer.json"],
            id="no-tokenizer",
        ),
        pytest.param(
            "online",
            "refused/no-weights",
            2,
            ["refused/no-weights@main holds neither hooked_transformer.pt nor config.json"],
            id="no-weights",
        ),
        pytest.param(
            "online",
            "refused/no-shard",
            2,
            ["holds no model-2.safetensors", "model.safetensors.index.json"],
            id="no-shard",
        ),
        pytest.param(
            "online", "refused/down", 1, ["refused/down", "HTTP 500", "HF_HUB_OFFLINE=1"], id="down"
        ),
        pytest.param(
            "online",
            "refused/file-down",
            1,
            ["refused/file-down@main: model.safetensors", "HTTP 500"],
            id="file-down",
        ),
        pytest.param(
            "online", "refused/no-hub", 1, ["refused/no-hub", "HF_ENDPOINT"], id="not-a-hub"
        ),
    ],
)
def test_fetch_refusal_is_one_line_that_names_it(refused, clients, client, source, code, words):
    answer = clients[client].fetch(source)
    text = f"{answer.message}\n{answer.hint}"
    assert answer.code == code
    assert [word for word in words if word not in text] == [], text
    assert "\n" not in answer.message
    assert answer.hint
    assert answer.err == ""


@pytest.fixture(scope="module")
def refused(hub: Hub) -> None:
    hub.add("refused/private", is_private=True).commit(model())
    hub.add("refused/gated", is_gated=True).commit(model())
    hub.add("refused/plain").commit(model())
    hub.add("refused/no-tokenizer").commit(without("tokenizer.json"))
    hub.add("refused/no-weights").commit(without("model.safetensors"))
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    hub.add("refused/no-shard").commit(
        {**model(), "model.safetensors.index.json": json.dumps(index).encode()}
    )
    for name, file, fault in (
        ("gone", "tokenizer.json", Fault.MISSING),
        ("down", "", Fault.ERROR),
        ("file-down", "model.safetensors", Fault.ERROR),
        ("no-hub", "", Fault.NO_HUB),
    ):
        repository = hub.add(f"refused/{name}")
        repository.commit(model())
        repository.faults[file] = fault


# --- broken transfers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "file", "words"),
    [
        pytest.param(Fault.RESET, "model.safetensors", ": the connection broke off", id="reset"),
        # The client tries five times more, a second apart.
        pytest.param(Fault.TRUNCATED, "model.safetensors", ": the connection broke off", id="cut"),
        pytest.param(Fault.SHORT, "model.safetensors", " did not come whole", id="short"),
        pytest.param(Fault.ALTERED, "model.safetensors", " did not come whole", id="altered"),
        pytest.param(Fault.ALTERED, "tokenizer.json", " did not come whole", id="altered-small"),
    ],
)
def test_fetch_that_broke_leaves_nothing_to_take_for_whole(hub, clients, fault, file, words):
    repo_id = f"broken/{fault.name.lower()}-{file}"
    repository, files = hub.add(repo_id), model()
    old = repository.commit(model(1), branch="old")
    assert clients["online"].fetch(f"{repo_id}@old").revision == old
    commit = repository.commit(files)
    repository.faults[file] = fault
    broken = clients["online"].fetch(repo_id)
    assert broken.code == 1
    assert broken.message.startswith(f"{repo_id}@main: {file}{words}")
    assert "\n" not in broken.message
    assert "run the same command again" in broken.hint
    assert broken.err == ""
    # Offline, neither the branch nor the commit leads to the half that came.
    assert clients["offline"].fetch(repo_id).code == 2
    half = clients["offline"].fetch(f"{repo_id}@{commit}")
    assert (half.code, half.folder) == (2, None)
    assert clients["offline"].fetch(f"{repo_id}@old").revision == old
    repository.faults.clear()
    assert clients["online"].fetch(repo_id).files == {name: files[name] for name in SAVED}
    assert clients["offline"].fetch(repo_id).revision == commit


def test_fetch_resumes_after_a_connection_that_broke_once(hub, clients):
    repository, files = hub.add("org/once"), model()
    repository.commit(files)
    repository.faults_once["model.safetensors"] = Fault.TRUNCATED
    answer = clients["online"].fetch("org/once")
    assert answer.files["model.safetensors"] == files["model.safetensors"]
    assert answer.err == ""


# --- without a network ----------------------------------------------------------------------


def test_fetch_from_an_unreachable_hub_takes_no_cached_copy(hub, clients):
    commit = hub.add("org/cached").commit(model())
    assert clients["online"].fetch("org/cached").code == 0
    for source in ("org/cached", f"org/cached@{commit}"):
        answer = clients["unreachable"].fetch(source)
        assert (answer.code, answer.folder) == (1, None)
        assert answer.message.startswith(f"{parse_hub_id(source)}: http://127.0.0.1:")
        assert "cannot be reached" in answer.message
        assert "HF_HUB_OFFLINE=1" in answer.hint
        assert answer.err == ""


def test_fetch_offline_takes_the_cached_copy(hub, clients):
    commit = hub.add("org/warm").commit(model())
    online = clients["online"].fetch("org/warm")
    hub.requests.clear()
    for source in ("org/warm", f"org/warm@{commit}"):
        answer = clients["offline"].fetch(source)
        assert (answer.revision, answer.folder) == (commit, online.folder)
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["main", "v1", "0" * 40])
def test_fetch_offline_from_a_cold_cache_says_so(hub, clients, revision):
    hub.add("org/cold").commit(model())
    answer = clients["offline"].fetch(f"org/cold@{revision}")
    assert answer.code == 2
    assert answer.message.startswith(f"org/cold@{revision} is not in the cache")
    assert "without HF_HUB_OFFLINE" in answer.hint
    assert answer.err == ""


# --- failures that no server brings about ---------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(OSError(errno.ENOSPC, "full"), HeadswapError, "no room is left", id="full"),
        pytest.param(OSError(errno.EROFS, "fixed"), InputError, "cannot write", id="read-only"),
        pytest.param(RuntimeError("xet: one\ntwo"), HeadswapError, "did not come whole", id="xet"),
        pytest.param(ConnectionError("xet"), HeadswapError, "broke off", id="xet-network"),
    ],
)
def test_failure_of_this_machine_names_file_and_remedy(error, kind, words):
    with pytest.raises(HeadswapError) as caught, explained(HubId("org/name"), "config.json"):
        raise error
    assert type(caught.value) is kind
    assert str(caught.value).startswith("org/name@main: config.json")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
