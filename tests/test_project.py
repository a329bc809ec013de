"""The project held against its own rules: layout, dependencies, imports, sizes, no local paths."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.checkout import project_files
from tests.support.dependencies import ROOT, brought_by, dependencies, pyproject

STAGES = ("ingest", "sql", "reports")
# Above the stages: the command line and the Python interface, which put them together.
ABOVE = "headswap"

TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "constraints.txt",
    "docs",
    "headswap",
    "ingest",
    "pyproject.toml",
    "reports",
    "sql",
    "tests",
}

# Who may import what, as package prefixes: against the flow of the data, and never past the
# contract and the kernel, `ingest.dataset` and `ingest.kernel`. The first prefix that fits
# a module is its rule.
IMPORTS_ALLOWED = {
    "ingest.kernel": ("ingest.kernel",),
    "ingest.dataset": ("ingest.dataset", "ingest.kernel"),
    "ingest": ("ingest",),
    "sql": ("sql", "ingest.dataset", "ingest.kernel"),
    "reports": ("reports", "sql", "ingest.dataset", "ingest.kernel"),
}

# Generous for prose and data, which are not read from top to bottom to change a line.
MAX_LINES = 400
CODE_SUFFIXES = {".py", ".sql", ".html", ".css", ".js"}

# Folders that exist on one machine only. The lookbehind leaves out URLs and relative paths.
LOCAL_PATH = re.compile(
    rb"(?<![\w.:/~-])/(?:root|home/[\w.-]+|Users/[\w.-]+)/|\b[A-Z]:\\Users\\|(?<!\w)file:///\w"
)


# --- layout ---------------------------------------------------------------------------------


def test_top_level_holds_only_what_the_layout_names():
    assert {path.parts[0] for path in project_files()} == TOP_LEVEL


def test_every_folder_with_code_is_a_package():
    folders = {path.parent for path in project_files() if path.suffix == ".py"}
    stage_folders = [
        folder for folder in folders if folder.parts and folder.parts[0] in (*STAGES, ABOVE)
    ]
    assert stage_folders
    # Otherwise an editable install works and a wheel lacks the folder.
    assert [str(f) for f in stage_folders if not (ROOT / f / "__init__.py").is_file()] == []


def test_data_files_beside_code_are_packaged():
    patterns = pyproject()["tool"]["setuptools"]["package-data"]["*"]
    packaged = {pattern.removeprefix("**/*") for pattern in patterns} | {".py"}
    stage_files = [path for path in project_files() if path.parts[0] in (*STAGES, ABOVE)]
    assert sorted(str(path) for path in stage_files if path.suffix not in packaged) == []


def test_code_files_are_under_400_lines():
    lengths = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in project_files()
        if path.suffix in CODE_SUFFIXES
    }
    assert {path: length for path, length in lengths.items() if length >= MAX_LINES} == {}


def test_files_name_no_folder_of_a_build_machine():
    here = str(ROOT).encode() + b"/"
    found = [
        f"{path}: {match.group().decode(errors='replace')}"
        for path in project_files()
        for match in re.finditer(
            LOCAL_PATH.pattern + b"|" + re.escape(here), (ROOT / path).read_bytes()
        )
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "is_local"),
    [
        pytest.param(b"open('/" + b"home/ann/data')", True, id="home"),
        pytest.param(b"/" + b"root/model.pt", True, id="root"),
        pytest.param(b"C:" + b"\\Users\\ann", True, id="windows"),
        pytest.param(b"file:" + b"///srv", True, id="file-url"),
        pytest.param(b"https://example.org/home/ann/", False, id="url"),
        pytest.param(b"docs/home/ann/page", False, id="relative"),
        pytest.param(b"/usr/bin/env bash", False, id="same-everywhere"),
    ],
)
def test_local_path_pattern_finds_paths_of_one_machine_only(text, is_local):
    assert bool(LOCAL_PATH.search(text)) is is_local


# --- dependencies ---------------------------------------------------------------------------


def pins() -> dict[str, str]:
    """Version by canonical name; every line of constraints.txt is such a pin or a comment."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith("#"):
            pin = re.fullmatch(r"([\w.-]+)==([\w.]+)", line)
            assert pin is not None, f"no pin of the form name==version: {line}"
            versions[canonicalize_name(pin[1])] = pin[2]
    return versions


@pytest.mark.parametrize("group", ["base", "models", "s3", "spark", "dev"])
def test_pins_satisfy_the_minimum_versions(group):
    versions = pins()
    for requirement in dependencies(group):
        pinned = versions.get(canonicalize_name(requirement.name))
        assert pinned is not None, f"{requirement.name} has no pin in constraints.txt"
        assert requirement.specifier, f"{requirement.name} has no minimum version"
        assert requirement.specifier.contains(pinned, prereleases=True), f"{requirement}: {pinned}"


def test_pins_cover_all_that_the_dependencies_bring():
    assert brought_by(dependencies("base", "models", "s3", "spark", "dev")) - pins().keys() == set()


def test_pins_cover_the_build():
    requirements = [Requirement(line) for line in pyproject()["build-system"]["requires"]]
    versions = pins()
    assert "pip" in versions
    for requirement in requirements:
        assert requirement.specifier.contains(versions[requirement.name])


def test_dependencies_each_state_their_reason():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for requirement in dependencies("base", "models", "s3", "spark", "dev"):
        declared = [line for line in lines if line.strip().startswith(f'"{requirement}"')]
        assert len(declared) == 1, f"{requirement} is not on one line of its own"
        assert re.search(r",  # \S", declared[0]), f"{requirement} has no reason beside it"


def test_base_install_brings_nothing_that_runs_models():
    models = {canonicalize_name(requirement.name) for requirement in dependencies("models")}
    assert "torch" in models
    assert brought_by(dependencies("base")) & models == set()


# --- imports --------------------------------------------------------------------------------


def stage_modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and absolute path of every module of the stages."""
    for path in project_files():
        if path.suffix == ".py" and path.parts[0] in STAGES:
            parts = path.with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), ROOT / path


def imported_names(name: str, path: Path, tree: ast.AST) -> Iterator[str]:
    """Dotted names that a module imports anywhere; ``from a import b`` gives ``a.b``."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_imports_run_against_the_flow_of_the_data():
    ours = (*STAGES, ABOVE, "tests")
    wrong = []
    for name, path in stage_modules():
        allowed = next(rule for prefix, rule in IMPORTS_ALLOWED.items() if is_within(name, prefix))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for imported in imported_names(name, path, tree):
            is_ours = imported.split(".")[0] in ours
            if is_ours and not any(is_within(imported, package) for package in allowed):
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def is_for_types_only(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`, whose imports never run."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_stages_are_imported_from_above_only_inside_functions():
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found: list[str] = []
    for path in (ROOT / ABOVE).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {
            id(child)
            for function in ast.walk(tree)
            if isinstance(function, functions) or is_for_types_only(function)
            for child in ast.walk(function)
        }
        outside = ast.Module(
            body=[
                node
                for node in ast.walk(tree)
                if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in inside
            ],
            type_ignores=[],
        )
        found += imported_names(f"{ABOVE}.{path.stem}", path, outside)
    # The kernel is what any module may import: errors, and what commands share.
    outside_kernel = [name for name in found if not is_within(name, "ingest.kernel")]
    assert [name for name in outside_kernel if name.split(".")[0] in STAGES] == []


def module_imports() -> dict[str, set[str]]:
    """Which modules of the project each imports at its top, where a circle would close."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for stage in (*STAGES, ABOVE)
        for path in (ROOT / stage).rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for module, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        names = imported_names(module, path, tree)
        found[module] = {
            candidate
            for name in names
            for candidate in (name, name.rpartition(".")[0])
            if candidate in paths and candidate != module
        }
    return found


def test_no_circle_of_imports() -> None:
    graph = module_imports()
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
    assert graph["sql.session"] >= {"sql.graph.catalog", "ingest.dataset.reader"}


def test_no_folder_holds_more_than_12_modules() -> None:
    folders = Counter(
        path.parent.relative_to(ROOT)
        for stage in (*STAGES, ABOVE, "tests/support")
        for suffix in ("py", "sql")
        for path in (ROOT / stage).rglob(f"*.{suffix}")
        if path.name != "__init__.py"
    )
    assert {folder: n for folder, n in folders.items() if n > 12} == {}


def test_every_file_says_in_its_first_line_what_it_is() -> None:
    silent = [
        path
        for path in project_files()
        if path.suffix in (".py", ".sql")
        and not (ROOT / path).read_text(encoding="utf-8").startswith(('"""', 'r"""', "-- "))
    ]
    assert silent == []


IMPORT_ALL = """
import importlib, json, pkgutil, sys

package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("package", ["headswap", "sql", "reports", "ingest.dataset"])
def test_import_loads_nothing_that_runs_models(package):
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    extra = {requirement.name for requirement in dependencies("models")}
    assert extra & set(json.loads(run.stdout)) == set()
