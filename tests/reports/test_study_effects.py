"""A study with [effects]: models are ablated and read out as far as that is not done yet."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest.appending import Addition
from sql.session import open_session
from tests.support.interrupted import content
from tests.support.running import REFERENCE, Run

STUDY = f"""
dataset = "rows"
report = "page"

[models]
standard = "{REFERENCE / "standard"}"
adhd = "{REFERENCE / "adhd"}"

[prompts]
file = "prompts.jsonl"

[effects]
ablate = ["zero"]
token_classes = {{rest = ["close", "the"]}}
"""
PROMPT = {"pair_id": 0, "variant": "standard", "task": "Make tea", "steps": ["Boil water", "Pour"]}
STAGES = ["ingest", "ablate", "readout"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return written(tmp_path / "mine")


def written(folder: Path) -> Path:
    folder.mkdir()
    (folder / "prompts.jsonl").write_text(json.dumps(PROMPT))
    path = folder / "study.toml"
    path.write_text(STUDY)
    return path


def commands_in(err: str) -> list[list[str]]:
    """The words after `headswap` of every command shown."""
    return [shlex.split(line)[2:] for line in err.splitlines() if line.startswith("$ ")]


def counts(dataset: Path) -> dict[str, int]:
    """Heads by kind of ablation."""
    with open_session(dataset) as session:
        rows = session.rows(
            "select kind, count(distinct (model, layer, head)) as n from ablation_effects "
            "group by kind"
        )
    return {row["kind"]: row["n"] for row in rows}


def modules_of_a_run(study: Path) -> set[str]:
    """What a process that runs the study has imported at its end."""
    code = "import sys, headswap; headswap.main(sys.argv[1:]); print(*sys.modules)"
    words = [sys.executable, "-c", code, "run", str(study)]
    folder = Path(__file__).parents[2]
    process = subprocess.run(words, check=True, capture_output=True, text=True, cwd=folder)
    assert "nothing changed since" in process.stderr
    return set(process.stdout.splitlines()[-1].split())


def n_added(added: Any) -> int:
    """Rows in all, by model or by table and model."""
    return sum(map(n_added, added.values())) if isinstance(added, dict) else int(added)


def test_effects_are_made_once_and_by_the_commands_shown(run: Run, study: Path) -> None:
    first = run("run", study)
    assert first.code == 0, first.err
    shown = commands_in(first.err)
    assert [words[0] for words in shown] == [*STAGES, "verify", "report"]
    dataset = study.parent / "rows"
    assert counts(dataset) == {"zero": 24}
    with open_session(dataset) as session:
        classes = session.rows("select distinct model, token_class from layer_readouts order by 1")
    assert [(row["model"], row["token_class"]) for row in classes] == [
        ("adhd", "rest"),
        ("standard", "rest"),
    ]
    assert (study.parent / "page" / "effects.html").is_file()

    before = content(dataset)
    assert {"torch", "transformers"} & modules_of_a_run(study) == set()
    second = run("run", study)
    assert second.code == 0, second.err
    assert "nothing changed since" in second.err
    assert [words[0] for words in commands_in(second.err)] == STAGES
    for words in shown[1:3]:
        again = run(*words, "--json")
        assert again.code == 0, again.err
        assert n_added(json.loads(again.out)["added"]) == 0
    assert content(dataset) == before

    study.write_text(STUDY.replace('["zero"]', '["zero", "mean"]'))
    third = run("run", study)
    assert "nothing changed" not in third.err
    assert "12 ablations were there" in third.out
    assert counts(dataset) == {"zero": 24, "mean": 24}


def test_an_interrupted_study_goes_on_to_the_same_rows(
    run: Run, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = written(tmp_path / "undisturbed")
    assert run("run", undisturbed).code == 0
    note, n_noted = Addition._note, 0

    def stop(self: Any, entry: Any) -> None:
        nonlocal n_noted
        if n_noted == 2:
            raise KeyboardInterrupt
        n_noted += 1
        note(self, entry)

    with monkeypatch.context() as patched:
        patched.setattr(Addition, "_note", stop)
        stopped = run("run", study)
    assert stopped.code == 130
    assert "run the same command again" in stopped.err
    assert not (study.parent / "page").exists()
    assert run("run", study).code == 0
    tables = ("ablation_effects", "layer_readouts", "head_writes")
    for table in tables:
        mine, theirs = (
            {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.parquet")}
            for folder in (study.parent / "rows" / table, undisturbed.parent / "rows" / table)
        )
        assert mine == theirs
        assert mine


def test_a_study_prints_a_line_of_json_for_each_effect(run: Run, study: Path) -> None:
    study.write_text(STUDY.replace('{rest = ["close", "the"]}', "{}"))
    outcome = run("run", study, "--json")
    assert outcome.code == 0, outcome.err
    _, ablated, read, *_ = map(json.loads, outcome.out.splitlines())
    assert ablated["were_there"] == {"standard": 0, "adhd": 0}
    assert all(ablated["added"].values())
    # Without classes only what heads write.
    assert set(read["added"]["layer_readouts"].values()) == {0}
    assert all(read["added"]["head_writes"].values())


GENERATE = """
[generate]
prompts = "tasks.jsonl"
seeds = 2
max_new_tokens = 12
ablate = {standard = ["L0H0"], adhd = ["L1H1", "L0H2+L0H0"]}
kind = "mean"
"""


def test_a_study_estimates_and_generates_what_is_missing(run: Run, study: Path) -> None:
    folder = study.parent
    (folder / "tasks.jsonl").write_text(json.dumps({"task": "Make soup", "complexity": 2}))
    text = STUDY.replace('["zero"]', '[]\nattribution = ["zero", "mean"]').replace(
        "rest =", "regulation ="
    )
    study.write_text(text + GENERATE)
    first = run("run", study)
    assert first.code == 0, first.err
    stages = ["ingest", "ablate", "readout", "generate", "generate"]
    shown = commands_in(first.err)
    assert [words[0] for words in shown] == [*stages, "verify", "report"]
    with open_session(folder / "rows") as session:
        texts = session.rows(
            "select model, ablation, kind, regulation_phrases, count(*) as n from generations "
            "group by all order by model, ablation"
        )
        estimates = session.rows("select distinct kind from attribution_effects order by 1")
    assert [(row["model"], row["ablation"], row["kind"]) for row in texts] == [
        ("adhd", "L0H0+L0H2", "mean"),
        ("adhd", "L1H1", "mean"),
        ("adhd", "none", "none"),
        ("standard", "L0H0", "mean"),
        ("standard", "none", "none"),
    ]
    assert all((row["n"], row["regulation_phrases"]) == (2, ["close", "the"]) for row in texts)
    assert [row["kind"] for row in estimates] == ["mean", "zero"]

    before = content(folder / "rows")
    assert {"torch", "transformers"} & modules_of_a_run(study) == set()
    second = run("run", study)
    assert "nothing changed since" in second.err
    for words in shown[1:5]:
        again = run(*words, "--json")
        assert again.code == 0, again.err
        done = json.loads(again.out.splitlines()[0])
        assert n_added(done.get("added") or done["texts"]) == 0
    assert content(folder / "rows") == before


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (('["L0H0"]', '["H0"]'), "'H0' names no heads"),
        (("{standard", "{twin"), "'twin' is not one of the models"),
        (('"mean"', '"half"'), "there is no kind of ablation 'half'"),
        (("seeds = 2", "seed = 2"), "unknown key 'seed'"),
        (("seeds = 2", "seeds = 0"), "--seeds 0 is not possible"),
        (("tasks.jsonl", "nothing.jsonl"), "nothing.jsonl"),
        (("tasks.jsonl", "demo:nothing"), "demo:nothing"),
    ],
)
def test_a_study_that_cannot_generate_is_told(
    change: tuple[str, str], what: str, run: Run, study: Path
) -> None:
    (study.parent / "tasks.jsonl").write_text(json.dumps({"task": "Make soup"}))
    study.write_text(STUDY.partition("[effects]")[0] + GENERATE.replace(*change))
    outcome = run("run", study)
    assert outcome.code == 2
    lines = [line for line in outcome.err.splitlines() if what in line and line[:1] != "$"]
    assert len(lines) == 1, outcome.err
    assert "Traceback" not in outcome.err
