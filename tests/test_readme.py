"""README.md says what the code does."""

from __future__ import annotations

import re

import pytest

from headswap import COMMANDS
from sql.session import Session
from tests.readme import README, help_of, rendered

TEXT = README.read_text(encoding="utf-8")


def test_rendered_parts_are_current() -> None:
    assert rendered(TEXT) == TEXT, "run `make format` to renew them"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_shown(command: str) -> None:
    assert f"headswap {command}" in TEXT
    assert help_of(command).startswith(f"usage: headswap {command}")


def test_every_query_runs(reference_session: Session) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", TEXT, re.S)
    queries = [query for block in blocks for query in block.split(";") if query.strip()]
    assert len(queries) >= 2
    for query in queries:
        reference_session.rows(query)
    (mutual, *_) = (reference_session.rows(query) for query in queries)
    assert len(mutual) == 12


def test_tree_names_files_that_exist() -> None:
    tree = TEXT.split("## The project")[1].split("```")[1]
    folders: list[str] = []
    for line in tree.strip().splitlines():
        names, indent = line.split("  ")[0] or line.strip().split("  ")[0], line.startswith("  ")
        folder = folders[-1] if indent and folders else ""
        if not indent and names.endswith("/"):
            folders.append(names)
        for name in names.split(", "):
            assert (README.parent / folder / name).exists(), name
