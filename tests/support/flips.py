"""Single flipped bytes: whether a verification finds them, and a repair brings the content back.

`python -m tests.support.flips 200` prints both for 200 flips over all files of a dataset.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import headswap
from ingest.repair import repair
from sql.console.verify_command import problems_of, run_checks
from sql.graph.export import write_views
from sql.session import open_session
from tests.support.interrupted import content, ingest_words


def flip(path: Path, generator: random.Random) -> None:
    """Changes one bit of one byte of a file."""
    damaged = bytearray(path.read_bytes())
    damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
    path.write_bytes(damaged)


def flip_and_repair(dataset: Path, prompts: Path, n_flips: int, seed: int = 0) -> tuple[int, int]:
    """How many of so many flips, each repaired before the next, were found, and were mended."""
    generator = random.Random(seed)
    write_views(dataset)  # a copy's name the folder that it is a copy of
    before = content(dataset)
    paths = sorted(path for path in before if (dataset / path).stat().st_size)
    n_found = n_mended = 0
    for number in range(n_flips):
        path = generator.choice(paths)
        original = (dataset / path).read_bytes()
        flip(dataset / path, generator)
        problems = problems_of(run_checks(dataset))
        n_found += bool(problems)
        repair(dataset, problems, prompts)
        write_views(dataset)
        # What is kept of views is computed again when it is asked for; it need not come back.
        is_kept = path.startswith("views/")
        expected = {name: sha for name, sha in before.items() if not (is_kept and name == path)}
        is_mended = content(dataset) == expected
        n_mended += is_mended
        if is_kept or not is_mended:
            (dataset / path).write_bytes(original)
        print(f"{number + 1}: {path}: mended {n_mended}", file=sys.stderr)
    return n_found, n_mended


def main(n_flips: int) -> int:
    """Flips, verifies and repairs; returns how many flips were not both found and mended."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        assert headswap.main(ingest_words(dataset)) == 0
        with open_session(dataset) as session:
            session.rows("select count(*) from similarity_ranking")  # leaves kept views
        n_found, n_mended = flip_and_repair(dataset, Path(folder) / "prompts.jsonl", n_flips)
    print(f"{n_flips} flips: {n_found} found, {n_mended} mended")
    return 2 * n_flips - n_found - n_mended


if __name__ == "__main__":
    sys.exit(1 if main(int(sys.argv[1])) else 0)
