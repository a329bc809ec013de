"""The engine of the page Ask: what the set-up takes from npm, and what it makes of it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from reports.ask.build import build
from reports.ask.engine import ENGINE_FOLDER, WASM, read_engine
from reports.site.pages import write_report
from sql.session import Session
from tests.support.checkout import project_files
from tests.support.dependencies import ROOT
from tests.support.services.browser import NPM

LOCK = json.loads((ROOT / "reports" / "ask" / "package-lock.json").read_text(encoding="utf-8"))
PACKAGES = {name: entry for name, entry in LOCK["packages"].items() if name}


def test_lock_pins_every_package_by_its_hash_and_names_no_address() -> None:
    assert {"node_modules/@duckdb/duckdb-wasm", "node_modules/axe-core"} < PACKAGES.keys()
    assert all(entry["integrity"].startswith("sha512-") for entry in PACKAGES.values())
    assert not [name for name, entry in PACKAGES.items() if "resolved" in entry]
    # The address of who funds a package is no address that npm fetches from.
    kept = [{k: v for k, v in entry.items() if k != "funding"} for entry in PACKAGES.values()]
    assert "://" not in json.dumps(kept)


def test_versions_are_exact() -> None:
    asked = json.loads((ROOT / "reports" / "ask" / "package.json").read_text(encoding="utf-8"))
    versions = asked["dependencies"] | asked["devDependencies"]
    for name, version in versions.items():
        assert PACKAGES[f"node_modules/{name}"]["version"] == version


def test_nothing_of_npm_is_in_git() -> None:
    names = project_files()
    assert not [name for name in names if "node_modules" in name.parts or name.suffix == ".wasm"]
    assert not [name for name in names if name.name.endswith((".min.js", ".gz"))]


def test_build_gives_the_same_bytes_again(tmp_path: Path) -> None:
    build(NPM, tmp_path)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert built == {path.name: path.read_bytes() for path in ENGINE_FOLDER.iterdir()}
    assert gzip.decompress(built[WASM])[:4] == b"\0asm"


def test_engine_carries_the_licences_of_what_it_holds() -> None:
    engine = read_engine()
    assert engine is not None
    for name in ("@duckdb/duckdb-wasm 1.32.0 (MIT)", "apache-arrow", "flatbuffers", "tslib"):
        assert name in engine.licences
    assert "Permission is hereby granted" in engine.licences
    assert "</script" not in engine.main.lower()


def test_without_a_set_up_there_is_no_engine(tmp_path: Path) -> None:
    assert read_engine(tmp_path) is None


def test_report_without_the_engine_leaves_ask_out_and_says_how_to_get_it(
    small_session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("reports.ask.page.read_engine", lambda: read_engine(tmp_path / "none"))
    write_report(small_session, tmp_path / "report")
    assert not (tmp_path / "report" / "ask.html").exists()
    assert "ask.html" not in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "Ask" in line]
    assert "left out" in line
    assert "Hint: install the built wheel" in line


def test_a_report_without_ask_removes_the_page_of_an_earlier_one(
    small_session: Session, tmp_path: Path
) -> None:
    write_report(small_session, tmp_path)
    assert (tmp_path / "ask.html").is_file()
    write_report(small_session, tmp_path, questions=None)
    assert not (tmp_path / "ask.html").exists()
    assert 'href="ask.html"' not in (tmp_path / "index.html").read_text(encoding="utf-8")
