"""Script in every text that a dataset holds: it shows as text, and none of it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingest.dataset.commit import commit
from ingest.dataset.manifest import FileEntry, read_manifest
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.verification import verify
from ingest.dataset.writer import write_table
from reports.site.pages import write_report
from sql.session import open_session
from tests.support.running import Run
from tests.support.services.browser import running_browser
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

ATTACKS = (
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 2</script>",
    "</style><img src=x onerror='window.pwned = 3'>",
    '"><svg onload="window.pwned = 4">',
    "'-(window.pwned = 5)-'",
    "javascript:window.pwned=6",
    "{{ constructor.constructor('window.pwned = 7')() }}",
    "<!--<script>window.pwned = 8",
    "\u2028window.pwned = 9\u2029",
    "]]>&lt;script&gt;window.pwned = 10",
    "\x1b]0;pwned\x07\x1b[2J",
)
# Names that the tables join on, and what a manifest is not read without: not free texts.
_KEYS = {"model", "prompt_id", "weights_sha256", "role", "dtype", "precision"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound dataset in which every free text is an attack, each another."""
    path = tmp_path_factory.mktemp("hostile") / "dataset"
    write_synthetic_dataset(path, [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)])
    manifest = read_manifest(path)
    number = 0

    def attack() -> str:
        nonlocal number
        number += 1
        return ATTACKS[number % len(ATTACKS)] + str(number)

    variant, tokenizer, structural = ATTACKS[0], ATTACKS[1], ATTACKS[2]
    fixed = {"variant": variant, "tokenizer": tokenizer}
    described = {
        model.name: {"source": attack(), "revision": attack()} for model in manifest.models
    }
    for description in described.values():
        description |= {"architecture": attack(), "device": attack()}
    tables: dict[str, tuple[FileEntry, ...]] = {}
    for name, entries in manifest.tables.items():
        if name == "attention":
            continue
        rows = pq.read_table(path / entries[0].path).to_pylist()
        for row in rows:
            for field in STORED_TABLES[name].columns:
                if field.name not in _KEYS and field.type == "string":
                    row[field.name] = fixed.get(field.name) or attack()
            if name == "models":
                row.update(described[row["model"]])
            if name == "prompts":
                row["steps"] = [attack(), attack()]
        tables[name] = (write_table(path, entries[0].path, name, rows),)
    models = tuple(
        replace(
            model,
            tokenizer=tokenizer,
            config={attack(): attack()},
            **described[model.name],  # type: ignore[arg-type]
        )
        for model in manifest.models
    )
    changed = replace(
        manifest,
        variant=variant,
        structural=structural,
        tokenizers={tokenizer: "1" * 64},
        written_with={attack(): attack()},
        models=models,
        tables=manifest.tables | tables,
    )
    commit(path, changed)
    return path


def test_hostile_texts_are_no_damage(hostile: Path, run: Run) -> None:
    assert not [problem for check in verify(hostile) for problem in check.problems]
    assert run("sql", hostile, "select count(*) from similarity_ranking").code == 0


def test_no_script_runs_in_the_report(hostile: Path, tmp_path: Path) -> None:
    with open_session(hostile) as session:
        file = write_report(session, tmp_path)
    with running_browser() as browser:
        page = browser.open(file)
        page.wait_for("document.querySelectorAll('svg, canvas').length > 3")
        assert page.evaluate("window.pwned") is None
        assert page.errors == []
        assert page.requests == [file.as_uri()]
        text = page.evaluate("document.body.innerText + document.body.outerHTML")
        assert "window.pwned = " in text  # as a text it is there
        assert page.evaluate("document.querySelectorAll('img[src=x], svg[onload]').length") == 0


@pytest.mark.parametrize(
    "words",
    [
        ["sql", "{d}", "select * from tokens"],
        ["sql", "{d}", "select * from prompts"],
        ["sql", "{d}", "select * from models"],
        ["verify", "{d}"],
        ["sql", "{d}", "select 1", "--variant=x"],
        ["sql", "{d}", "select cast(token as integer) from tokens"],
    ],
    ids=str,
)
def test_no_control_character_reaches_the_terminal(
    words: list[str], hostile: Path, run: Run
) -> None:
    outcome = run(*(word.format(d=hostile) for word in words))
    shown = outcome.out + outcome.err
    assert not {character for character in shown if ord(character) < 32} - {"\n"}


def test_the_card_of_a_hostile_dataset_has_no_markup_of_its_own(hostile: Path) -> None:
    card = (hostile / "README.md").read_text(encoding="utf-8")
    assert "<script" not in card
    assert "<img" not in card
    assert "\x1b" not in card
