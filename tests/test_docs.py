"""The documentation: built without a warning, whole without a network, snippets and links sound."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import click
import pytest

import headswap
from sql.session import Session
from tests.support.dependencies import ROOT
from tests.support.pages.blocks import Block, blocks, commands, pages
from tests.support.pages.reference import GROUPS, REFERENCE, help_of
from tests.support.pages.reference import pages as reference_pages
from tests.support.services.browser import running_browser

DOCS = ROOT / "docs"
SITE = DOCS / "site"
# These are followed word for word instead: test_readme, test_tutorial.
FOLLOWED = {ROOT / "README.md", *(DOCS / "tutorial").glob("*.md")}
BLOCKS = [block for page in pages() for block in blocks(page)]
LANGUAGES = {"console", "json", "python", "sh", "sql", "text", "toml"}


def of_language(*languages: str) -> list[Block]:
    return [b for b in BLOCKS if b.language in languages and b.page not in FOLLOWED]


# --- generated pages ------------------------------------------------------------------------


def test_reference_is_that_of_the_code() -> None:
    written = {
        path.relative_to(REFERENCE).as_posix(): path.read_text(encoding="utf-8")
        for folder in (REFERENCE / "relations", REFERENCE)
        for path in folder.glob("*.md")
    }
    generated = reference_pages()
    # What is written by hand lies beside it.
    assert {name: written.get(name) for name in generated} == generated, "run `make format`"
    assert written.keys() - generated.keys() == {"dataset.md", "project.md"}


def test_every_command_and_no_other_has_its_help() -> None:
    text = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    shown = re.findall(r"^### headswap ([\w-]+)$", text, re.M)
    assert sorted(shown) == sorted(headswap.COMMANDS)
    for command in headswap.COMMANDS:
        assert help_of(command).startswith(f"Usage: headswap {command} ")
    grouped = [name for names in GROUPS.values() for name in names]
    assert set(grouped) <= set(headswap.COMMANDS)


def test_tree_names_every_folder() -> None:
    tree = (REFERENCE / "project.md").read_text(encoding="utf-8").split("```text")[1]
    named: list[Path] = []
    for line in tree.split("```")[0].strip("\n").splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        assert len(line.split(maxsplit=1)) == 2, line  # says what it is
        parents = [path for path in named if len(path.parts) == depth][-1:] if depth else []
        named.append(Path(*(part for path in parents for part in path.parts), name))
    assert [path for path in named if not (ROOT / path).exists()] == []
    holding = {
        path.relative_to(ROOT).parent
        for folder in ("headswap", "ingest", "sql", "reports")
        for suffix in ("py", "sql")
        for path in (ROOT / folder).rglob(f"*.{suffix}")
    }
    assert holding - set(named) == set()


# --- snippets -------------------------------------------------------------------------------


def test_blocks_say_what_they_are() -> None:
    assert [b.place for b in BLOCKS if b.language not in LANGUAGES] == []
    assert len(of_language("sql")) >= 20


@pytest.mark.parametrize("block", of_language("sql"), ids=lambda block: block.place)
def test_every_query_runs(block: Block, reference_session: Session) -> None:
    for query in block.code.split(";"):
        if query.strip():
            reference_session.rows(query)
            # Without it a dataset of two tokenizers gives each row twice.
            assert "join tokens" not in query or "tokens.tokenizer = models.tokenizer" in query


@pytest.mark.parametrize("block", of_language("console", "sh"), ids=lambda block: block.place)
def test_every_command_has_these_options(block: Block) -> None:
    for command in commands(block.code):
        words = shlex.split(command, comments=True)
        if words[0] != "headswap":
            continue
        group = headswap.command_line()
        context = click.Context(group)
        known = group.get_command(context, words[1])
        assert known is not None, f"{block.place}: {words[1]}"
        options = {name for p in known.params for name in (*p.opts, *p.secondary_opts)}
        used = {word.partition("=")[0] for word in words[2:] if re.match(r"-+[a-z]", word)}
        assert used <= options, block.place


@pytest.mark.parametrize("block", of_language("python"), ids=lambda block: block.place)
def test_every_import_is_there(block: Block) -> None:
    for node in ast.walk(ast.parse(block.code)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert importlib.util.find_spec(alias.name), alias.name
                # The stages' packages are not for readers.
                assert alias.name.split(".")[0] not in ("ingest", "sql", "reports"), block.place
        assert not isinstance(node, ast.ImportFrom) or node.module not in ("ingest", "sql")


def test_links_of_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", text) if "://" not in t]
    assert len(targets) > 10
    assert [t for t in targets if not (ROOT / t).exists()] == []


# --- the site -------------------------------------------------------------------------------


class Links(HTMLParser):
    """The addresses that a page leads to, those that it loads, and the places within it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.leads_to: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.leads_to.append(values["href"])
        elif tag in ("img", "script", "iframe", "source") and "src" in values:
            self.loads.append(values["src"])
        elif tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; `make docs` builds it with the same words."""
    folder = tmp_path_factory.mktemp("site")
    (line,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if "mkdocs" in line)
    words = line.split("mkdocs ")[1].split()
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", *words, "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "--strict" in words
    assert "WARNING" not in run.stderr
    return folder


def test_site_has_every_page_and_leads_to_each(site: Path) -> None:
    expected = {page.relative_to(DOCS).with_suffix(".html") for page in pages()[1:]}
    built = {path.relative_to(site) for path in site.rglob("*.html")} - {Path("404.html")}
    assert built == expected
    start = Links(site / "log.html")
    for page in expected:
        assert any((site / link.partition("#")[0]) == site / page for link in start.leads_to), page


def test_site_loads_nothing_from_elsewhere_and_its_links_lead_somewhere(site: Path) -> None:
    links = {path: Links(path) for path in site.rglob("*.html") if path.name != "404.html"}
    for page, found in links.items():
        assert [a for a in found.loads if "://" in a or a.startswith("//")] == [], page
        inner = [a for a in found.leads_to + found.loads if not re.match(r"\w+:|//", a)]
        for address in inner:
            name, _, place = address.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), f"{page.relative_to(site)}: {address}"
            if place and target in links:
                assert place in links[target].places, f"{page.relative_to(site)}: {address}"


def test_a_new_page_is_listed(tmp_path: Path) -> None:
    navigation = _navigation()
    for name in ("own-models.md", "a-new-topic.md", "cookbook.md"):
        (tmp_path / name).write_text(f"# {name}\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "index.md").write_text("# Parts of it\n")
    first = navigation.SECTIONS["howto"][1]
    assert navigation.entries(tmp_path, tmp_path, first) == [
        "own-models.md",
        "cookbook.md",
        "a-new-topic.md",
        {"Parts of it": ["parts/index.md"]},
    ]


def _navigation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("navigation", SITE / "navigation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_site_opens_from_a_folder_and_is_searched(site: Path) -> None:
    ready = "document.readyState === 'complete'"
    with running_browser() as browser:
        page = browser.open(site / "tutorial" / "head-swap.html", ready=ready)
        page.evaluate(
            "(() => { const field = document.querySelector('.md-search__input'); field.focus();"
            "field.value = 'jackknife'; field.dispatchEvent(new Event('keyup')); })()"
        )
        page.wait_for("document.querySelectorAll('.md-search-result__item').length > 0")
        links = "[...document.querySelectorAll('.md-search-result__item a')].map(a => a.href)"
        assert any("statistics.html" in link for link in page.evaluate(links))
        elsewhere = [a for a in page.requests if not a.startswith(("file:", "data:", "about:"))]
        assert (elsewhere, page.errors) == ([], [])
        for name in ("index", "howto/own-models", "reference/relations/index"):
            narrow = browser.open(site / f"{name}.html", width=390, ready=ready)
            assert narrow.evaluate("document.documentElement.scrollWidth") <= 390, name
            browser.close(narrow)
