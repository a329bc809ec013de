"""The reference pages of the relations, from their declarations: graph, list, a page a subject."""

from __future__ import annotations

from sql.graph.catalog import relations
from sql.graph.relation import SUBJECTS, Relation
from tests.support.pages.graph import drawing

_KINDS = {
    "stored": "files of the dataset",
    "parameters": "made of the parameters and the manifest",
    "select": "one SELECT",
    "computed": "computed by a function, as SQL cannot",
}

_INTRODUCTION = """\
---
hide:
  - toc
---

# Relations

Everything that `headswap sql` can ask: the tables of a dataset, and the views that are computed
from them. `headswap views` lists them in a terminal, `headswap views profiles` explains one.
Indices are 0-based.

Lines go from what is read, on the left, to what reads it; one is left out where a longer way says
the same. Filled boxes are files of the dataset, dashed ones are computed by a function. Each box
leads to its columns.

"""


def relation_pages() -> dict[str, str]:
    """The pages by path: an index with the graph, and one page a subject."""
    known = relations()
    by_subject = {
        subject: [relation for relation in known.values() if relation.subject == subject]
        for subject in SUBJECTS
    }
    readers: dict[str, list[str]] = {name: [] for name in known}
    for relation in known.values():
        for name in relation.reads:
            readers[name].append(relation.name)
    pages = {
        f"relations/{subject}.md": f"# {SUBJECTS[subject]}\n\n"
        + "\n".join(_section(relation, readers[relation.name]) for relation in members)
        for subject, members in by_subject.items()
    }
    lists = [
        f"## {SUBJECTS[subject]}\n\n| relation | one row per | what |\n|---|---|---|\n"
        + "".join(
            f"| [`{r.name}`]({subject}.md#{r.name}) | {', '.join(r.grain)} | {r.purpose} |\n"
            for r in members
        )
        for subject, members in by_subject.items()
    ]
    return {
        "relations/index.md": _INTRODUCTION + drawing(known) + "\n\n" + "\n".join(lists),
        **pages,
    }


def _links(names: list[str] | tuple[str, ...]) -> str:
    known = relations()
    return ", ".join(f"[`{name}`]({known[name].subject}.md#{name})" for name in names)


def _section(relation: Relation, readers: list[str]) -> str:
    made = f" Written by `headswap {relation.made_by}`." if relation.made_by else ""
    lines = [
        f"## {relation.name}\n",
        f"{relation.purpose[0].upper()}{relation.purpose[1:]}.\n",
        f"One row per {', '.join(relation.grain)}; {_KINDS[relation.kind]}.{made}\n",
        "| column | type | meaning |\n|---|---|---|",
        *(
            f"| `{column.name}` | {column.type} | {column.meaning.replace('|', '&#124;')} |"
            for column in relation.columns
        ),
        "",
        f"Reads {_links(relation.reads)}.\n" if relation.reads else None,
        f"Read by {_links(readers)}.\n" if readers else None,
    ]
    return "\n".join(line for line in lines if line is not None)
