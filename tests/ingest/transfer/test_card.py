"""The card of a dataset: what it says, and every piece of code on it, run against a served copy."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import metadata_load

from ingest.dataset.cards.card import card_text
from ingest.dataset.cards.queries import Query, queries
from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from ingest.dataset.relations import STORED_TABLES, required_tables
from ingest.prompts.prompt_set import PAIRED_TASKS
from tests.support.services.hub import PATIENCE, Hub, serve_hub
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

HOME = "org/demo"


@pytest.fixture(scope="module")
def hub(demo_dataset: Path) -> Iterator[Hub]:
    files = {
        path.relative_to(demo_dataset).as_posix(): path.read_bytes()
        for path in demo_dataset.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    card = card_text(read_manifest(demo_dataset), HOME).encode()
    with serve_hub() as hub:
        hub.add(f"datasets/{HOME}").commit(files | {"README.md": card})
        yield hub


@pytest.fixture(scope="module")
def folder(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the code of the card is run: one folder, in the order of the card."""
    return tmp_path_factory.mktemp("card")


@pytest.fixture
def settings(hub: Hub, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    own = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return kept | PATIENCE | own


def code_on(dataset: Path) -> dict[str, Query]:
    return {query.title: query for query in queries(read_manifest(dataset), HOME)}


def run_in(words: list[str], settings: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        words, cwd=folder, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def found(dataset: Path, start: str) -> Query:
    (query,) = (query for title, query in code_on(dataset).items() if title.startswith(start))
    return query


def test_the_card_shows_all_code(demo_dataset):
    text = card_text(read_manifest(demo_dataset), HOME)
    blocks = re.findall(r"```(\w+)\n(.*?)\n```", text, re.S)
    shown = {(language, code.removeprefix("$ ")) for language, code in blocks}
    asked = {(query.language, query.code) for query in code_on(demo_dataset).values()}
    assert asked <= shown
    assert len(shown - asked) == 1  # the command that makes such a dataset


@pytest.mark.parametrize("start", ["headswap, where it lies", "a copy"])
def test_commands_of_the_card(start, demo_dataset, settings, folder):
    code = found(demo_dataset, start).code
    out = run_in(["bash", "-c", code], settings, folder)
    assert out.splitlines()[-1].strip() != ""
    if start == "a copy":
        checks = json.loads(run_in(["headswap", "verify", out.strip(), "--json"], settings, folder))
        assert checks["sound"]


PRINTS = {
    "headswap in Python": "{last}; print(len(frame))",
    "polars": "print(len({last}))",
    "pandas": "print(len({last}))",
    "`datasets`": "print({last})",
}


@pytest.mark.parametrize("start", PRINTS)
def test_python_of_the_card(start, hub, demo_dataset, settings, folder):
    code = found(demo_dataset, start).code
    if start == "polars":  # its own reader knows no hub but the one
        root = f"{hub.endpoint}/datasets/{HOME}/resolve/main"
        code = code.replace(f"hf://datasets/{HOME}", root)
    *lines, last = code.splitlines()
    printed = PRINTS[start].replace("{last}", last)
    out = run_in([sys.executable, "-c", "\n".join([*lines, printed])], settings, folder)
    expected = {"headswap in Python": "3", "polars": "48", "pandas": "8"}
    if start in expected:
        assert out.strip() == expected[start]
    else:
        assert "'token': '<|task|>'" in out


def test_sql_of_the_card(demo_dataset, settings, folder):
    """The text as DuckDB reads it; its extension for the hub is stood in for by the client."""
    code = (
        "import datetime, duckdb, json, sys; from huggingface_hub import HfFileSystem\n"
        "HfFileSystem.modified = lambda self, path: datetime.datetime(2000, 1, 1)\n"
        "connection = duckdb.connect(); connection.register_filesystem(HfFileSystem())\n"
        "print(json.dumps(connection.sql(sys.argv[1]).fetchall()))"
    )
    sql = code_on(demo_dataset)["DuckDB"].code
    rows = json.loads(run_in([sys.executable, "-c", code, sql], settings, folder))
    assert len(rows) == 5
    assert rows == sorted(rows, key=lambda row: -row[2])


def test_views_of_the_card(demo_dataset, settings, folder):
    code = found(demo_dataset, "All relations").code
    place, _, command = code.partition(" && ")
    assert command == "duckdb -init views.sql"
    script = (
        "import duckdb; c = duckdb.connect(); c.execute(open('views.sql').read()); "
        "print(c.sql('select count(*) from profiles').fetchall()[0][0])"
    )
    out = run_in([sys.executable, "-c", script], settings, folder / place.removeprefix("cd "))
    assert out.strip() == str(3 * 48 * 20)


def test_the_head_is_what_hubs_read(demo_dataset, tmp_path):
    manifest = replace(read_manifest(demo_dataset), licence="cc-by-4.0")
    (tmp_path / "README.md").write_text(card_text(manifest, HOME), encoding="utf-8")
    content = metadata_load(tmp_path / "README.md")
    assert content
    assert content["license"] == "cc-by-4.0"
    assert content["size_categories"] == ["100K<n<1M"]
    assert [config["config_name"] for config in content["configs"]] == list(required_tables())
    for config in content["configs"]:
        files = {entry.path for entry in manifest.files_of(config["config_name"])}
        matched = {
            p.relative_to(demo_dataset).as_posix() for p in demo_dataset.glob(config["data_files"])
        }
        assert matched == files


def test_the_command_of_the_card_makes_the_dataset(demo_dataset, tmp_path, run):
    text = card_text(read_manifest(demo_dataset))
    command = re.search(r"\$ headswap (ingest .*?)\n```", text, re.S)
    assert command
    words = shlex.split(command[1].replace("\\\n", ""))
    words[words.index("PROMPTS")] = str(PAIRED_TASKS)
    words[words.index("dataset")] = str(tmp_path / "again")
    assert run(*words).code == 0
    assert read_manifest(tmp_path / "again").sha256() == read_manifest(demo_dataset).sha256()


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_the_metadata_is_what_catalogues_read(demo_dataset, tmp_path):
    import mlcroissant

    copy = shutil.copytree(demo_dataset, tmp_path / "dataset")
    manifest = replace(read_manifest(copy), licence="mit")
    commit(copy, manifest, HOME)
    metadata = mlcroissant.Dataset(jsonld=copy / "croissant.json").metadata
    assert metadata.ctx.issues.errors == set()
    assert metadata.url == f"https://huggingface.co/datasets/{HOME}"
    assert {table.name for table in metadata.record_sets} == set(required_tables())


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame:DeprecationWarning")
@pytest.mark.parametrize("table", required_tables())
def test_records_by_the_metadata_are_all_rows(table, tmp_path):
    import mlcroissant

    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    path = write_synthetic_dataset(tmp_path / "dataset", models)
    records = list(mlcroissant.Dataset(jsonld=path / "croissant.json").records(table))
    assert len(records) == read_manifest(path).rows_of(table)
    names = [column.name for column in STORED_TABLES[table].columns]
    assert list(records[0]) == [f"{table}/{name}" for name in names]
