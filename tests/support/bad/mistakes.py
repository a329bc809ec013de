"""Mistakes that a newcomer makes, each with the whole message that answers it."""

from __future__ import annotations

from tests.support.bad.mistaken_queries import QUERIES, Mistake


def _ingest(*options: str) -> tuple[str, ...]:
    return ("ingest", "--model", "standard=demo:standard-1", *options, "--out", "new")


# What is typed, in folders and files as tests/test_mistakes.py makes them.
FILES = {
    "prompt.jsonl": '{"prompt": "Hello there"}\n',
    "list.json": '[{"text": "Hello there"}]\n',
    "plain.jsonl": "Hello there\n",
    "long.jsonl": '{"text": "Make tea and drink it."}\n{"text": "' + "tea " * 300 + '"}\n',
    "study.toml": (
        'dataset = "d"\nreport = "r"\n[models]\na = "demo:standard-1"\n[prompt]\nfile = "x"\n'
    ),
}

MISTAKES = {
    **QUERIES,
    "folder above the dataset": Mistake(
        (
            "sql",
            "demo",
            "select 1",
        ),
        2,
        "headswap: demo is not a dataset: it has no manifest.json\n"
        "Hint: did you mean demo/dataset?\n",
    ),
    "folder inside the dataset": Mistake(
        (
            "verify",
            "demo/dataset/attention",
        ),
        2,
        "headswap: demo/dataset/attention is not a dataset: it has no manifest.json\n"
        "Hint: did you mean demo/dataset?\n",
    ),
    "folder from elsewhere": Mistake(
        (
            "report",
            "dataset",
            "--out",
            "page",
        ),
        2,
        "headswap: dataset is not a folder\nHint: did you mean demo/dataset?\n",
    ),
    "misspelt folder": Mistake(
        (
            "sql",
            "demo/datset",
            "select 1",
        ),
        2,
        "headswap: demo/datset is not a folder\nHint: did you mean demo/dataset?\n",
    ),
    "misspelt command": Mistake(
        (
            "verfy",
            "demo/dataset",
        ),
        2,
        "headswap: no such command 'verfy'\n"
        "Hint: did you mean verify? `headswap --help` lists them\n",
    ),
    "misspelt figure": Mistake(
        (
            "figure",
            "demo/dataset",
            "profile",
            "-o",
            "a.svg",
        ),
        2,
        "headswap: invalid value for 'NAME': 'profile' is not one of 'profiles', 'pattern', "
        "'chance', 'distribution', 'matrix', 'swaps', 'trends'\n"
        "Hint: did you mean profiles? `headswap figure --help` explains the usage\n",
    ),
    "misspelt relation to explain": Mistake(
        (
            "views",
            "Heads",
        ),
        2,
        "headswap: there is no relation 'Heads'\n"
        "Hint: did you mean heads? `headswap views` lists the relations\n",
    ),
    "claim with an equals sign": Mistake(
        (
            "claims",
            "demo/dataset",
            "--claim",
            "standard:L1H2 = adhd:L0H0 best match",
        ),
        2,
        "headswap: 'standard:L1H2 = adhd:L0H0 best match' is not a claim\n"
        "Hint: write MODEL:HEAD ~ MODEL:HEAD and one of: above same index, best match, beyond "
        "chance, at least 0.99\n",
    ),
    "no claim": Mistake(
        (
            "claims",
            "demo/dataset",
        ),
        2,
        "headswap: no claim to look at\n"
        'Hint: give one with --claim "standard:L3H0 ~ adhd:L3H5 best match"; `headswap '
        "verify` is about the data\n",
    ),
    "claim without its option": Mistake(
        ("claims", "demo/dataset", "standard:L1H2 ~ adhd:L0H1 best match"),
        2,
        "headswap: got unexpected words: standard:L1H2 ~ adhd:L0H1 best match\n"
        'Hint: did you mean --claim "standard:L1H2 ~ adhd:L0H1 best match"\n',
    ),
    "report inside the dataset": Mistake(
        ("report", "demo/dataset", "--out", "demo/dataset/report"),
        2,
        "headswap: demo/dataset/report is inside the dataset demo/dataset\n"
        "Hint: a dataset holds nothing but its own files: give a folder outside it\n",
    ),
    "dataset inside a dataset": Mistake(
        ("ingest", "--model", "standard=demo:standard-1", "--out", "demo/dataset/new"),
        2,
        "headswap: demo/dataset/new is inside the dataset demo/dataset\n"
        "Hint: a dataset holds nothing but its own files: give a folder outside it\n",
    ),
    "two heads for a claim": Mistake(
        ("claims", "demo/dataset", "standard:L1H2", "adhd:L0H1"),
        2,
        "headswap: got unexpected words: standard:L1H2 adhd:L0H1\n"
        'Hint: write a claim as in --claim "standard:L3H0 ~ adhd:L3H5 best match"\n',
    ),
    "head without its option": Mistake(
        ("figure", "demo/dataset", "pattern", "standard:L1H2", "-o", "x.svg"),
        2,
        "headswap: got unexpected words: standard:L1H2\nHint: did you mean --head standard:L1H2?\n",
    ),
    "demo model without its prefix": Mistake(
        ("look", "adhd", "Hello there", "-o", "x.svg"),
        2,
        "headswap: model 'adhd': adhd is not a folder or a bundle file\n"
        "Hint: did you mean demo:adhd? SOURCE is a local folder, a bundle file, "
        "ORG/NAME[@REVISION] on the hub, demo:NAME, or untrained:SOURCE\n",
    ),
    "dataset to list the views of": Mistake(
        ("views", "demo/dataset"),
        2,
        "headswap: there is no relation 'demo/dataset'\n"
        "Hint: the relations of every dataset are the same: `headswap views` lists them\n",
    ),
    "score of another figure": Mistake(
        ("figure", "demo/dataset", "profiles", "--score", "induction", "-o", "x.svg"),
        2,
        "headswap: the figure profiles has no choice of --score\n"
        "Hint: leave it out, or draw trends\n",
    ),
    "prompt of another figure": Mistake(
        ("figure", "demo/dataset", "swaps", "--prompt", "0", "-o", "x.svg"),
        2,
        "headswap: the figure swaps has no choice of --prompt\n"
        "Hint: leave it out, or draw pattern\n",
    ),
    "heads and a model to find one in": Mistake(
        (
            *("figure", "demo/dataset", "profiles", "--head", "standard:L0H0"),
            *("--other", "adhd", "-o", "x.svg"),
        ),
        2,
        "headswap: --other is where the match of the reference head is looked for, and heads are "
        "named\n"
        "Hint: leave --other or --head out\n",
    ),
    "head of a figure without its model": Mistake(
        (
            "figure",
            "demo/dataset",
            "profiles",
            "--head",
            "standrd:L1H2",
            "-o",
            "a.svg",
        ),
        2,
        "headswap: demo/dataset has no model 'standrd'\n"
        "Hint: did you mean standard? it has standard, adhd\n",
    ),
    "ending of a figure": Mistake(
        (
            "figure",
            "demo/dataset",
            "profiles",
            "-o",
            "a.jpg",
        ),
        2,
        "headswap: a.jpg is no file that ends in one of .svg, .png, .pdf, .csv\n"
        "Hint: name the file after the form that it is to have\n",
    ),
    "model without a name": Mistake(
        (
            "ingest",
            "--model",
            "gpt2",
            "--out",
            "new",
        ),
        2,
        "headswap: --model 'gpt2' is not NAME=SOURCE\n"
        "Hint: for example --model adhd=demo:adhd-1 or --model mine=path/to/folder\n",
    ),
    "misspelt demo model": Mistake(
        (
            "ingest",
            "--model",
            "a=demo:standrd",
            "--out",
            "new",
        ),
        2,
        "headswap: there is no demo model 'standrd'\n"
        "Hint: did you mean standard? the demo models are standard, adhd, standard-twin, "
        "adhd-1, adhd-2, adhd-3, adhd-4, adhd-shared, standard-1, standard-2, standard-3, "
        "standard-4\n",
    ),
    "record without text": Mistake(
        _ingest("--prompts", "prompt.jsonl"),
        2,
        'headswap: prompt.jsonl, line 1: neither "text" nor "task" with "steps"\n'
        'Hint: rename \'prompt\' to "text"? a record is {"text": "..."}, or has '
        '"pair_id", "variant", "task" and "steps"\n',
    ),
    "list of records": Mistake(
        _ingest("--prompts", "list.json"),
        2,
        "headswap: list.json, line 1: not a JSON object\n"
        "Hint: a line is one record in braces; `jq -c '.[]' FILE` writes a list of records so\n",
    ),
    "text that is no JSON": Mistake(
        _ingest("--prompts", "plain.jsonl"),
        2,
        "headswap: plain.jsonl, line 1: not JSON (Expecting value)\n"
        'Hint: a line is one record: {"pair_id": 0, "variant": "standard", "task": '
        '"Make tea", "steps": ["Boil water"]} or {"text": "..."}; in a .txt every '
        "line is a prompt\n",
    ),
    "sentence for a file": Mistake(
        _ingest("--prompts", "Hello there"),
        2,
        "headswap: cannot read the prompts in Hello there: No such file or directory\n"
        "Hint: give a file with --prompts, or leave --prompts out for the 12 paired tasks; "
        "`headswap look` takes a sentence\n",
    ),
    "misspelt probe": Mistake(
        _ingest("--prompts", "probe:repeatd"),
        2,
        "headswap: there is no probe 'repeatd'; there are repeated, sink\n"
        "Hint: did you mean probe:repeated?\n",
    ),
    "prompt longer than a context": Mistake(
        _ingest("--prompts", "long.jsonl"),
        2,
        "headswap: long.jsonl, line 2: the prompt has 601 tokens, but model 'standard' reads "
        "at most 256\n"
        "Hint: shorten the prompt, or leave out all that a model cannot read with "
        "--skip-unreadable, for all models, in a new dataset\n",
    ),
    "misspelt study": Mistake(
        (
            "run",
            "dmo",
        ),
        2,
        "headswap: there is no study dmo\n"
        "Hint: did you mean demo? give a TOML file, or one of data-or-seed, demo, interpgpt, "
        "polypythias, pythia\n",
    ),
    "misspelt section of a study": Mistake(
        (
            "run",
            "study.toml",
        ),
        2,
        "headswap: study.toml, line 5: unknown key 'prompt'\n"
        "Hint: did you mean prompts? known are dataset, report, models, prompts, run, effects, "
        "generate, analysis\n",
    ),
    "misspelt model to ablate": Mistake(
        (
            "ablate",
            "demo/dataset",
            "--model",
            "standrd",
        ),
        2,
        "headswap: demo/dataset has no model 'standrd'\n"
        "Hint: did you mean standard? it has standard, adhd\n",
    ),
    "half a head to ablate": Mistake(
        (
            "ablate",
            "demo/dataset",
            "--head",
            "L1",
        ),
        2,
        "headswap: --head 'L1' names no head\nHint: write layer and head, as in L3H0\n",
    ),
}
