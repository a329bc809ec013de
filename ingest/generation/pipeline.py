"""Generate: models continue prompts, whole and with heads ablated, and every text becomes a row."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingest.ablation.options import RESAMPLE
from ingest.appending import (
    Addition,
    MakeFiles,
    adding,
    chosen_models,
    open_to_add,
    prompts_of,
    stored_rows,
    token_ids_of,
)
from ingest.dataset.manifest import ModelEntry
from ingest.dataset.reader import Dataset
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.schemas import schema_of
from ingest.generation.ablated import Condition, check_condition, single_heads
from ingest.generation.sampling import Sampling
from ingest.generation.steps import Context, context_of, steps_of
from ingest.kernel.errors import InputError
from ingest.kernel.progress import Progress
from ingest.models.packages import needing_packages
from ingest.producers.attention import versions
from ingest.prompts.classes import PhraseClass
from ingest.prompts.prompt_set import Prompt, PromptSet
from ingest.prompts.sequence import STEPS, TASK
from ingest.rerun import Part, Rerun

if TYPE_CHECKING:
    from ingest.generation.decoding import Generated
    from ingest.models.loaded import LoadedModel

TABLE = "generations"
# Rows of a file: what an interruption may cost.
_TEXTS_A_FILE = 256
_DEFAULT_SAMPLING = Sampling()


@dataclass(frozen=True)
class Request:
    """What is to be generated.

    models: names, none for all. seeds: how many, 0 on. conditions: what is ablated, besides the
    whole model, which always writes too; None for every head by itself. prompts: None for those of
    the dataset. regulation: the steps that n_regulation_steps counts. device: None for the one that
    a model ran on before.
    """

    models: tuple[str, ...] = ()
    prompts: PromptSet | None = None
    seeds: int = 5
    conditions: tuple[Condition, ...] | None = ()
    kind: str = "zero"
    sampling: Sampling = _DEFAULT_SAMPLING
    regulation: PhraseClass | None = None
    batch_size: int = 32
    device: str | None = None
    now_at: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, limit in (("seeds", 10_000), ("batch_size", 4096)):
            value = getattr(self, name)
            if not 1 <= value <= limit:
                what = f"--{name.replace('_', '-')}"
                raise InputError(f"{what} {value} is not possible", hint=f"give 1 to {limit:,}")


@dataclass(frozen=True)
class Written:
    """What was done. texts, were_there: texts of each model that were added, and that it had."""

    texts: dict[str, int]
    were_there: dict[str, int]


@dataclass(frozen=True)
class _Task:
    """One text to be generated: which condition, which seed, which prompt of the set."""

    condition: Condition
    seed: int
    prompt: int


@needing_packages()
def generate(dataset_path: Path, request: Request, make: MakeFiles | None = None) -> Written:
    """Adds the texts that a dataset lacks to its table `generations`.

    make: as of `ingest.appending.adding`.

    Raises: InputError where a model, a head or a prompt cannot be used; HeadswapError where another
    process writes to the dataset.
    """
    dataset = open_to_add(dataset_path)
    entries = chosen_models(dataset, request.models, request.now_at)
    prompts = _Prompts(dataset, request.prompts)
    conditions = {entry.name: _conditions(dataset, entry, request) for entry in entries}
    tasks = {
        entry.name: _missing(dataset, entry.name, conditions[entry.name], prompts, request)
        for entry in entries
    }
    counts = {name: len(found) for name, found in tasks.items()}
    wanted = {name: len(conditions[name]) * request.seeds * len(prompts.prompts) for name in counts}
    were_there = {name: wanted[name] - counts[name] for name in counts}
    chosen = [entry for entry in entries if tasks[entry.name]]
    if not chosen:
        return Written(counts, were_there)
    writers = [_Writer(dataset, entry, request) for entry in chosen]
    work = _work([writer.model for writer in writers], prompts, tasks, request)
    with adding(dataset, [TABLE], work, make) as addition:
        for writer in writers:
            writer.write(addition, tasks[writer.model.name])
    return Written(counts, were_there)


class _Prompts:
    """The prompts that are continued, with their keys and, where the dataset has them, numbers."""

    def __init__(self, dataset: Dataset, given: PromptSet | None) -> None:
        chosen = given or prompts_of(dataset)
        self.prompts: tuple[Prompt, ...] = chosen.prompts
        self.keys = [row["prompt_key"] for row in chosen.rows()]
        held = dataset.read_table("prompts").to_pylist()
        self.id_of: dict[str, int] = {row["prompt_key"]: row["prompt_id"] for row in held}
        # Of the keys alone: a set is the same, whatever file it came from.
        self.name = hashlib.sha256(" ".join(self.keys).encode()).hexdigest()[:12]


def _conditions(dataset: Dataset, entry: ModelEntry, request: Request) -> list[Condition]:
    shapes = {row["model"]: row for row in dataset.read_table("models").to_pylist()}
    shape = shapes[entry.name]
    asked = request.conditions
    if asked is None:
        asked = single_heads(shape["n_layers"], shape["n_heads"], request.kind)
    for condition in asked:
        check_condition(condition, entry.name, shape["n_layers"], shape["n_heads"])
    return list(dict.fromkeys((Condition(), *asked)))


def _missing(
    dataset: Dataset,
    model: str,
    conditions: Sequence[Condition],
    prompts: _Prompts,
    request: Request,
) -> list[_Task]:
    """The texts that a model lacks, in the order in which they are made."""
    columns = ("prompt_set", "sampling", "ablation", "kind", "seed", "prompt_key")
    rows = stored_rows(dataset, TABLE, model, (*columns, "regulation_phrases")).to_pylist()
    label = request.sampling.label
    phrases = list(request.regulation.phrases) if request.regulation else None
    mine = [row for row in rows if (row["prompt_set"], row["sampling"]) == (prompts.name, label)]
    if any(row["regulation_phrases"] != phrases for row in mine):
        raise InputError(
            f"{dataset.path} holds such texts of {model!r}, but counted with other regulation "
            "phrases",
            hint="give the same --class as before; any other can be counted over the column steps",
        )
    there = {tuple(row[name] for name in columns) for row in rows}
    return [
        _Task(condition, seed, number)
        for condition in conditions
        for seed in range(request.seeds)
        for number, key in enumerate(prompts.keys)
        if (prompts.name, label, condition.name, condition.kind, seed, key) not in there
    ]


def _work(
    models: Sequence[LoadedModel],
    prompts: _Prompts,
    tasks: dict[str, list[_Task]],
    request: Request,
) -> dict[str, object]:
    """All that the bytes of the files depend on; the batch is no part of it."""
    return {
        "models": {model.name: [model.weights_sha256, model.device] for model in models},
        "prompts": prompts.name,
        "tasks": {
            model.name: [
                [task.condition.name, task.condition.kind, task.seed, task.prompt]
                for task in tasks[model.name]
            ]
            for model in models
        },
        "sampling": request.sampling.label,
        "regulation": request.regulation.phrases if request.regulation else None,
        "versions": versions(),
    }


class _Writer(Rerun):
    """Generates the texts of one model and writes them, some hundred a file."""

    def __init__(self, dataset: Dataset, entry: ModelEntry, request: Request) -> None:
        """Raises: InputError where the model or a prompt cannot be used."""
        super().__init__(dataset, entry, request)
        from ingest.ablation.controls import other_prompts
        from ingest.generation.ablating import Ablations
        from ingest.generation.decoding import check_context, check_generates

        check_generates(self.model)
        # What mean and resample take from.
        stored = token_ids_of(dataset, self.model.tokenizer_name)
        if request.kind == RESAMPLE and request.conditions != ():
            other_prompts(sorted(stored))
        self._request, self._prompts = request, _Prompts(dataset, request.prompts)
        self._ablations = Ablations(self.model, stored, self._prompts.id_of)
        self._on_text: Callable[[], None] = lambda: None
        self._contexts: list[Context] = []
        for prompt in self._prompts.prompts:
            context = context_of(self.model.tokenizer, prompt, self.model.config)
            check_context(self.model, context.token_ids, prompt.where)
            self._contexts.append(context)

    def write(self, addition: Addition, tasks: Sequence[_Task]) -> None:
        """Adds the files of the model's texts, a condition in a file of its own."""
        parts = []
        for condition in dict.fromkeys(task.condition for task in tasks):
            mine = [task for task in tasks if task.condition == condition]
            parts += [
                Part(TABLE, tuple(mine[start : start + _TEXTS_A_FILE]))
                for start in range(0, len(mine), _TEXTS_A_FILE)
            ]
        n_counted = 0  # of the file that is being made, where that is in this process

        def count() -> None:
            nonlocal n_counted
            n_counted += 1
            progress.add(1)

        self._on_text = count
        with Progress(f"{self.model.name:<14}", len(tasks), "texts") as progress:
            for _, entry, was_there in addition.files(self, parts):
                (progress.skip if was_there else progress.add)(entry.rows - n_counted)
                n_counted = 0
        print(progress.summary(), file=sys.stderr)

    def rows(self, part: Part) -> pa.Table:
        """As `Rerun.rows`."""
        from ingest.generation.decoding import Decoder, Job

        request, tasks = self._request, part.which
        jobs = [
            Job(
                self._prompts.keys[task.prompt],
                task.seed,
                self._contexts[task.prompt].token_ids,
                self._contexts[task.prompt].end_ids,
            )
            for task in tasks
        ]
        intervention = self._ablations.intervention(
            tasks[0].condition, [job.prompt_key for job in jobs]
        )
        decoder = Decoder(self.model, request.sampling, request.batch_size, intervention)
        texts = decoder.generate(jobs, lambda _: self._on_text())
        rows = [self._row(task, text) for task, text in zip(tasks, texts, strict=True)]
        return pa.Table.from_pylist(rows, schema=schema_of(STORED_TABLES[TABLE]))

    def _row(self, task: _Task, text: Generated) -> dict[str, Any]:
        prompt, tokenizer = self._prompts.prompts[task.prompt], self.model.tokenizer
        key, regulation = self._prompts.keys[task.prompt], self._request.regulation
        steps = None if prompt.task is None else steps_of(tokenizer, text.token_ids)
        n_regulation_steps = None
        if steps is not None and regulation is not None:
            n_regulation_steps = sum(map(regulation.holds, steps))
        return {
            "model": self.model.name,
            "prompt_set": self._prompts.name,
            "sampling": self._request.sampling.label,
            "ablation": task.condition.name,
            "kind": task.condition.kind,
            "seed": task.seed,
            "prompt_key": key,
            "prompt_id": self._prompts.id_of.get(key),
            "task": prompt.task,
            "complexity": prompt.complexity,
            "prompt": prompt.text if prompt.task is None else f"{TASK}{prompt.task}{STEPS}",
            "text": tokenizer.decode(list(text.token_ids), skip_special_tokens=False),
            "steps": steps,
            "n_steps": None if steps is None else len(steps),
            "n_regulation_steps": n_regulation_steps,
            "regulation_phrases": list(regulation.phrases) if regulation else None,
            "n_tokens": len(text.token_ids),
            "is_complete": text.is_complete,
        }
