"""The dataset's card: README.md as dataset hubs read it, made from the manifest."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ingest.dataset.cards.croissant import CROISSANT_NAME, croissant_text
from ingest.dataset.cards.findings import findings_in
from ingest.dataset.cards.queries import queries
from ingest.dataset.manifest import Manifest, ModelEntry
from ingest.dataset.relations import STORED_TABLES, StoredTable
from ingest.kernel.text import markdown_cell, printable

CARD_NAME = "README.md"
# Words of the hub: how many rows a dataset has.
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)
_HOME = re.compile(r"^headswap_home: (?P<home>[\w.-]+/[\w.-]+)$", re.MULTILINE)


def card_text(manifest: Manifest, home: str | None = None, findings: str = "") -> str:
    """The card's text. The same arguments give the same text.

    home: the repository on the hub that the dataset was pushed to or pulled from, as ORG/NAME; None
    where it lies on a disk only. findings: the section of `ingest.dataset.cards.findings`.
    """
    stored = [table for name, table in STORED_TABLES.items() if name in manifest.tables]
    tables = "\n".join(_table_line(table, manifest.rows_of(table.name)) for table in stored)
    models = "\n".join(_model_line(model) for model in manifest.models)
    sections = [
        _front_matter(manifest, stored, home),
        f"""# Attention of {len(manifest.models)} models on {manifest.rows_of("prompts")} prompts

{manifest.rows_of("attention"):,} attention weights, one row per (model, layer, head, prompt, query,
key), written by headswap. All indices are 0-based.{_part_of(manifest)}

| model | architecture | source | revision | weights (SHA-256) | run in |
|---|---|---|---|---|---|
{models}

Causal models store key <= query only: the rest of the square is zero by definition. The weights of
a query sum to 1. The prompts are those of the variant {markdown_cell(manifest.variant)}.

| table | rows | what | one row per | columns |
|---|---|---|---|---|
{tables}

`manifest.json` lists every file with its rows and SHA-256. A file that it does not name is not part
of this dataset.
""",
        *filter(None, [findings]),
        _how_made(manifest),
        _how_to_query(manifest, home),
    ]
    return "\n".join(sections)


def texts_of(dataset: Path, manifest: Manifest, home: str | None = None) -> dict[str, str]:
    """The texts that follow from the manifest, by name: the card and the metadata of a dataset.

    home: None for the one that the dataset's card names.
    """
    home = home or home_in(dataset)
    return {
        CARD_NAME: card_text(manifest, home, findings_in(dataset, manifest)),
        CROISSANT_NAME: croissant_text(manifest, home),
    }


def home_in(dataset: Path) -> str | None:
    """The home that the card of a dataset names."""
    path = dataset / CARD_NAME
    if not path.is_file():
        return None
    found = _HOME.search(path.read_text(encoding="utf-8", errors="replace"))
    return found["home"] if found else None


def _front_matter(manifest: Manifest, stored: list[StoredTable], home: str | None) -> str:
    """The head that hubs and `datasets` read: YAML."""
    n_rows = manifest.rows_of("attention")
    size = next((word for limit, word in _SIZES if n_rows < limit), "n>1T")
    lines = [f"license: {manifest.licence}"] if manifest.licence else []
    lines += [
        "pretty_name: Attention patterns",
        "tags:",
        "- attention",
        "- interpretability",
        "- headswap",
        "size_categories:",
        f"- {size}",
        "configs:",
    ]
    for table in stored:
        lines += [f"- config_name: {table.name}", f"  data_files: '{table.pattern}'"]
    lines += [f"headswap_home: {home}"] if home else []
    return "\n".join(["---", *lines, "---", ""])


def _part_of(manifest: Manifest) -> str:
    whole = manifest.part_of
    if whole is None:
        return ""
    where = ""
    if whole.source is not None and whole.revision is not None:
        where = f" ({markdown_cell(whole.source)} at its commit {markdown_cell(whole.revision)})"
    left_out = markdown_cell("; ".join(whole.left_out))
    return (
        f"\n\nThis is a part of the dataset whose manifest has the SHA-256 {whole.sha256}{where}. "
        f"Left out: {left_out}."
    )


def _how_made(manifest: Manifest) -> str:
    """The commands that make such a dataset."""
    ingested = [model for model in manifest.models if not model.is_imported]
    imported = ", ".join(model.name for model in manifest.models if model.is_imported)
    if not ingested:
        return f"## How it was made\n\nImported from what others computed: {imported}.\n"
    words = ["headswap ingest"]
    words += [f"--model {_word(f'{model.name}={_pinned(model)}')}" for model in ingested]
    words += ["--prompts PROMPTS", f"--variant {_word(manifest.variant)}"]
    if manifest.structural is not None:
        words.append(f"--structural {_word(manifest.structural)}")
    words += ["--skip-unreadable"] if manifest.left_out else []
    for option in ("dtype", "precision"):
        if len(values := {getattr(model, option) for model in ingested}) == 1:
            words.append(f"--{option} {_word(values.pop())}")
    command = " \\\n    ".join([*words, "--out dataset"])
    versions = ", ".join(
        f"{name} {number}" for name, number in sorted(manifest.written_with.items())
    )
    others = f" Imported from what others computed: {imported}." if imported else ""
    return f"""## How it was made

```console
$ {command}
```

PROMPTS are those of SHA-256 `{markdown_cell(manifest.prompts_sha256)}` (the 12 tasks that come with
headswap where that option is left out). Written with {markdown_cell(versions)}.{others}
"""


def _word(text: str) -> str:
    r"""The text as one word of a shell, in which nothing is markup or steers a terminal.

    >>> print(_word("a b"), _word("<b>"))
    'a b' $'\x3cb\x3e'
    """
    if not set(text) & set('<>`&"') and printable(text) == text:
        return shlex.quote(text)
    plain = "".join(
        character
        if character.isascii() and (character.isalnum() or character in " ./:=@_-")
        else "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
        for character in text
    )
    return f"$'{plain}'"


def _pinned(model: ModelEntry) -> str:
    """A model's source, at the commit that was read."""
    if model.revision is None:
        return model.source
    return f"{model.source.partition('@')[0]}@{model.revision}"


def _how_to_query(manifest: Manifest, home: str | None) -> str:
    parts = ["## How to query it", ""]
    for query in queries(manifest, home):
        code = f"$ {query.code}" if query.language == "console" else query.code
        parts += [f"{query.title}:", "", f"```{query.language}", code, "```", ""]
    return "\n".join(parts)


def _model_line(model: ModelEntry) -> str:
    revision = model.revision[:12] if model.revision else ""
    cells = (
        model.name,
        model.architecture or "unknown",
        model.source,
        revision,
        (model.weights_sha256 or "unknown")[:12],
        model.dtype,
    )
    return f"| {' | '.join(map(markdown_cell, cells))} |"


def _table_line(table: StoredTable, rows: int) -> str:
    columns = ", ".join(f"`{column.name}`" for column in table.columns)
    return f"| `{table.name}` | {rows:,} | {table.purpose} | {', '.join(table.grain)} | {columns} |"
