"""The pictures of the report in docs/pictures, taken anew in a real browser.

`python -m tests.support.pages.pictures demo` takes them of what `headswap demo --out demo` wrote.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import headswap
from tests.support.dependencies import ROOT
from tests.support.services.browser import Browser, running_browser

PICTURES = ROOT / "docs" / "pictures"

# Of each picture: the report's page, width and height in pixels, whether in dark colours.
REPORT = {
    "claim": ("index", 1400, 1000, False),
    "finder": ("heads", 1400, 1100, False),
    "head": ("head", 1400, 1250, False),
    "heads": ("swaps", 1400, 1500, False),
    "effects": ("effects", 1400, 1300, False),
    "dark": ("heads", 1400, 1000, True),
    "narrow": ("index", 390, 1200, False),
}
FIGURES = ("profiles", "distribution", "pattern", "matrix")
_COLUMN_PIXELS = 336  # 89 mm


def take(report: Path) -> None:
    """Takes all pictures of a report and of figures of the dataset in it."""
    with running_browser() as browser:
        for name, (page_name, width, height, is_dark) in REPORT.items():
            page = browser.open(report / f"{page_name}.html", width, height)
            page.command("Emulation.setScrollbarsHidden", hidden=True)
            if is_dark:
                scheme = {"name": "prefers-color-scheme", "value": "dark"}
                page.command("Emulation.setEmulatedMedia", features=[scheme])
                page.wait_for("document.documentElement.dataset.charts === 'drawn'")
            page.picture(PICTURES / f"{name}.png", width, height)
            browser.close(page)
        figure_sheet(browser, report / "dataset")


def figure_sheet(browser: Browser, dataset: Path) -> None:
    """Four figures side by side."""
    from reports.figures.figure_files import svg_of

    with headswap.open(dataset) as data:
        drawn = [svg_of(data.figure(name, width=_COLUMN_PIXELS, theme="print")) for name in FIGURES]  # type: ignore[arg-type]
    sheet = "".join(f"<div>{svg}</div>" for svg in drawn)
    style = "display:grid;grid-template-columns:repeat(2,max-content);gap:32px;zoom:1.5"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.html"
        path.write_text(f'<meta charset="utf-8"><div style="{style}">{sheet}</div>')
        page = browser.open(path, 1100, 1240, ready="document.readyState === 'complete'")
        page.picture(PICTURES / "figures.png", 1100, 1240)


if __name__ == "__main__":
    take(Path(sys.argv[1]))
