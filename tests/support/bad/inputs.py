"""Tables of inputs that cannot be used: texts, datasets, studies, and the commands given them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ingest.dataset.manifest import checksum_of
from tests.support.bad import requests
from tests.support.bad.addresses import sharing_cases
from tests.support.bad.transfer import EXTRACTS, IMPORTS, MERGES

# {d}: a sound dataset; {t}: the folder with the files of TEXTS and DATASETS; {r}: a real model.
MODEL = "--model=standard={r}"

VALUES = {
    "--bins": ["0", "-1", "x", "1.5", "10001", "", "1e3", "٣x"],
    "--reference": ["3.0", "L9H0", "L0H9", "x:L0H0", "L-1H0", "LH", "L0", "H0", ":", "a:", "L0H0 "],
    "--variant": ["adhd", "al", " "],
    "--pair": ["a", "a:", ":b", "a:a", "a:x", "x:y", "a:b:c", ":"],
}
STATISTICS = {
    "--similarity": ["cosine", "", "pattern", "Profile"],
    "--draws": ["0", "-1", "998", "x", "100001", "1.5"],
    "--group": ["a", "a=", "=standard,adhd", "a=standard", "a=standard,adhd"],
    "--seed": ["-1", "x", "1.5"],
    "--claim": [
        "",
        "a:L0H0",
        "a:L0H0 ~ b:L0H0",
        "a:L0H0 ~ b:L0H0 is best",
        "a:L0H0 ~ b:L0H0 at least",
        "a:L0H0 ~ b:L0H0 at least 2",
        "a:L0H0 ~ b:L0H0 at least -0.5",
        "a:L0H0 ~ a:L0H1 best match",
        "a:L0H0 ~ x:L0H1 best match",
        "a:L9H0 ~ b:L0H1 best match",
        "a:L0H0 ~ b:L0H9 best match",
        "a:L0H0 - b:L0H1 best match",
        "L0H0 ~ L0H1 best match",
        "a:L0H0 ~ b:L0H1 best match 0.5",
    ],
}
SERVING = [
    "--port=x",
    "--port=-1",
    "--host=192.0.2.1",
    "--timeout=0",
    "--memory-limit=much",
    "more",
]
QUERIES = [
    "",
    ";",
    "selec 1",
    "select",
    "select *",
    "select * from",
    "select * from nothing",
    "select nothing from models",
    "select model from models group by layer",
    "select 1 +",
    "select (1",
    "select 'a",
    'select "a',
    "select 1 from models where",
    "select * from profiles where head = 'x'",
    "select cast('x' as integer)",
    "select token::integer from tokens",
    "select nofunction(1)",
    "select sum(sum(1))",
    "select * from models join tokens",
    "select * from models a, models a",
    "select $x",
    "select ?",
    "select 1 union select 1, 2",
    "select * from models limit -1",
    "select error('no')",
    "select \x00",
    "\ufffe",
    "-- nothing",
    "/* open",
    "exec models",
    "describe nothing",
    "show nothing",
    "summarize nothing",
    "explain nothing",
    "explain drop view profiles",
    ".views",
    "drop view profiles",
    "copy models to '{t}/x.csv'",
    "attach '{t}/x.db'",
    "set threads = 1",
    "select 1; select 2",
]
RECORD: dict[str, Any] = {
    "pair_id": 0,
    "variant": "standard",
    "task": "Make tea",
    "steps": ["Boil water"],
}
RECORDS: list[object] = [
    {**RECORD, "steps": []},
    {**RECORD, "steps": None},
    {**RECORD, "steps": "Boil water"},
    {**RECORD, "steps": {}},
    {**RECORD, "steps": [""]},
    {**RECORD, "steps": [" "]},
    {**RECORD, "steps": ["a", 1]},
    {**RECORD, "steps": [["a"]]},
    {**RECORD, "steps": [None]},
    {**RECORD, "steps": ["a <|sep|> b"]},
    {**RECORD, "steps": ["\ud800"]},
    {**RECORD, "task": ""},
    {**RECORD, "task": None},
    {**RECORD, "task": 1},
    {**RECORD, "task": ["a"]},
    {**RECORD, "task": "<|end|>"},
    {**RECORD, "task": "\udfff"},
    {**RECORD, "variant": ""},
    {**RECORD, "variant": 1},
    {**RECORD, "variant": "all"},
    {**RECORD, "variant": "adhd"},
    {**RECORD, "pair_id": None},
    {**RECORD, "pair_id": 1.5},
    {**RECORD, "pair_id": True},
    {**RECORD, "pair_id": [0]},
    {**RECORD, "complexity": "high"},
    {**RECORD, "complexity": 1.5},
    {**RECORD, "complexity": 100_000},
    {**RECORD, "complexity": True},
    {**RECORD, "text": "both"},
    {"text": ""},
    {"text": " "},
    {"text": None},
    {"text": 1},
    {"text": ["a"]},
    {"text": "a", "steps": ["b"]},
    {},
    [],
    [RECORD],
    "text",
    1,
    None,
]
TEXTS: dict[str, bytes] = {
    **{f"record-{n}.jsonl": json.dumps(record).encode() for n, record in enumerate(RECORDS)},
    "empty.jsonl": b"",
    "blank.jsonl": b"\n \n\t\n",
    "twice.jsonl": b"\n".join([json.dumps(RECORD).encode()] * 2),
    "open.jsonl": b'{"text": "a"',
    "two.jsonl": b'{"text": "a"} {"text": "b"}',
    "nan.jsonl": b'{"text": NaN}',
    "latin.jsonl": '{"text": "é"}'.encode("latin-1"),
    "utf16.jsonl": '{"text": "a"}'.encode("utf-16"),
    "zeros.jsonl": bytes(100),
    "deep.jsonl": b"[" * 100_000,
    "binary.jsonl": bytes(range(256)),
    "no-header.csv": b"",
    "short-row.csv": b"pair_id,variant,task,steps\n1,standard\n",
    "long-row.csv": b"pair_id,variant,task,steps\n1,standard,a,b,c\n",
    "other-header.csv": b"a,b\n1,2\n",
    "open-quote.csv": b'pair_id,variant,task,steps\n1,standard,"a,b\n',
    "latin.csv": "text\né\n".encode("latin-1"),
    "empty-steps.csv": b"pair_id,variant,task,steps\n1,standard,a,|\n",
    "complexity.csv": b"pair_id,variant,task,steps,complexity\n1,standard,a,b,x\n",
    "no.parquet": b"PAR1PAR1",
    "text.parquet": b"text",
    "empty.parquet": b"",
    "empty.txt": b"\n\n",
    "latin.txt": "é".encode("latin-1"),
}
STUDY = 'dataset = "d"\nreport = "r"\n[models]\na = "{r}"\n'
STUDIES = [
    "",
    "dataset",
    "dataset = ",
    "= 1",
    "[models",
    "[models]",
    "[models]\n",
    'dataset = "d"\n[models]\na = "demo:none"\n',
    'report = "r"\n[models]\na = "demo:none"\n',
    STUDY.replace('"d"', "1"),
    STUDY.replace('"r"', "true"),
    STUDY.replace('a = "{r}"', "a = 1"),
    STUDY.replace('a = "{r}"', 'a = ["{r}"]'),
    STUDY.replace('a = "{r}"', 'a = "{t}/nothing"'),
    STUDY.replace('a = "{r}"', 'a = "demo:none"'),
    STUDY + '[analysis]\nengine = "sqlite"\n',
    STUDY + '[analysis]\nmaster = "spark://127.0.0.1:9"\n',
    STUDY + '[analysis]\nengine = "duckdb"\nwarehouse = "w"\n',
    STUDY.replace("a =", '"../a" ='),
    STUDY.replace("[models]", "[model]"),
    STUDY + "[models]\n",
    STUDY + "[prompt]\n",
    STUDY + "[prompts]\nfile = 1\n",
    STUDY + '[prompts]\nfiles = "a"\n',
    STUDY + '[prompts]\nfile = "nothing.jsonl"\n',
    STUDY + '[prompts]\nfile = "probe:nothing"\n',
    STUDY + '[prompts]\nvariant = "calm"\n',
    STUDY + '[prompts]\nstructural = "("\n',
    STUDY + '[run]\ndtype = "int8"\n',
    STUDY + '[run]\ndevice = "abacus"\n',
    STUDY + '[run]\ntrust_remote_code = "yes"\n',
    STUDY + "[analysis]\nbins = 1.5\n",
    STUDY + '[analysis]\nbins = "x"\n',
    STUDY + "[analysis]\nreference = 3\n",
    STUDY + '[analysis]\nreference = "L0"\n',
    STUDY + '[analysis]\nreference = "b:L0H0"\n',
    STUDY + '[analysis]\npairs = "a:b"\n',
    STUDY + '[analysis]\npairs = [["a"]]\n',
    STUDY + '[analysis]\npairs = [["a", "a"]]\n',
    STUDY + '[analysis]\npairs = [["a", "b"]]\n',
    STUDY + "[analysis]\nclaims = [1]\n",
    STUDY + '[analysis]\nclaims = "a"\n',
    'models = "a"\ndataset = "d"\nreport = "r"\n',
    "\x00",
]
SOURCES = [
    "",
    "a",
    "=",
    "a=",
    "=demo:adhd-1",
    "a b=demo:adhd-1",
    "../a=demo:adhd-1",
    "-a=demo:adhd-1",
    ".=demo:adhd-1",
    "a/b=demo:adhd-1",
    "é=demo:adhd-1",
    "a" * 65 + "=demo:adhd-1",
    "a=demo:none",
    "a=demo:",
    "a=demo:../standard",
    "a=untrained:",
    "a=untrained:demo:none",
    "a=untrained:x:demo:adhd-1",
    "a=untrained:7:{t}/nothing",
    "a={t}",
    "a={t}/nothing",
    "a={t}/empty.jsonl",
    "a={t}/empty.txt",
    "a=~nobody/here",
    "a=//",
    "a={d}",
]


def _edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(dataset: Path) -> None:
        manifest = json.loads((dataset / "manifest.json").read_text())
        change(manifest)
        manifest["sha256"] = checksum_of(manifest)
        (dataset / "manifest.json").write_text(json.dumps(manifest))

    return edit


def _text(name: str, text: str) -> Callable[[Path], object]:
    return lambda dataset: (dataset / name).write_text(text)


def _hollow(dataset: Path) -> None:
    shutil.rmtree(dataset)
    dataset.mkdir()


def _no_folder(dataset: Path) -> None:
    shutil.rmtree(dataset)
    dataset.write_text("x")


DATASETS: dict[str, Callable[[Path], object]] = {
    "none": shutil.rmtree,
    "hollow": _hollow,
    "file": _no_folder,
    "json": _text("manifest.json", "{"),
    "list": _text("manifest.json", "[]"),
    "zeros": _text("manifest.json", "\0" * 100),
    "deep": _text("manifest.json", "[" * 100_000),
    "format": _edited(lambda m: m.update(format="x")),
    "version": _edited(lambda m: m.update(format_version=99)),
    "version-text": _edited(lambda m: m.update(format_version="1")),
    "tables": _edited(lambda m: m.update(tables=[])),
    "no-tables": _edited(lambda m: m.pop("tables")),
    "models": _edited(lambda m: m.update(models={})),
    "model": _edited(lambda m: m.update(models=[1])),
    "rows": _edited(lambda m: m["tables"]["tokens"][0].update(rows=-1)),
    "bytes": _edited(lambda m: m["tables"]["tokens"][0].update(bytes="1")),
    "outside": _edited(lambda m: m["tables"]["tokens"][0].update(path="../x.parquet")),
    "absolute": _edited(lambda m: m["tables"]["tokens"][0].update(path="/x.parquet")),
    "unsealed": lambda d: (d / "manifest.json").write_text(
        (d / "manifest.json").read_text().replace("standard", "adhd")
    ),
    "gone": lambda dataset: (dataset / "tokens.parquet").unlink(),
    "cut": lambda dataset: (dataset / "tokens.parquet").write_bytes(b"PAR1"),
}


def _cases() -> Iterator[list[str]]:
    commands = {
        "sql": ["select 1"],
        "claims": ["--claim=a:L0H0 ~ b:L0H0 best match"],
        "report": ["--out={t}/page"],
        "figure": ["profiles", "-o={t}/figure.svg"],
    }
    for command, more in commands.items():
        options = VALUES if command in ("report", "figure") else VALUES | STATISTICS
        for option, values in options.items():
            yield from ([command, "{d}", *more, f"{option}={value}"] for value in values)
        yield from ([command, f"{{t}}/{name}", *more] for name in DATASETS)
        yield [command, "{d}", *more, "--nothing"]
        yield [command]
    yield from (["verify", f"{{t}}/{name}"] for name in DATASETS)
    yield from (["verify", f"{{t}}/{name}", "--repair"] for name in ("none", "hollow", "file"))
    yield from (["sql", "{d}", query] for query in QUERIES)
    for place in ("{t}", "{t}/nothing/../..", "{t}/empty.txt/x.csv", "/proc/x.csv"):
        yield ["sql", "{d}", "select 1", "-o", place]
    for name in DATASETS:
        yield ["merge", "{d}", f"{{t}}/{name}", "--out={t}/new"]
        yield ["extract", f"{{t}}/{name}", "--models=a", "--out={t}/new"]
    yield from (["merge", *words.split()] for words in MERGES)
    yield from (["extract", *words.split()] for words in EXTRACTS)
    yield from (["import", *words.split()] for words in IMPORTS)
    yield ["sql", "{d}", "select 1", "--format=xml"]
    yield from (["sql", "{d}", f"--{name}=x", "1"] for name in ("timeout", "max-rows", "sandbox"))
    yield from (["sql", "{d}", "select 1", *words.split()] for words in requests.ENGINES)
    yield from (["sql", "{d}", query, "--engine=spark"] for query in requests.SPARK_QUERIES)
    yield ["report", "{d}"]
    yield from (["report", "{d}", "--out={t}/page", *words] for words in requests.REPORTS)
    yield from (["report", "{d}", "--out", place] for place in ("{t}/empty.txt", "/proc/x"))
    yield from (["figure", "{d}", *words.split()] for words in requests.FIGURES)
    yield from (["look", *words] for words in requests.LOOKS)
    for command, listed in (
        ("ablate", requests.ABLATIONS),
        ("top-tokens", requests.TOP_TOKENS),
        ("generate", requests.GENERATIONS),
        ("readout", requests.READOUTS),
    ):
        yield from ([command, "{d}", *words.split()] for words in listed)
        yield from ([command, f"{{t}}/{name}"] for name in DATASETS)
        yield from ([command], [command, "{d}", "--nothing"], [command, "{d}", "more"])
        yield [command, "{d}"]  # whose models are nowhere to be found
    yield from sharing_cases(DATASETS)
    yield from (["views", name] for name in ("nothing", "", "Profiles", "profiles.sql"))
    yield from (["export", f"{{t}}/{name}"] for name in DATASETS)
    yield from ([["export"], ["export", "{t}/nothing"], ["export", "{d}", "more"]])
    yield from (["serve", f"{{t}}/{name}"] for name in DATASETS)
    yield from (["serve", "{d}", option] for option in SERVING)
    yield from (["schedule", *words.split()] for words in requests.SCHEDULES)
    yield ["init", "{t}/study-0.toml"]
    yield ["init", "{t}/empty.txt/study.toml"]
    for name in TEXTS:
        yield ["ingest", MODEL, f"--prompts={{t}}/{name}", "--out={t}/new"]
    for probe in (
        "",
        "nothing",
        "repeated,prompts=0",
        "repeated,seed=x",
        "repeated,words=3",
        "repeated,length=10000",
        "sink,length=1",
        "sink?length=5",
        "sink --variant=adhd",
    ):
        words = f"probe:{probe}".split()
        yield ["ingest", MODEL, f"--prompts={words[0]}", *words[1:], "--out={t}/new"]
    yield from (["ingest", f"--model={source}", "--out={t}/new"] for source in SOURCES)
    yield ["ingest", MODEL]
    yield ["ingest", "--out={t}/new"]
    yield ["ingest", MODEL, MODEL, "--out={t}/new"]
    for option in (
        "--shard=3",
        "--shard=0/2",
        "--shard=3/2",
        "--shard=1/99",
        "--variant=calm",
        "--structural=(",
        "--structural=",
        "--dtype=int8",
        "--device=x",
    ):
        yield ["ingest", MODEL, option, "--out={t}/new"]
    yield from (["ingest", MODEL, f"--out={place}"] for place in ("{t}/empty.txt", "{t}", "{d}"))
    yield from (["run", f"{{t}}/study-{number}.toml"] for number in range(len(STUDIES)))
    yield from (["run", name] for name in ("nothing", "", "{t}", "{t}/nothing.toml"))
    yield from ([""], ["nothing"], ["--nothing"], ["demo"], ["run"], ["init", "a", "b"])


CASES = list(_cases())
