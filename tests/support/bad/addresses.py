"""Names of repositories and addresses that cannot be used, and the commands given them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

REPOSITORIES = [
    "",
    "name",
    "org/",
    "/name",
    "a/b/c",
    "org/name@",
    "org/name@../x",
    "org/a--b",
    "org/na me",
    "./local",
    "org/name.git",
    "hf://models/org/name",
    "https://example.org/org/name",
]
PLACES = [
    "hf://",
    "s3://",
    "s3:///x",
    "s3://a/../b/c",
    "gs://bucket/x",
    "abfs://bucket/x",
    "hf://org/name",
    "hf://datasets/name",
    "hf://datasets/org/name@",
    "hf://datasets/org/name/file",
    "http://",
    "https:///x",
    "https://example.org/x?y=z",
    "https://example.org/x#y",
    "http://127.0.0.1:1/x",
]


def sharing_cases(datasets: Iterable[str]) -> Iterator[list[str]]:
    """Commands that are refused before any network is asked; datasets: names of unsound ones."""
    yield from (["pull", name, "--out={t}/new"] for name in REPOSITORIES)
    yield from (["push", "{d}", name] for name in REPOSITORIES)
    yield from (["push", f"{{t}}/{name}", "org/name"] for name in datasets)
    yield from (["push", "{d}", "org/name", f"--license={name}"] for name in ("", "A b", "é"))
    yield from (["push", "{d}", "org/name", f"--revision={name}"] for name in ("", "../x", "a b"))
    yield from (["pull", "org/name", f"--{option}=,"] for option in ("models", "tables"))
    yield from (["pull", "org/name", f"--layers={bad}"] for bad in ("", "x", "3-1", "-1", "0,"))
    yield from ([name] for name in ("push", "pull"))
    yield from (["pull", "org/name", "--out", place] for place in ("{t}", "{d}", "{t}/empty.txt"))
    for place in PLACES:
        yield ["sql", place, "select 1"]
        yield ["verify", place]
