"""Files of prompts: JSON Lines, CSV, Parquet or plain text in, one record at a time out."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ingest.kernel.errors import InputError

# In CSV the steps of a record stand in one field, between these.
STEP_SEPARATOR = "|"

# In place of a file's name: what is piped in.
STDIN = Path("-")

# A record's place, as a message names it, and its fields.
Record = tuple[str, dict[str, Any]]


def read_records(path: Path) -> Iterator[Record]:
    """The records of a prompt file; its ending says how to read it.

    `.csv`: a header line, steps separated by `|`. `.parquet`: a row a record. `.txt`: a prompt a
    line, empty lines passed over. Anything else is JSON Lines. `-` is stdin: JSON Lines where its
    first character that is not blank is `{`, else a prompt a line.

    Raises: InputError, naming the line or row, where the file cannot be read.
    """
    if path == STDIN:
        content = sys.stdin.buffer.read()
        is_json = content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
        return (_json_lines if is_json else _plain_text)(Path("stdin"), content)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the prompts in {path}: {error.strerror or error}",
            hint="give a file with --prompts, or leave --prompts out for the 12 paired tasks; "
            "`headswap look` takes a sentence",
        ) from error
    return _READERS.get(path.suffix.lower(), _json_lines)(path, content)


def _json_lines(path: Path, content: bytes) -> Iterator[Record]:
    for where, line in _lines(path, content):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            if line.strip() == "[":
                raise InputError(
                    f"{where}: a list over many lines, not JSON Lines",
                    hint="`jq -c '.[]' FILE` writes a record a line",
                ) from error
            raise InputError(
                f"{where}: not JSON ({reason})",
                hint='a line is one record: {"pair_id": 0, "variant": "standard", '
                '"task": "Make tea", "steps": ["Boil water"]} or {"text": "..."}; in a .txt every '
                "line is a prompt",
            ) from error
        if not isinstance(record, dict):
            hint = "a line is one record in braces"
            if isinstance(record, list):
                hint += "; `jq -c '.[]' FILE` writes a list of records so"
            raise InputError(f"{where}: not a JSON object", hint=hint)
        yield where, record


def _csv(path: Path, content: bytes) -> Iterator[Record]:
    text = _decoded(content, str(path))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise InputError(f"{where}: not as many fields as the header has")
            # An empty field is one that the record does not have.
            fields: dict[str, Any] = {name: value for name, value in row.items() if value}
            if "steps" in fields:
                fields["steps"] = [step.strip() for step in fields["steps"].split(STEP_SEPARATOR)]
            if fields.get("complexity", "").lstrip("-").isdecimal():
                fields["complexity"] = int(fields["complexity"])
            yield where, fields
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV ({error})") from error


def _parquet(path: Path, content: bytes) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(pa.BufferReader(content)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error
    for number, row in enumerate(rows):
        fields = {name: value for name, value in row.items() if value is not None}
        yield f"{path}, row {number}", fields


def _plain_text(path: Path, content: bytes) -> Iterator[Record]:
    for where, line in _lines(path, content):
        yield where, {"text": line}


def _lines(path: Path, content: bytes) -> Iterator[tuple[str, str]]:
    """The lines of a UTF-8 text that are not blank, each with its place; lines count from 1."""
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if raw.strip():
            where = f"{path}, line {number}"
            yield where, _decoded(raw, where).rstrip("\r")


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not valid UTF-8 (byte {error.start})", hint="save the file as UTF-8"
        ) from error


_READERS: dict[str, Callable[[Path, bytes], Iterator[Record]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _plain_text,
}
