"""Tasks that the demo models were not trained on, to be continued: `--prompts demo:tasks`.

`demo:tasks,prompts=N` are the first N of them.
"""

from __future__ import annotations

import re
from pathlib import Path

from ingest.demo.text import generate_pairs
from ingest.kernel.errors import InputError
from ingest.prompts.prompt_set import ALL_VARIANTS, PromptSet, prompt_set_of

DEMO_TASKS = "demo:tasks"
_N_TASKS, _SEED = 60, 0


def demo_tasks(name: str = DEMO_TASKS) -> PromptSet:
    """Sixty held-out tasks, each with its complexity, 1 to 5, and without steps.

    name: as `--prompts` gives it, perhaps with how many.

    Raises: InputError where it does not say so.
    """
    found = re.fullmatch(rf"{DEMO_TASKS}(?:,prompts=(\d{{1,4}}))?", name)
    n_tasks = int(found[1] or _N_TASKS) if found else 0
    if not 1 <= n_tasks <= _N_TASKS:
        raise InputError(
            f"--prompts {name} names no tasks of the demo",
            hint=f"write {DEMO_TASKS}, or {DEMO_TASKS},prompts=N for the first 1 to {_N_TASKS}",
        )
    records = [
        {"task": record.task, "complexity": record.complexity}
        for record in generate_pairs("held-out", _N_TASKS, _SEED)
        if record.variant == "standard"
    ]
    placed = (
        (f"{DEMO_TASKS}, task {number}", record) for number, record in enumerate(records[:n_tasks])
    )
    return prompt_set_of(placed, Path(DEMO_TASKS), ALL_VARIANTS, needs_steps=False)
