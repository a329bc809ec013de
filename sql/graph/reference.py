"""The reference page of the relations, in Markdown, from their declarations."""

from __future__ import annotations

from itertools import groupby

from sql.graph.catalog import relations
from sql.graph.relation import SUBJECTS, Relation

_KINDS = {
    "stored": "files of the dataset",
    "parameters": "made of the parameters and the manifest",
    "select": "one SELECT",
    "computed": "computed by a function, as SQL cannot",
}


def reference_text() -> str:
    """The page: every relation with its grain, its columns and what it reads."""
    order = list(SUBJECTS)
    ordered = sorted(relations().values(), key=lambda relation: order.index(relation.subject))
    sections = [
        f"## {SUBJECTS[subject]}\n\n" + "\n".join(_section(relation) for relation in members)
        for subject, members in groupby(ordered, key=lambda relation: relation.subject)
    ]
    return (
        "# Relations\n\n"
        "Everything that `headswap sql` can ask, written by `make format` from the declarations. "
        "All indices are 0-based.\n\n" + "\n".join(sections)
    )


def _section(relation: Relation) -> str:
    made = f" Written by `headswap {relation.made_by}`." if relation.made_by else ""
    reads = ", ".join(f"[{name}](#{name})" for name in relation.reads)
    lines = [
        f"### {relation.name}\n",
        f"{relation.purpose[0].upper()}{relation.purpose[1:]}.\n",
        f"One row per {', '.join(relation.grain)}; {_KINDS[relation.kind]}.{made}\n",
        f"Reads {reads}.\n" if reads else None,
        "| column | type | meaning |\n|---|---|---|",
        *(
            f"| `{column.name}` | {column.type} | {column.meaning.replace('|', '&#124;')} |"
            for column in relation.columns
        ),
        "",
    ]
    return "\n".join(line for line in lines if line is not None)
