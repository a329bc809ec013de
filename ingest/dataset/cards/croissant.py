"""The dataset's metadata as catalogues of datasets read it: Croissant 1.0, made from the manifest.

Source: http://mlcommons.org/croissant/1.0
"""

from __future__ import annotations

import json
from typing import Any

from ingest.dataset.manifest import FileEntry, Manifest
from ingest.dataset.relations import STORED_TABLES, StoredColumn, StoredTable

CROISSANT_NAME = "croissant.json"

_TYPES = {
    "bool": "sc:Boolean",
    "int16": "cr:Int16",
    "int32": "cr:Int32",
    "int64": "cr:Int64",
    "float32": "cr:Float32",
    "float64": "cr:Float64",
    "weight": "cr:Float32",
    "string": "sc:Text",
    "list<string>": "sc:Text",
}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant_text(manifest: Manifest, home: str | None = None) -> str:
    """The metadata's text (JSON-LD). The same manifest and home give the same text.

    A table of one file is that file, one of several is the set of them. home: as in
    `ingest.dataset.cards.card.card_text`.
    """
    tables = [table for name, table in STORED_TABLES.items() if manifest.files_of(name)]
    content: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "attention-patterns",
        "description": f"{manifest.rows_of('attention'):,} attention weights of "
        f"{', '.join(model.name for model in manifest.models)} on "
        f"{manifest.rows_of('prompts')} prompts, written by headswap",
        "version": "1.0.0",
        "keywords": ["attention", "interpretability", "headswap"],
        "distribution": [
            part for table in tables for part in _distribution(manifest.files_of(table.name), table)
        ],
        "recordSet": [_record_set(manifest, table) for table in tables],
    }
    if home:
        content["url"] = f"https://huggingface.co/datasets/{home}"
    if manifest.licence:
        content["license"] = manifest.licence
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _distribution(entries: tuple[FileEntry, ...], table: StoredTable) -> list[dict[str, Any]]:
    files = [
        {
            "@type": "cr:FileObject",
            "@id": entry.path,
            "name": entry.path,
            "contentUrl": entry.path,
            "contentSize": f"{entry.bytes} B",
            "encodingFormat": "application/x-parquet",
            "sha256": entry.sha256,
        }
        for entry in entries
    ]
    if len(entries) == 1:
        return files
    together = {
        "@type": "cr:FileSet",
        "@id": f"{table.name}-files",
        "name": f"{table.name}-files",
        "containedIn": [{"@id": entry.path} for entry in entries],
        "encodingFormat": "application/x-parquet",
        "includes": table.pattern,
    }
    return [*files, together]


def _record_set(manifest: Manifest, table: StoredTable) -> dict[str, Any]:
    entries = manifest.files_of(table.name)
    source = (
        {"fileObject": {"@id": entries[0].path}}
        if len(entries) == 1
        else {"fileSet": {"@id": f"{table.name}-files"}}
    )
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.purpose,
        "key": [{"@id": f"{table.name}/{name}"} for name in table.grain],
        "field": [_field(table, column, source) for column in table.columns],
    }


def _field(table: StoredTable, column: StoredColumn, source: dict[str, Any]) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table.name}/{column.name}",
        "name": column.name,
        "description": column.meaning,
        "dataType": _TYPES[column.type],
        "source": {**source, "extract": {"column": column.name}},
    }
    if column.type.startswith("list"):
        field["repeated"] = True
    if column.refers_to:
        field["references"] = {"field": {"@id": column.refers_to.replace(".", "/")}}
    return field
