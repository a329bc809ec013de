"""An import: arrays are checked as an ingest checks what a model gives, then become a dataset."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.dataset.commit import commit
from ingest.dataset.manifest import (
    MODEL_NAME_PATTERN,
    PRECISIONS,
    FileEntry,
    Manifest,
    ModelEntry,
)
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.rules.attention_rows import TOLERANCES, sum_problem
from ingest.dataset.writer import Triangle, attention_file, file_entry, write_table
from ingest.kernel.errors import InputError
from ingest.kernel.progress import Progress
from ingest.models.packages import needing_packages
from ingest.producers.batches import Batch, plan_batches
from ingest.prompts.prompt_set import ALL_VARIANTS, Prompt, PromptSet, read_prompts
from ingest.prompts.sequence import structural_pattern
from ingest.transfer.imports.prompt_arrays import PromptArrays, check_lengths
from ingest.transfer.imports.token_rows import (
    Tokens,
    known_by_texts,
    known_by_tokenizer,
    read_tokens_file,
    texts_of,
)
from ingest.transfer.new_dataset import check_new, new_dataset

_BYTES_A_ROW = {"float32": 3.9, "float16": 2.0}
_FLOATS = ("float16", "float32", "float64", "bfloat16")


@dataclass(frozen=True)
class ImportOptions:
    """What is known of an import beside its arrays.

    model: its name in the dataset. source: where the arrays came from. prompts_file, variant: the
    prompts, as ingest reads them; None where they are what their tokens say. tokens_file: JSON, the
    texts of the tokens. tokenizer_file: the model's tokenizer.json, in place of these texts.
    structural: as in `ingest.pipeline.ingest`. dtype: the precision in which the model ran, None
    for that of the arrays. precision: of PRECISIONS, of stored weights.

    Raises: InputError where one cannot be used.
    """

    model: str
    source: str
    prompts_file: Path | None = None
    variant: str = "standard"
    tokens_file: Path | None = None
    tokenizer_file: Path | None = None
    structural: str | None = None
    dtype: str | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        if not MODEL_NAME_PATTERN.fullmatch(self.model):
            raise InputError(
                f"{self.model!r} cannot name a model",
                hint="give a name with --model: letters, digits, '.', '_' and '-', at most 64, "
                "starting with no sign",
            )
        if self.precision not in PRECISIONS:
            raise InputError(
                f"there is no precision {self.precision!r}",
                hint=f"choose one of {', '.join(PRECISIONS)}",
            )
        if self.tokenizer_file and not self.prompts_file:
            raise InputError(
                "a tokenizer makes tokens of prompts, and none are named",
                hint="name the file of the prompts with --prompts",
            )


@dataclass(frozen=True)
class _Shape:
    """What all prompts of an import share, found out by reading each once."""

    n_layers: int
    n_heads: int
    is_causal: bool
    dtype: str


def import_arrays(arrays: Sequence[PromptArrays], out: Path, options: ImportOptions) -> Manifest:
    """Makes a dataset of one model's attention that was computed elsewhere.

    Every array is read twice, one prompt at a time: first all are checked, then they are written.
    A model is causal where no prompt has a weight above 0 on a later key.

    Raises: InputError, naming the prompt, where an array has another shape than its tokens and the
    other arrays, or weights that are not finite, below 0 or do not sum to 1, where tokens are not
    known, or `out` exists; HeadswapError where the disk lacks the room or the operating system
    refuses. Then nothing is written.
    """
    check_new(out)
    pattern = structural_pattern(options.structural)
    if not arrays:
        raise InputError(f"{options.source} holds no attention")
    prompts, tokens = _described(arrays, options, pattern)
    lengths = [len(of_prompt) for of_prompt in tokens.of_prompts]
    shape = _check(arrays, lengths, options)
    n_heads = shape.n_layers * shape.n_heads
    cells = sum(n * (n + 1) // 2 if shape.is_causal else n * n for n in lengths)
    n_bytes = round(cells * n_heads * _BYTES_A_ROW[options.precision])
    with (
        new_dataset(out, n_bytes) as folder,
        Progress("writing", cells * n_heads, "rows") as progress,
    ):
        writer = _Writer(folder, arrays, prompts, tokens, shape, options)
        # The patterns of a batch are in memory together, all layers of them.
        attention = tuple(
            writer.write_batch(number, batch, progress.add)
            for number, batch in enumerate(plan_batches(lengths, n_heads))
        )
        manifest = writer.write_tables(attention)
        commit(folder, manifest)
    return manifest


def _described(
    arrays: Sequence[PromptArrays], options: ImportOptions, pattern: Any
) -> tuple[PromptSet, Tokens]:
    """Prompts and their tokens, out of what was given of the two."""
    stated = None
    if options.prompts_file:
        stated = read_prompts(options.prompts_file, options.variant)
        check_lengths(arrays, len(stated.prompts), f"{options.prompts_file} has")
        if options.tokenizer_file:
            with needing_packages():
                return stated, known_by_tokenizer(arrays, options.tokenizer_file, stated, pattern)
    given = read_tokens_file(options.tokens_file) if options.tokens_file else None
    texts = texts_of(arrays, given)
    prompts = stated or PromptSet(
        Path(options.source),
        ALL_VARIANTS,
        tuple(
            Prompt(number, None, None, None, None, None, "".join(tokens), one.where)
            for number, (one, tokens) in enumerate(zip(arrays, texts, strict=True))
        ),
        0,
        {},
    )
    return prompts, known_by_texts(arrays, texts, prompts, pattern)


def _check(
    arrays: Sequence[PromptArrays], lengths: Sequence[int], options: ImportOptions
) -> _Shape:
    """Reads every array once; what they share.

    Raises: InputError at the first that cannot be used.
    """
    n_layers = n_heads = 0
    is_causal, dtypes = True, set()
    with Progress("checking", sum(lengths), "tokens") as progress:
        for one, length in zip(arrays, lengths, strict=True):
            weights = one.weights(length)
            values = weights.values
            if weights.dtype not in _FLOATS:
                raise InputError(
                    f"{one.where}: values of the type {weights.dtype} are no attention weights"
                )
            if values.ndim != 4 or values.shape[2:] != (length, length) or 0 in values.shape:
                raise InputError(
                    f"{one.where}: attention of the shape {list(values.shape)} is not "
                    f"[layer, head, query, key] of {length} tokens"
                )
            n_layers, n_heads = n_layers or values.shape[0], n_heads or values.shape[1]
            if values.shape[:2] != (n_layers, n_heads):
                raise InputError(
                    f"{one.where}: {values.shape[0]} layers of {values.shape[1]} heads, but the "
                    f"first prompt has {n_layers} of {n_heads}"
                )
            dtypes.add(options.dtype or weights.dtype)
            tolerance = max(map(_tolerance, (options.dtype or weights.dtype, options.precision)))
            _check_sums(one.where, values, tolerance)
            is_causal = is_causal and not np.triu(values, 1).any()
            progress.add(length)
    return _Shape(n_layers, n_heads, is_causal, max(sorted(dtypes), key=_tolerance))


def _tolerance(dtype: str) -> float:
    return TOLERANCES.get(dtype, TOLERANCES["float32"])


def _check_sums(where: str, values: NDArray[Any], tolerance: float) -> None:
    """Raises InputError where a query's weights are no attention, by the rule of ingest."""
    length = values.shape[-1]
    starts = np.arange(0, length * length, length)
    for layer, heads in enumerate(values):
        for head, pattern in enumerate(heads):
            if problem := sum_problem(pattern.reshape(-1), starts, tolerance):
                raise InputError(
                    f"{where}: L{layer}H{head} {problem}",
                    hint="attention is taken after the softmax, all keys of a query together; "
                    "--dtype says what a model ran in whose sums are rounded",
                )


@dataclass(frozen=True)
class _Writer:
    """Writes the files of an import whose arrays were checked."""

    folder: Path
    arrays: Sequence[PromptArrays]
    prompts: PromptSet
    tokens: Tokens
    shape: _Shape
    options: ImportOptions

    def write_batch(self, number: int, batch: Batch, on_rows: Callable[[int], None]) -> FileEntry:
        """Writes one attention file."""
        model, is_causal = self.options.model, self.shape.is_causal
        ids = [self.prompts.prompts[member].prompt_id for member in batch.members]
        lengths = [len(self.tokens.of_prompts[member]) for member in batch.members]
        cells = [Triangle([0], [length], is_causal) for length in lengths]
        # float32 [layer, head, query, key] each
        patterns = [
            self.arrays[member].weights(length).values.astype(np.float32)
            for member, length in zip(batch.members, lengths, strict=True)
        ]
        path = STORED_TABLES["attention"].path(number, model)
        triangle = Triangle(ids, lengths, is_causal)
        with attention_file(self.folder / path, triangle, model, self.options.precision) as file:
            for layer in range(self.shape.n_layers):
                rows = [
                    pattern[layer][:, one.query, one.key]  # [head, row]
                    for pattern, one in zip(patterns, cells, strict=True)
                ]
                file.write_layer(layer, np.concatenate(rows, axis=1))
                on_rows(sum(part.size for part in rows))
        return file_entry(self.folder, path, file.rows, model)

    def write_tables(self, attention: tuple[FileEntry, ...]) -> Manifest:
        """Writes the small tables, and returns the manifest; what is not known is null."""
        entry = ModelEntry(
            name=self.options.model,
            source=self.options.source,
            revision=None,
            weights_sha256=None,
            architecture=None,
            tokenizer=self.tokens.tokenizer,
            dtype=self.shape.dtype,
            precision=self.options.precision,
            device=None,
            trust_remote_code=False,
            config={},
        )
        known = {name: value for name, value in vars(entry).items() if name != "name"}
        row = dict.fromkeys(column.name for column in STORED_TABLES["models"].columns) | {
            **{name: known[name] for name in ("source", "tokenizer", "dtype", "precision")},
            "model": self.options.model,
            "n_layers": self.shape.n_layers,
            "n_heads": self.shape.n_heads,
            "is_causal": self.shape.is_causal,
        }
        rows: dict[str, tuple[Any, str | None]] = {
            "models": ([row], self.options.model),
            "prompts": (self.prompts.rows(), None),
            "tokens": (self.tokens.rows(self.prompts), self.tokens.tokenizer),
        }
        small = {
            name: (write_table(self.folder, STORED_TABLES[name].path(0), name, of_table, owner),)
            for name, (of_table, owner) in rows.items()
        }
        return Manifest(
            variant=self.prompts.variant,
            structural=self.options.structural,
            prompts_sha256=self.prompts.sha256,
            tokenizers={self.tokens.tokenizer: self.tokens.sha256},
            models=(entry,),
            tables={"attention": attention, **small},
            written_with={
                name: importlib.metadata.version(name) for name in ("headswap", "numpy", "pyarrow")
            },
        )
