"""How the hub on loopback lists files, and by which hashes it names them."""

from __future__ import annotations

import hashlib

LARGE_SUFFIXES = (".safetensors", ".pt", ".bin", ".parquet")


def sibling(name: str, body: bytes) -> dict[str, object]:
    """A file as the hub lists it."""
    sibling: dict[str, object] = {"rfilename": name, "size": len(body), "blobId": blob_id(body)}
    if name.endswith(LARGE_SUFFIXES):
        sibling["lfs"] = {"sha256": sha256_of(body), "size": len(body), "pointerSize": 134}
    return sibling


def tree(files: dict[str, bytes], start: str, is_recursive: bool) -> list[dict[str, object]]:
    """What lies below a folder, as the hub lists it."""
    below = {name: body for name, body in files.items() if name.startswith(start)}
    folders = {
        start + "/".join(parts[:n])
        for parts in (name.removeprefix(start).split("/") for name in below)
        for n in range(1, len(parts) if is_recursive else min(len(parts), 2))
    }
    found: list[dict[str, object]] = [
        {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
        for folder in sorted(folders)
    ]
    for name, body in below.items():
        if is_recursive or "/" not in name.removeprefix(start):
            found.append(path_info(name, body))
    return found


def path_info(name: str, body: bytes) -> dict[str, object]:
    info: dict[str, object] = {
        "type": "file",
        "path": name,
        "oid": blob_id(body),
        "size": len(body),
    }
    if name.endswith(LARGE_SUFFIXES):
        info["lfs"] = {"oid": sha256_of(body), "size": len(body), "pointerSize": 134}
    return info


def sha256_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def blob_id(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
