"""docs/notebook.md: its commands and lines run, and its charts show themselves in a notebook."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import altair as alt
import pytest

import headswap

GUIDE = Path(__file__).parents[1] / "docs" / "notebook.md"


def test_every_line_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    commands, charts, tables = [], [], []
    for prompt, line in re.findall(r"^(\$ headswap|>>>) (.+)$", text, re.M):
        if prompt != ">>>":
            # One seed shows as much of the command as five, in less time.
            assert headswap.main(shlex.split(line.replace("--seeds 5", "--seeds 1"))) == 0
            commands.append(line.split()[0])
            continue
        if "import" in line or "session =" in line:
            exec(line, names)
            continue
        shown = eval(line, names)
        if line.endswith(".chart"):
            assert isinstance(shown, alt.Chart | alt.LayerChart)
            bundle = shown._repr_mimebundle_()
            content = bundle[0] if isinstance(bundle, tuple) else bundle
            assert content is not None
            assert any("vega" in kind or "html" in kind for kind in content), line
            charts.append(line)
        else:
            assert len(shown) > 0, line
            tables.append(line)
    assert commands == ["ingest", "top-tokens", "ablate", "generate", "readout"]
    assert (len(charts), len(tables)) == (4, 7)
    sections = "".join(re.findall(r"\*\*(.*?)\*\*", text))
    assert re.findall(r"(\d)\. ", sections) == list("123456789")
