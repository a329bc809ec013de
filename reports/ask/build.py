"""From npm's packages to the engine of the page Ask: `python -m reports.ask.build NPM-FOLDER`.

The set-up runs it after `npm ci`. A wheel carries what it writes, so that an install needs no npm.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

from ingest.kernel.files import write_files_aside
from reports.ask.engine import ENGINE_FOLDER, LICENCES, MAIN, WASM, WORKER

# The packages whose code the page runs: the last two are inside Arrow's bundle.
_PACKAGES = ("@duckdb/duckdb-wasm", "apache-arrow", "flatbuffers", "tslib")
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)
# Each library believes that it is loaded by Node: Arrow fills `exports`, DuckDB asks for Arrow.
_MAIN = """\
// {names}: their licences stand in the page.
const duckdbLibrary = () => {{
  const arrow = {{}};
  ((exports, module) => {{
{arrow}
  }})(arrow, {{ exports: arrow }});
  const module = {{ exports: {{}} }};
  ((exports, module, require) => {{
{duckdb}
  }})(module.exports, module, () => arrow);
  return module.exports;
}};
"""
# What the packages leave out that say MIT and bring no text: https://opensource.org/license/mit
_MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def build(npm: Path, out: Path = ENGINE_FOLDER) -> None:
    """Writes the engine's files into a folder. npm: where `npm ci` has put the packages.

    The same packages give the same bytes.
    """
    modules = npm / "node_modules"
    engine = modules / "@duckdb" / "duckdb-wasm" / "dist"
    main = _MAIN.format(
        names=", ".join(_PACKAGES),
        arrow=_script(modules / "apache-arrow" / "Arrow.es2015.min.js"),
        duckdb=_script(engine / "duckdb-browser.cjs"),
    )
    packed = {
        WASM: (engine / "duckdb-eh.wasm").read_bytes(),
        WORKER: _script(engine / "duckdb-browser-eh.worker.js").encode(),
    }
    licences = "\n\n".join(_licence(modules / name) for name in _PACKAGES)
    contents = {
        out / name: gzip.compress(content, compresslevel=9, mtime=0)
        for name, content in packed.items()
    }
    # Last the file whose presence says that all are there.
    write_files_aside(contents | {out / LICENCES: licences.encode(), out / MAIN: main.encode()})


def _script(path: Path) -> str:
    """A script that may stand in a page: it names no other file, and ends no element."""
    text = _SOURCE_MAP.sub("", path.read_text(encoding="utf-8"))
    return re.sub("</(?=script)", r"<\\/", text, flags=re.IGNORECASE).replace("<!--", r"\x3c!--")


def _licence(package: Path) -> str:
    """Name, version, licence and notices of one package."""
    described = json.loads((package / "package.json").read_text(encoding="utf-8"))
    texts = [
        path.read_text(encoding="utf-8").strip()
        for pattern in ("LICENSE*", "NOTICE*")
        for path in sorted(package.glob(pattern))
    ]
    if not texts:
        assert described["license"] == "MIT", f"{package.name} brings no text of its licence"
        texts = [f"Copyright the authors of {described['name']}\n\n{_MIT}"]
    title = f"{described['name']} {described['version']} ({described['license']})"
    return "\n\n".join([title, "=" * len(title), *texts])


if __name__ == "__main__":
    build(Path(sys.argv[1]))
