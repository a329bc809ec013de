"""A study on a cluster that runs Slurm: its ingest as a job array, then the rest of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def slurm_script(
    name: str, headswap: Sequence[str], study: Path, ingest: Sequence[str], n_shards: int
) -> str:
    """A script that submits two jobs, the second of which waits for all of the first.

    headswap: the words that start the command. study: its file. ingest: the words of its ingest,
    `--out=DATASET` last. n_shards: as many parts of the prompts, each a task of the array.
    """
    *options, out = ingest
    dataset = out.removeprefix("--out=")
    shards = f"{shlex.quote(f'{dataset}.shards')}/"
    task = '"$SLURM_ARRAY_TASK_ID"'
    program = shlex.join(headswap)
    words = f"{shlex.join(options)} --shard={task}/{n_shards} --out={shards}{task}"
    merge = f"{program} merge {shards}{{1..{n_shards}}} --out={shlex.quote(dataset)}"
    exists = f"test -e {shlex.quote(f'{dataset}/manifest.json')}"
    return f"""\
#!/bin/bash
# Made by `headswap schedule`: run it with bash where sbatch is. What the cluster wants to know goes
# to both jobs, for instance: bash {name}.sh --partition=gpu --gpus=1 --mem=32G --time=02:00:00
# A task that failed goes on where it stopped when the script is run again.
set -euo pipefail
array=$(sbatch --parsable --job-name={shlex.quote(name)} --array=1-{n_shards} "$@" <<'JOB'
#!/bin/bash
exec {program} ingest {words}
JOB
)
sbatch --job-name={shlex.quote(name)} --dependency="afterok:${{array%%;*}}" "$@" <<'JOB'
#!/bin/bash
set -euo pipefail
{exists} || {merge}
exec {program} run {shlex.quote(str(study))}
JOB
"""
