"""Datasets queried where they lie, over HTTP and on a hub on loopback, byte by byte counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import duckdb
import numpy as np
import pytest

from ingest.dataset.afar.open import open_afar
from ingest.dataset.manifest import MANIFEST_NAME, checksum_of, read_manifest
from ingest.kernel.files import sha256_of
from sql.graph.export import views_text
from sql.session import open_session
from tests.support.fresh import fresh_processes
from tests.support.running import Run, stored_patterns
from tests.support.services.hub import Fault, Hub, free_port, serve_hub
from tests.support.synthetic import (
    SyntheticModel,
    write_large_dataset,
    write_synthetic_dataset,
)

REPOSITORY = "datasets/org/large"
PROFILE = (
    "select bin, avg(mass) as mass from structural_mass where model = 'a' and layer = 3 "
    "and head = 5 and query > 0 group by bin order by bin"
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_large_dataset(tmp_path_factory.mktemp("large") / "dataset")


@pytest.fixture(scope="module")
def hub(dataset: Path) -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.add(REPOSITORY).commit(files_of(dataset))
        yield hub


@pytest.fixture(scope="module")
def reader(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs `headswap` with a cache and a hub of its own, each command in a process."""
    folder = tmp_path_factory.mktemp("reader")
    settings = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    with fresh_processes(settings) as run:
        yield run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small dataset."""
    path = tmp_path_factory.mktemp("small") / "dataset"
    return files_of(write_synthetic_dataset(path, [SyntheticModel("a", seed=4)]))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "headswap"


def files_of(dataset: Path) -> dict[str, bytes]:
    return {
        path.relative_to(dataset).as_posix(): path.read_bytes()
        for path in dataset.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def folder_on_the_web(hub: Hub, name: str = REPOSITORY) -> str:
    return f"{hub.endpoint}/{name}/resolve/main"


def bytes_of_a(dataset: Path) -> int:
    return sum(entry.bytes for entry in read_manifest(dataset).files_of("attention", "a"))


@pytest.mark.parametrize("sandbox", [[], ["--sandbox"]], ids=["", "sandbox"])
@pytest.mark.parametrize("place", ["hf://datasets/org/large", "{web}"], ids=["hub", "web"])
def test_the_profile_of_a_head_reads_a_few_of_the_bytes(place, sandbox, hub, reader, dataset):
    address = place.replace("{web}", folder_on_the_web(hub))
    reader("sql", address, "select 1")  # the small tables are fetched once
    hub.n_bytes = 0
    asked = reader("sql", address, PROFILE, "--json", *sandbox)
    assert (asked.code, asked.err) == (0, "")
    read = hub.n_bytes - (dataset / MANIFEST_NAME).stat().st_size
    assert read < 0.05 * bytes_of_a(dataset)
    with open_session(dataset) as session:
        expected = session.rows(
            "select bin, mass from profiles where model = 'a' and layer = 3 and head = 5 "
            "order by bin"
        )
    rows = json.loads(asked.out)
    assert [row["bin"] for row in rows] == [row["bin"] for row in expected]
    assert [row["mass"] for row in rows] == pytest.approx([row["mass"] for row in expected])


def test_from_afar_and_from_a_copy_come_the_same_rows(hub, dataset, cache):
    with open_session(folder_on_the_web(hub)) as afar, open_session(dataset) as copy:
        small = "select * from tokens order by all"
        assert afar.rows(small) == copy.rows(small)
        here, there = (stored_patterns(session, "b", 7) for session in (copy, afar))
        assert np.array_equal(here, there, equal_nan=True)


def test_the_shipped_views_work_over_ranges_in_plain_duckdb(hub, dataset, cache):
    manifest = read_manifest(dataset)
    afar = open_afar(folder_on_the_web(hub))
    text = views_text(dataset)
    for entry in manifest.files():
        here = f"getvariable('headswap_dataset') || '/{entry.path}'"
        text = text.replace(here, f"'afar://{entry.path}'")
    hub.n_bytes = 0
    with duckdb.connect(":memory:") as connection:
        connection.register_filesystem(afar.file_system)
        connection.execute(f"set variable headswap_folder = '{dataset}'")
        connection.execute(text)
        found = connection.sql(PROFILE).fetchall()
        connection.unregister_filesystem("afar")
    assert 0 < hub.n_bytes < 0.05 * bytes_of_a(dataset)
    with open_session(dataset) as session:
        expected = [tuple(row.values()) for row in session.rows(PROFILE)]
    assert np.allclose(found, expected, rtol=1e-12)


def test_a_figure_is_drawn_from_afar(hub, small, run: Run, cache, tmp_path):
    hub.add("datasets/org/small").commit(small)
    address = folder_on_the_web(hub, "datasets/org/small")
    outcome = run("figure", address, "profiles", "-o", tmp_path / "figure.csv")
    assert outcome.code == 0, outcome.err
    assert len((tmp_path / "figure.csv").read_text().splitlines()) > 20


def test_a_large_file_resumes_where_its_connection_broke(hub, dataset, tmp_path):
    repository = hub.repositories[REPOSITORY]
    repository.faults_once["attention/b/part-00000.parquet"] = Fault.TRUNCATED
    settings = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
    }
    hub.n_bytes = 0
    with fresh_processes(settings) as reader:
        assert reader("pull", "org/large", "--out", tmp_path / "out").code == 0
    assert files_of(tmp_path / "out")[ATTENTION] == (dataset / ATTENTION).read_bytes()
    manifest = read_manifest(dataset)
    whole = sum(entry.bytes for entry in manifest.files())
    # What was read of the file and not yet written, at most one piece of the client's, comes twice.
    half = manifest.files_of("attention", "b")[0].bytes // 2
    assert hub.n_bytes < whole + half


def test_what_was_computed_is_kept_here(hub, dataset, cache):
    query = "select count(*) as n from profiles"
    for expected in (True, False):
        hub.n_bytes = 0
        with open_session(folder_on_the_web(hub)) as session:
            (row,) = session.rows(query)
        assert row["n"] == 2 * 48 * 20
        assert (hub.n_bytes > bytes_of_a(dataset)) is expected
    kept = [path.name.partition("-")[0] for path in cache.rglob("views/*.parquet")]
    assert kept == ["block_profiles"]


def test_what_reads_all_rows_gets_whole_files_that_are_checked(hub, dataset, cache):
    (entry,) = read_manifest(dataset).files_of("attention", "a")
    afar = open_afar(folder_on_the_web(hub))
    (path,) = afar.table_files("attention", "a")
    assert path.is_relative_to(cache)
    assert sha256_of(path) == entry.sha256
    hub.n_bytes = 0
    assert afar.table_files("attention", "a") == [path]
    assert hub.n_bytes == 0


def test_an_address_is_pinned_to_a_commit(hub, small, reader):
    repository = hub.add("datasets/org/moving")
    first = repository.commit(small)
    count = "select count(*) as n from models"
    out = reader("sql", "hf://datasets/org/moving", count, "--json")
    assert json.loads(out.out) == [{"n": 1}]
    repository.commit({"README.md": b"nothing left"})
    gone = reader("sql", "hf://datasets/org/moving", "select 1")
    assert gone.code == 2
    assert "manifest.json" in gone.err
    pinned = reader("sql", f"hf://datasets/org/moving@{first}", "select 1 as n", "--json")
    assert json.loads(pinned.out) == [{"n": 1}]


def test_the_sandbox_reads_nothing_but_the_dataset(hub, reader):
    web = folder_on_the_web(hub)
    for query in (
        f"select * from read_parquet('{web}/models.parquet')",
        "select * from read_parquet('afar://manifest.json')",
        "select * from read_text('/etc/hostname')",
        "select * from read_text('afar://README.md')",
        "select * from glob('afar://**')",
    ):
        refused = reader("sql", web, query, "--sandbox", "--json")
        assert refused.code == 2 or json.loads(refused.out) == [], query
    written = reader("sql", web, "copy models to 'afar://x.parquet'")
    assert written.code == 2


def test_a_process_leaves_nothing_on_stderr(hub):
    """What a connection of DuckDB does not give back, it reports where the program ends."""
    words = ["sql", folder_on_the_web(hub), "select count(*) from models", "--json"]
    code = "import sys, headswap; sys.exit(headswap.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- what goes wrong ------------------------------------------------------------------------


def changed_manifest(small: dict[str, bytes], path: str, changes: dict[str, object]) -> bytes:
    manifest = json.loads(small[MANIFEST_NAME])
    for entries in manifest["tables"].values():
        for entry in entries:
            if entry["path"] == path:
                entry.update(changes)
    manifest["sha256"] = checksum_of(manifest)
    return json.dumps(manifest).encode()


ATTENTION, SMALL = "attention/a/part-00000.parquet", "tokens.parquet"
FAULTS = {
    "small-table-altered": (SMALL, Fault.ALTERED, 2, "does not have the SHA-256"),
    "file-shorter": (ATTENTION, Fault.SHORT, 2, "does not have the"),
    "file-gone": (ATTENTION, Fault.MISSING, 2, "HTTP 404"),
    "manifest-gone": (MANIFEST_NAME, Fault.MISSING, 2, "HTTP 404"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line(name, hub, small, run: Run, cache):
    file, fault, code, words = FAULTS[name]
    repository = hub.add(f"datasets/faults/{name}")
    repository.commit(small)
    repository.faults[file] = fault
    address = folder_on_the_web(hub, f"datasets/faults/{name}")
    outcome = run("sql", address, "select count(weight) from attention where layer = 0")
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.err
    assert file in outcome.err
    assert len(outcome.err.splitlines()) == 2


LIES: dict[str, tuple[str, dict[str, object], str]] = {
    "bytes": (ATTENTION, {"bytes": 5_000_000}, "does not have the 5,000,000 bytes"),
    "sha256": (SMALL, {"sha256": "0" * 64}, "does not have the SHA-256"),
    "outside": (SMALL, {"path": "../x.parquet"}, "not a Parquet file inside"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_is_found_out(lie, hub, small, run: Run, cache):
    file, changes, words = LIES[lie]
    text = changed_manifest(small, file, changes)
    name = f"datasets/lies/{lie}"
    hub.add(name).commit(small | {MANIFEST_NAME: text})
    outcome = run("sql", folder_on_the_web(hub, name), "select count(weight) from attention")
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 2


ADDRESSES = {
    "hf://datasets/org": "is not the address of a dataset on the hub",
    "hf://org/name": "is not the address of a dataset on the hub",
    "hf://models/org/name": "is not the address of a dataset on the hub",
    "http:///folder": "is not the address of a folder",
    "https://example.org/a?b=c": "is not the address of a folder",
    "http://127.0.0.1:{free}/x": "cannot be read",
    "{hub}/nothing": "HTTP 4",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_without_a_dataset_is_refused(address, hub, run: Run, cache):
    filled = address.replace("{hub}", hub.endpoint).replace("{free}", str(free_port()))
    outcome = run("sql", filled, "select 1")
    assert outcome.code in (1, 2)
    assert ADDRESSES[address] in outcome.err
    assert len(outcome.err.splitlines()) == 2


def test_a_server_of_whole_files_only_is_named(small, run: Run, cache, tmp_path):
    for name, body in small.items():
        (tmp_path / "web" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "web" / name).write_bytes(body)
    handler = partial(QuietFiles, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        outcome = run("sql", f"http://127.0.0.1:{server.server_port}", "select 1")
        server.shutdown()
    assert outcome.code == 2
    assert "its server sends no parts of" in outcome.err
    assert len(outcome.err.splitlines()) == 2


class QuietFiles(SimpleHTTPRequestHandler):
    """Python's own server of a folder, which knows no ranges."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


def test_a_command_that_needs_the_files_says_so(run: Run):
    outcome = run("verify", "hf://datasets/org/large")
    assert outcome.code == 2
    assert "is not on this machine" in outcome.err
    assert "headswap pull" in outcome.err
