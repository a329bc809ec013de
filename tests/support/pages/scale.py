"""The plan in docs/howto/scale.md: rows, bytes, time and cost of a study, from measured figures.

`python -m tests.support.pages.scale` writes the tables of the page anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.dependencies import ROOT

PAGE = ROOT / "docs" / "howto" / "scale.md"
# Bytes a row of attention, by the precision of its weights: docs/log.md, "all figures of speed and
# memory". A test holds them against the log.
BYTES_A_ROW = {"float32": 3.68, "float16": 1.83}


@dataclass(frozen=True)
class Study:
    """Causal models of one shape, each run over prompts of one length."""

    models: int
    prompts: int
    tokens: int
    layers: int
    heads: int

    @property
    def rows(self) -> int:
        """Attention rows: a causal model stores key <= query.

        >>> Study(models=1, prompts=1, tokens=3, layers=1, heads=2).rows
        12
        """
        cells = self.tokens * (self.tokens + 1) // 2
        return self.models * self.prompts * self.layers * self.heads * cells

    def terabytes(self, precision: str = "float32") -> float:
        """Of all rows on the disk, in units of 10^12 bytes."""
        return self.rows * BYTES_A_ROW[precision] / 1e12


@dataclass(frozen=True)
class Prices:
    """The first is measured (docs/log.md, and a test); the prices are assumed: put in your own.

    rows_a_second: that one core ingests; dollars_an_hour: of a core; dollars_a_terabyte_month: of
    storage.
    """

    rows_a_second: float = 7.4e6
    dollars_an_hour: float = 0.05
    dollars_a_terabyte_month: float = 23.0


def core_hours(study: Study, prices: Prices) -> float:
    """Of one core that ingests the whole study."""
    return study.rows / prices.rows_a_second / 3600


# The study of the page; the shape is that of the released pair.
PLAN = Study(models=100, prompts=10_000, tokens=512, layers=6, heads=8)
_MARKS = ("<!-- plan -->", "<!-- end -->")


def table(study: Study = PLAN, prices: Prices | None = None) -> str:
    """The plan as the page shows it."""
    prices = prices or Prices()
    hours = core_hours(study, prices)
    rows = [
        ("rows", f"{study.rows:,}"),
        ("on the disk, float32", f"{study.terabytes():.1f} TB"),
        ("on the disk, float16", f"{study.terabytes('float16'):.1f} TB"),
        ("of one model, float32", f"{study.terabytes() / study.models * 1e3:.0f} GB"),
        ("one core", f"{hours:,.0f} hours ({hours / 24:.0f} days)"),
        ("16 cores", f"{hours / 16:,.0f} hours ({hours / 16 / 24:.1f} days)"),
        ("100 cores", f"{hours / 100:.1f} hours"),
        ("computing", f"${hours * prices.dollars_an_hour:,.0f}"),
        (
            "keeping float16 a month",
            f"${study.terabytes('float16') * prices.dollars_a_terabyte_month:,.0f}",
        ),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def filled(page: str) -> str:
    """The page with its table as it follows from the figures."""
    before, _, rest = page.partition(_MARKS[0])
    _, _, after = rest.partition(_MARKS[1])
    return f"{before}{_MARKS[0]}\n\n{table()}\n\n{_MARKS[1]}{after}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
