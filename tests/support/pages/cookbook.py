"""docs/howto/cookbook.md: every example with what it prints for the demo models.

`python -m tests.support.pages.cookbook DATASET` writes it anew, from a dataset of the demo models.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sql.console.examples import examples
from sql.console.tables import table_lines
from sql.session import Session, open_session

COOKBOOK = Path(__file__).parents[3] / "docs" / "howto" / "cookbook.md"
_HEAD = """\
# Cookbook

Questions to a dataset, each with a query and what it prints for the demo models: `headswap demo
--out demo`, then `headswap sql demo/dataset "..."`. `.examples` at the prompt of `headswap sql`
shows the queries. Of `{model}`, L{layer}H{head} is the head that looks most at layout late in the
prompt.
"""


def cookbook(session: Session) -> str:
    """The whole page."""
    (reference,) = session.rows("select model, layer, head from reference_head")
    parts = [_HEAD.format(**reference)]
    for example in examples():
        relation = session.query(example.query)
        answer = "\n".join(table_lines(relation.columns, relation.fetchall()))
        query = f"```sql\n{example.query}\n```"
        parts.append(f"## {example.question}\n\n{query}\n\n```text\n{answer.rstrip()}\n```\n")
    return "\n".join(parts)


def answers(page: str) -> dict[str, list[list[str]]]:
    """The words of each line of each answer, by question."""
    found = {}
    for part in page.split("\n## ")[1:]:
        blocks = re.findall(r"```\w*\n(.*?)\n```", part, re.S)
        found[part.partition("\n")[0]] = [line.split() for line in blocks[1].splitlines()]
    return found


if __name__ == "__main__":
    with open_session(Path(sys.argv[1])) as opened:
        COOKBOOK.write_text(cookbook(opened), encoding="utf-8")
