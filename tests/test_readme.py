"""README.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headswap import COMMANDS
from sql.graph.reference import reference_text
from sql.session import Session
from tests.support.readme import README, RELATIONS, help_of, rendered

TEXT = README.read_text(encoding="utf-8")


def test_rendered_parts_are_current() -> None:
    assert rendered(TEXT) == TEXT, "run `make format` to renew them"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_shown(command: str) -> None:
    assert f"headswap {command}" in TEXT
    assert help_of(command).startswith(f"Usage: headswap {command} ")


def test_every_query_runs(reference_session: Session) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", TEXT, re.S)
    queries = [query for block in blocks for query in block.split(";") if query.strip()]
    assert len(queries) >= 2
    for query in queries:
        reference_session.rows(query)
        # Without it a dataset of two tokenizers gives each row twice.
        assert "join tokens" not in query or "tokens.tokenizer = models.tokenizer" in query
    (mutual, *_) = (reference_session.rows(query) for query in queries)
    assert len(mutual) == 12


def test_reference_of_relations_is_that_of_the_declarations() -> None:
    assert RELATIONS.read_text(encoding="utf-8") == reference_text()


def test_tree_names_every_folder() -> None:
    tree = TEXT.split("## The project")[1].split("```")[1]
    named: list[Path] = []
    for line in tree.strip().splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        assert len(line.split(maxsplit=1)) == 2, line  # says what it is
        parents = [path for path in named if len(path.parts) == depth][-1:] if depth else []
        named.append(Path(*(part for path in parents for part in path.parts), name))
    root = README.parent
    assert [path for path in named if not (root / path).exists()] == []
    holding = {
        path.relative_to(root).parent
        for folder in ("ingest", "sql", "reports")
        for suffix in ("py", "sql")
        for path in (root / folder).rglob(f"*.{suffix}")
    }
    assert holding - set(named) == set()
