"""An ingest cut into shards, merged, is the ingest in one go; one that was stopped goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from ingest.prompts.prompt_set import PAIRED_TASKS, read_prompts
from tests.support.interrupted import Process, die_after
from tests.support.running import REFERENCE, Run
from tests.support.transfer.shards import assert_equal_rows

MODELS = [f"--model={name}={REFERENCE / name}" for name in ("standard", "adhd")]


@pytest.mark.parametrize("count", [1, 5, 12])
def test_shards_hold_each_prompt_once_with_its_id_and_key(count: int) -> None:
    whole = read_prompts(PAIRED_TASKS)
    shards = [whole.shard(number, count) for number in range(1, count + 1)]
    assert [row for shard in shards for row in shard.rows()] == list(whole.rows())
    sizes = [len(shard.prompts) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


def test_a_text_that_stands_twice_keeps_its_keys(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("one\ntwo\none\none\n")
    whole = read_prompts(tmp_path / "p.txt", "all")
    rows = [row for number in (1, 2, 3, 4) for row in whole.shard(number, 4).rows()]
    assert rows == list(whole.rows())
    assert len({row["prompt_key"] for row in rows}) == 4


def test_shards_of_an_ingest_merge_into_it(
    ingested_reference: Path, run: Run, tmp_path: Path
) -> None:
    shards = [tmp_path / f"{number}" for number in (1, 2, 3)]
    for shard in shards:
        words = [*MODELS, f"--shard={shard.name}/3"]
        assert run("ingest", *words, "--out", shard).code == 0
    again = run("ingest", *MODELS, "--shard=2/3", "--out", shards[1])
    assert "in the dataset already" in again.out
    other = run("ingest", *MODELS, "--shard=1/3", "--out", shards[1])
    assert other.code == 2
    assert "is a dataset of other prompts" in other.err
    outcome = run("merge", *shards, "--out", tmp_path / "merged", "--json")
    assert json.loads(outcome.out)["renumbered"] == 0
    assert_equal_rows(ingested_reference, tmp_path / "merged", tolerance=1e-5)
    one, merged = (read_manifest(path) for path in (ingested_reference, tmp_path / "merged"))
    assert merged.prompts_sha256 == one.prompts_sha256
    assert (merged.models, merged.tokenizers) == (one.models, one.tokenizers)
    # So that more models can be added to it.
    outcome = run("ingest", *MODELS, "--out", tmp_path / "merged")
    assert outcome.code == 0
    assert outcome.out.count("in the dataset already") == 2


@pytest.mark.slow
def test_sixteen_shards_of_which_two_were_killed_merge_into_one_ingest(
    run: Run, tmp_path: Path
) -> None:
    """Each shard in a process of its own, four at a time; the fifth and the tenth die half-way."""
    steps = ["boil water", "pour it", "wait a while"]
    records = [
        {"pair_id": n, "variant": "standard", "task": f"Tea {n}", "steps": steps[: n % 3 + 1]}
        for n in range(40)
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, records)))
    ingest = ["ingest", *MODELS, f"--prompts={tmp_path / 'p.jsonl'}"]
    whole = tmp_path / "whole"
    assert Process([*ingest, "--out", whole], tmp_path / "log.txt").wait() == 0
    shards = [tmp_path / f"shard-{number}" for number in range(1, 17)]

    def start(number: int, dies: bool = False) -> Process:
        words = [*ingest, f"--shard={number}/16", "--out", shards[number - 1]]
        prepare = partial(die_after, 1) if dies else None
        return Process(words, tmp_path / f"log-{number}.txt", prepare)

    for first in range(1, 17, 4):
        started = [start(number, dies=number in (5, 10)) for number in range(first, first + 4)]
        codes = [process.wait() for process in started]
        expected = [-signal.SIGKILL if n in (5, 10) else 0 for n in range(first, first + 4)]
        assert codes == expected
    early = run("merge", *shards, "--out", tmp_path / "merged")
    assert early.code == 2
    assert "shard-5" in early.err
    for number in (5, 10):
        assert list(shards[number - 1].rglob("part-*.parquet"))  # what it finished before it died
        process = start(number)
        assert process.wait() == 0, process.log.read_text()
        assert "from an interrupted run" in process.log.read_text()
    outcome = run("merge", *shards, "--out", tmp_path / "merged", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["renumbered"] == 0
    assert_equal_rows(whole, tmp_path / "merged")
    assert run("verify", tmp_path / "merged").code == 0


# Stands for Slurm's: runs each task of an array, and the job after it, at once and in order.
_SBATCH = """#!/bin/bash
set -e
cat > "$JOBS/script-$$"
echo "$@" >> "$JOBS/calls"
tasks=$(printf '%s\\n' "$@" | sed -n 's/^--array=1-//p')
for task in $(seq 1 "${tasks:-1}"); do
    SLURM_ARRAY_TASK_ID=$task bash "$JOBS/script-$$" >> "$JOBS/output" 2>&1
done
echo "$$;cluster"
"""


def test_a_study_is_run_by_slurm(run: Run, tmp_path: Path) -> None:
    """The script that `headswap schedule` prints, before a stand-in for sbatch."""
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (jobs / "sbatch").write_text(_SBATCH)
    (jobs / "sbatch").chmod(0o755)
    folder = tmp_path / "it's here"
    folder.mkdir()
    (folder / "p.txt").write_text("Make tea now.\nRest.\nCall home.\n")
    study = folder / "mine.toml"
    study.write_text(
        'dataset = "d"\nreport = "r"\n[prompts]\nfile = "p.txt"\nstructural = "[.]"\n'
        f'[models]\na = "{REFERENCE / "standard"}"\nb = "{REFERENCE / "adhd"}"\n'
    )
    outcome = run("schedule", study, "--slurm", "--shards=2", "-o", tmp_path)
    assert outcome.code == 0
    environment = os.environ | {"PATH": f"{jobs}:{os.environ['PATH']}", "JOBS": str(jobs)}
    script = tmp_path / "headswap-mine.sh"
    done = subprocess.run(
        ["bash", script, "--partition=gpu"],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    output = (jobs / "output").read_text()
    assert done.returncode == 0, output + done.stderr
    first, second = (jobs / "calls").read_text().splitlines()
    assert "--array=1-2 --partition=gpu" in first
    assert "--dependency=afterok:" in second
    assert ";" not in second
    assert "--partition=gpu" in second
    dataset = open_dataset(folder / "d")
    assert dataset.manifest.rows_of("prompts") == 3
    assert [model.name for model in dataset.manifest.models] == ["a", "b"]
    assert (folder / "r" / "index.html").is_file()
    assert output.count("in the dataset already") == 2  # the run after the merge
