"""Tasks that the demo models were not trained on, to be continued: `--prompts demo:tasks`."""

from __future__ import annotations

from pathlib import Path

from ingest.demo.text import generate_pairs
from ingest.prompts.prompt_set import ALL_VARIANTS, PromptSet, prompt_set_of

DEMO_TASKS = "demo:tasks"
_N_TASKS, _SEED = 60, 0


def demo_tasks() -> PromptSet:
    """Sixty held-out tasks, each with its complexity, 1 to 5, and without steps."""
    records = [
        {"task": record.task, "complexity": record.complexity}
        for record in generate_pairs("held-out", _N_TASKS, _SEED)
        if record.variant == "standard"
    ]
    placed = ((f"{DEMO_TASKS}, task {number}", record) for number, record in enumerate(records))
    return prompt_set_of(placed, Path(DEMO_TASKS), ALL_VARIANTS, needs_steps=False)
