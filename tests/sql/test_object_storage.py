"""Datasets queried in object storage: a real S3-compatible server, every byte of it counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ingest.dataset.manifest import MANIFEST_NAME, read_manifest
from ingest.kernel.errors import DatasetError
from sql.console.examples import examples
from sql.session import open_session
from tests.support.fresh import fresh_processes
from tests.support.running import Run, stored_patterns
from tests.support.services.hub import free_port
from tests.support.services.object_store import ObjectStore, serve_objects
from tests.support.services.sharing import content
from tests.support.synthetic import SyntheticModel, write_large_dataset, write_synthetic_dataset

ROOT = Path(__file__).parents[2]
PROFILE = (
    "select bin, avg(mass) as mass from structural_mass where model = 'a' and layer = 3 "
    "and head = 5 and query > 0 group by bin order by bin"
)
ATTENTION = "attention/a/part-00000.parquet"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with serve_objects(tmp_path_factory.mktemp("objects")) as store:
        yield store


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_large_dataset(tmp_path_factory.mktemp("large") / "dataset")


@pytest.fixture(scope="module")
def large(store: ObjectStore, dataset: Path) -> str:
    return store.put("large", "studies/first one", content(dataset))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("a", seed=4), SyntheticModel("b", seed=5)]
    return write_synthetic_dataset(tmp_path_factory.mktemp("small") / "dataset", models)


@pytest.fixture(scope="module")
def reader(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs `headswap` as a user of the store, each command in a process."""
    cache = {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("reader"))}
    with fresh_processes(store.environment | cache) as run:
        yield run


@pytest.fixture
def user(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as a user of the store, with an empty cache."""
    for name, value in (store.environment | {"XDG_CACHE_HOME": str(tmp_path / "cache")}).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("sandbox", [[], ["--sandbox"]], ids=["", "sandbox"])
def test_the_profile_of_a_head_reads_a_few_of_the_bytes(sandbox, store, reader, dataset, large):
    reader("sql", large, "select 1")  # the small tables are fetched once
    store.n_bytes = 0
    asked = reader("sql", large, PROFILE, "--json", *sandbox)
    assert (asked.code, asked.err) == (0, "")
    read = store.n_bytes - (dataset / MANIFEST_NAME).stat().st_size
    whole = sum(entry.bytes for entry in read_manifest(dataset).files_of("attention", "a"))
    assert 0 < read < 0.05 * whole
    with open_session(dataset) as session:
        expected = [row["mass"] for row in session.rows(PROFILE)]
    assert [row["mass"] for row in json.loads(asked.out)] == pytest.approx(expected, rel=1e-12)


def test_rows_are_those_of_a_copy(user, dataset, large):
    with open_session(f"{large}/") as afar, open_session(dataset) as copy:
        small = "select * from tokens order by all"
        assert afar.rows(small) == copy.rows(small)
        here, there = (stored_patterns(session, "b", 7) for session in (copy, afar))
        assert np.array_equal(here, there, equal_nan=True)


def test_cookbook_questions_are_answered_as_on_a_copy(user, store, tmp_path):
    # With the models, layers and heads that the questions name.
    models = [SyntheticModel(name, 4, 6, seed) for seed, name in enumerate(("standard", "adhd"))]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    address = store.put("cookbook", "study", content(dataset))
    with open_session(address) as afar, open_session(dataset) as copy:
        for example in examples():
            with afar.ask(example.query) as there, copy.ask(example.query) as here:
                answer = here.fetchall()
                assert answer, example.question
                assert there.fetchall() == answer, example.question
    assert len(examples()) == 20


def test_a_report_is_written_from_there(reader, store, small, tmp_path):
    address = store.put("report", "small", content(small))
    outcome = reader("report", address, "--out", tmp_path / "report")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "report" / "index.html").is_file()


def test_an_object_that_changes_while_it_is_read_is_refused(user, store, dataset):
    address = store.put("changing", "large", content(dataset))
    with open_session(address) as session:
        session.rows("select count(weight) from attention where model = 'a' and layer = 0")
        body = (dataset / ATTENTION).read_bytes()
        changed = body[:-1] + bytes([body[-1] ^ 1])  # of the same size
        store.client.put_object(Bucket="changing", Key=f"large/{ATTENTION}", Body=changed)
        query = "select count(weight) from attention where model = 'a' and layer = 1"
        with (
            pytest.raises(DatasetError, match="was changed while it was being read"),
            session.ask(query) as relation,
        ):
            relation.fetchall()


def altered(body: bytes) -> bytes:
    return bytes(byte ^ 1 for byte in body)


FAULTS = {
    "small-table-altered": ("tokens.parquet", altered, "does not have the SHA-256"),
    "file-shorter": (ATTENTION, lambda body: body[:-9], "does not have the"),
    "file-gone": (ATTENTION, lambda body: None, "is not there"),
    "manifest-gone": (MANIFEST_NAME, lambda body: None, "is not there"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line(name, store, small, user, run: Run):
    file, change, words = FAULTS[name]
    files = content(small) | {file: change((small / file).read_bytes())}
    address = store.put(name, "x", {path: body for path, body in files.items() if body})
    outcome = run("sql", address, "select count(weight) from attention where layer = 0")
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert file in outcome.err
    assert len(outcome.err.splitlines()) == 2


def test_what_is_forbidden_is_said_to_be(store, small, reader):
    address = store.put("forbidden", "x", content(small))
    store.forbidden.add(f"/forbidden/x/{ATTENTION}")
    outcome = reader("sql", address, "select count(weight) from attention where model = 'a'")
    assert outcome.code == 2
    assert f"{ATTENTION} is not for these credentials" in outcome.err
    assert len(outcome.err.splitlines()) == 2


def test_a_bucket_that_does_not_exist_is_named(reader):
    outcome = reader("sql", "s3://nothing-of-this-name/x", "select 1")
    assert outcome.code == 2
    assert "s3://nothing-of-this-name/x: manifest.json is not there" in outcome.err


SETTINGS: dict[str, tuple[dict[str, str | None], int]] = {
    "no-credentials": ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, 2),
    "no-profile": ({"AWS_PROFILE": "nobody"}, 2),
    "no-server": ({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}, 1),
    "no-url": ({"AWS_ENDPOINT_URL": "nowhere"}, 1),
}
WORDS = {
    "no-credentials": "needs credentials",
    "no-profile": "nobody",
    "no-server": "cannot be read",
    "no-url": "cannot be read",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_reach_nothing_are_one_line(name, run: Run, user, large, monkeypatch):
    changes, code = SETTINGS[name]
    for variable, value in changes.items():
        if value is None:
            monkeypatch.delenv(variable)
        else:
            monkeypatch.setenv(variable, value)
    outcome = run("sql", large, "select 1")
    assert outcome.code == code, outcome.err
    assert WORDS[name] in outcome.err
    assert len(outcome.err.splitlines()) == 2


@pytest.mark.parametrize("address", ["s3://", "s3:///x", "s3://a/../b/c", "s3://a/b*"])
def test_an_address_of_no_folder_is_refused(address, run: Run):
    outcome = run("sql", address, "select 1")
    assert outcome.code == 2
    assert "is not the address of a folder" in outcome.err


def test_without_the_package_one_line_says_what_to_install(run: Run, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    outcome = run("sql", "s3://bucket/x", "select 1")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "headswap: reading s3:// needs a package that is not installed: s3fs",
        "Hint: pip install 'headswap[s3]'",
    ]


def test_a_process_leaves_nothing_on_stderr(store, large, tmp_path):
    words = ["sql", large, "select count(*) as n from models", "--json"]
    code = "import sys, headswap; sys.exit(headswap.main(sys.argv[1:]))"
    environment = store.environment | {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, [{"n": 2}], "")


def test_a_command_that_needs_the_files_says_how_to_copy_them(run: Run):
    outcome = run("verify", "s3://bucket/study")
    assert outcome.code == 2
    assert "is not on this machine" in outcome.err
    assert "aws s3 sync s3://bucket/study" in outcome.err


@pytest.mark.parametrize("command", ["sql", "report"])
@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_googles_storage_is_named_as_what_works(scheme, command, run: Run, tmp_path):
    words = ["select 1"] if command == "sql" else ["--out", tmp_path / "report"]
    outcome = run(command, f"{scheme}://bucket/study", *words)
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        f"headswap: {scheme}://bucket/study: Google Cloud Storage is not read by this address",
        "Hint: it also speaks S3: write s3://bucket/study, with HMAC keys in AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL=https://storage.googleapis.com",
    ]


def test_an_address_that_nothing_reads_is_refused(run: Run):
    outcome = run("sql", "abfs://bucket/study", "select 1")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "headswap: abfs://bucket/study: no dataset is read by such an address",
        "Hint: give a folder, or an address that begins with hf://, http://, https://, s3://",
    ]
