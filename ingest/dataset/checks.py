"""What a verification says: promises, how often each was looked at, and where it is not kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """Something that is not as promised.

    path: below the dataset; is_superfluous: the file can be removed, nothing is lost with it.
    """

    path: str
    what: str
    is_superfluous: bool = False


@dataclass
class Check:
    """One promise: how many things were held against it, and which did not keep it.

    measured: what was found where it is kept, in words: how far from the promise, for instance.
    """

    name: str
    promise: str
    n_checked: int = 0
    problems: list[Problem] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)

    def record(self, path: str, what: str | None) -> bool:
        """Counts one thing; `what` says what is wrong with it, None for nothing."""
        self.n_checked += 1
        if what is not None:
            self.problems.append(Problem(path, what))
        return what is None

    def record_text(
        self,
        dataset: Path,
        name: str,
        expected: str,
        problem: str = "is not the text that follows from the manifest",
    ) -> bool:
        """Counts one text file of a dataset, whose content follows from the rest of it.

        problem: what is said of another content.
        """
        path = dataset / name
        if not path.is_file():
            return self.record(name, "is missing")
        differs = path.read_bytes() != expected.encode()
        return self.record(name, problem if differs else None)
