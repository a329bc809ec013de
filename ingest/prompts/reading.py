"""How models read prompts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.prompts.sequence import structural_pattern


@dataclass(frozen=True)
class Reading:
    """What counts as structural, and what becomes of prompts that a model cannot read.

    structural: a regular expression that chooses the structural tokens by their text, None for the
    markers or special tokens. skip_unreadable: leave such prompts out for all models, as
    `ingest.readable` says; without it one is refused.
    """

    structural: str | None = None
    skip_unreadable: bool = False

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """The expression, compiled.

        Raises: InputError where it is none.
        """
        return structural_pattern(self.structural)
