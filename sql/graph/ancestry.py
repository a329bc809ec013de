"""What the rows of a relation rest on, as one hash: where it is equal, the rows are."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sql.graph.catalog import declared, reads_of
from sql.graph.parameter_tables import PARAMETERS, Asked, parameter_rows
from sql.graph.stored import stored_table

_FOLDER = Path(__file__).parent
# What turns stored files into relations, and functions into rows.
_CODE = {
    "stored": [_FOLDER / "stored.py"],
    "parameters": [],
    "select": [],
    "computed": sorted((_FOLDER.parent / "computed").rglob("*.py")),
}
_COMPUTING = ("numpy", "scipy")
_WORD = re.compile(r"\w+")


class Ancestry:
    """The hashes of a dataset's relations for one set of parameters.

    engine: the packages that run a SELECT.
    """

    def __init__(self, asked: Asked, engine: Sequence[str]) -> None:
        self._asked = asked
        packages = tuple(engine)
        self._packages = {
            "stored": packages,
            "parameters": (),
            "select": packages,
            "computed": _COMPUTING,
        }
        self._known: dict[str, str] = {}

    def sha256(self, name: str) -> str:
        """The hash of a relation's own definition and of all that it reads, to the last file."""
        if name not in self._known:
            relation = declared()[name]
            reads = reads_of(name)
            own: list[object] = [
                relation.kind,
                relation.definition,
                _libraries(self._packages[relation.kind]),
            ]
            own += [[column.name, column.type] for column in relation.columns]
            if relation.kind == "stored":
                entries = self._asked.dataset.manifest.files_of(stored_table(relation).name)
                own += [[entry.owner, entry.sha256] for entry in entries]
            if relation.kind == "parameters":
                own += [list(row) for row in parameter_rows(name, self._asked)]
            own += [self._sha256_for(source, relation.definition) for source in reads]
            self._known[name] = _sha256([*own, _code(relation.kind)])
        return self._known[name]

    def _sha256_for(self, source: str, definition: str) -> str:
        """The hash of what is read; of the parameters only those that a SELECT names.

        Asking for another seed or reference head leaves what neither of them changes.
        """
        if source != PARAMETERS.name or "." in definition.split(maxsplit=1)[0]:
            return self.sha256(source)
        words = set(_WORD.findall(definition))
        named = [column.name for column in PARAMETERS.columns if column.name in words]
        if re.search(r"\*\s+from\s+parameters|parameters\.\*", definition):
            return self.sha256(source)
        return _sha256([[name, getattr(self._asked.parameters, name)] for name in named])


@cache
def _code(kind: str) -> str:
    # Read, not imported: a query that computes nothing need not load what computes.
    return _sha256([path.read_text(encoding="utf-8") for path in _CODE[kind]])


@cache
def _libraries(packages: tuple[str, ...]) -> list[str]:
    return [f"{name} {importlib.metadata.version(name)}" for name in packages]


def _sha256(content: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
