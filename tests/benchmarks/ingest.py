"""Ingest against a bare forward and against the ways that it replaces.

All run the same model of the released shape, drawn from a seed, on the same prompts of random
tokens. The files go to a temporary folder.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import torch
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaForCausalLM

from ingest.models.load import load_model
from ingest.models.loaded import LoadedModel
from ingest.models.options import LoadOptions
from ingest.models.source import ModelSource, find_files
from ingest.producers.attention import batches_of, count_rows, write_attention
from ingest.producers.batches import Batch
from ingest.prompts.prompt_set import Prompt, PromptSet
from tests.benchmarks.measure import Figure, best, exponent, peak_of
from tests.support.models.bundles import LLAMA, Sizes, config_of, llama_state, write_bundle

Encoded = list[NDArray[np.int32]]
RELEASED = Sizes()

BARE, OURS = "bare forward", "headswap"
NOTEBOOK, HUGGING_FACE = "notebook's way", "output_attentions and polars"


@dataclass(frozen=True)
class Work:
    """A model, and the prompts that it runs on.

    plain, eager: the same architecture in transformers alone, with its default attention, and with
    the one that shows its weights.
    """

    model: LoadedModel
    prompts: PromptSet
    encoded: Encoded
    folder: Path
    plain: LlamaForCausalLM
    eager: LlamaForCausalLM

    @property
    def rows(self) -> int:
        """Attention rows that the prompts give."""
        return count_rows(self.model, self.encoded)

    def batches(self) -> list[Batch]:
        """The batches that ingest makes of the prompts."""
        return batches_of(self.model, self.encoded)

    def ids(self, batch: Batch) -> torch.Tensor:
        """A batch as the token ids `[prompt, position]` that go through the model."""
        ids = torch.zeros(len(batch.members), batch.width, dtype=torch.long)
        for row, member in enumerate(batch.members):
            ids[row, : len(self.encoded[member])] = torch.from_numpy(self.encoded[member])
        return ids


@contextmanager
def work_on(lengths: list[int]) -> Iterator[Work]:
    """Prompts of the given numbers of tokens, and a model of the released pair's shape.

    Its weights are drawn from a seed.
    """
    with tempfile.TemporaryDirectory() as name:
        state = llama_state(RELEASED, 0)
        bundle = write_bundle(Path(name) / "model", config_of(RELEASED, **LLAMA), state)
        source = ModelSource("model", str(bundle))
        model = load_model(source, find_files(source), LoadOptions(device="cpu"))
        networks = plain_network("sdpa"), plain_network("eager")
        yield Work(model, *random_prompts(lengths), Path(name), *networks)


def plain_network(attention: str) -> LlamaForCausalLM:
    """The released shape in transformers alone, weights as training would start."""
    config = LlamaConfig(
        vocab_size=RELEASED.d_vocab,
        hidden_size=RELEASED.d_model,
        intermediate_size=RELEASED.d_mlp,
        num_hidden_layers=RELEASED.n_layers,
        num_attention_heads=RELEASED.n_heads,
        max_position_embeddings=RELEASED.n_ctx,
        tie_word_embeddings=True,
        use_cache=False,
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config).eval()


def random_prompts(lengths: list[int], seed: int = 0) -> tuple[PromptSet, Encoded]:
    """Prompts of the given numbers of tokens, each token at random."""
    generator = np.random.default_rng(seed)
    prompts, encoded = [], []
    for number, length in enumerate(lengths):
        ids = generator.integers(0, 300, length, dtype=np.int32)
        text = " ".join(map(str, ids))
        prompts.append(Prompt(number, None, None, None, None, None, text, f"prompt {number}"))
        encoded.append(ids)
    return PromptSet(Path("random"), "all", tuple(prompts), 0, {}), encoded


def lengths_between(low: int, high: int, n_prompts: int) -> list[int]:
    """Numbers of tokens, from `low` to `high`, both included, from a seed."""
    return [int(n) for n in np.random.default_rng(1).integers(low, high + 1, n_prompts)]


def bare_forward(work: Work) -> None:
    """The same batches through the same network, logits computed, nothing kept."""
    with torch.inference_mode():
        for batch in work.batches():
            work.plain(input_ids=work.ids(batch))


def headswap_way(work: Work) -> None:
    """The rows of the model as ingest writes them, synced to the disk."""
    out = work.folder / "headswap"
    with redirect_stderr(StringIO()):
        write_attention(work.model, work.prompts, work.encoded, out)
    shutil.rmtree(out)


def notebook_way(work: Work) -> None:
    """One prompt at a time, everything cached, loops over heads, pandas, one Parquet file."""
    frames = []
    for prompt, tokens in zip(work.prompts.prompts, work.encoded, strict=True):
        ids = torch.from_numpy(tokens).long()[None]
        with torch.inference_mode():
            _, cache = work.model.bridge.run_with_cache(ids)
        query, key = np.tril_indices(len(tokens))
        for layer in range(work.model.n_layers):
            for head in range(work.model.n_heads):
                pattern = cache[f"blocks.{layer}.attn.hook_pattern"][0, head].numpy()
                columns: dict[str, Any] = {"layer": layer, "head": head}
                columns |= {"prompt_id": prompt.prompt_id, "query": query, "key": key}
                frames.append(pd.DataFrame(columns | {"weight": pattern[query, key]}))
    target = work.folder / "notebook.parquet"
    pd.concat(frames).to_parquet(target)
    target.unlink()


def hugging_face_way(work: Work) -> None:
    """Batches with `output_attentions=True`, polars writes one Parquet file a batch."""
    for number, batch in enumerate(work.batches()):
        with torch.inference_mode():
            attentions = work.eager(input_ids=work.ids(batch), output_attentions=True).attentions
        stacked = torch.stack(attentions).numpy()  # [layer, prompt, head, query, key]
        frames = []
        for row, member in enumerate(batch.members):
            n = len(work.encoded[member])
            query, key = np.tril_indices(n)
            weights = stacked[:, row, :, query, key]  # [cell, layer, head]
            n_cells, n_layers, n_heads = weights.shape
            layer, head = np.indices((n_layers, n_heads)).reshape(2, -1)
            columns = {
                "layer": np.repeat(layer.astype(np.int16), n_cells),
                "head": np.repeat(head.astype(np.int16), n_cells),
                "prompt_id": np.full(weights.size, member, dtype=np.int32),
                "query": np.tile(query.astype(np.int32), n_layers * n_heads),
                "key": np.tile(key.astype(np.int32), n_layers * n_heads),
                "weight": weights.transpose(1, 2, 0).reshape(-1),
            }
            frames.append(pl.DataFrame(columns))
        target = work.folder / f"polars-{number}.parquet"
        pl.concat(frames).write_parquet(target)
        target.unlink()


WAYS: dict[str, Callable[[Work], None]] = {
    BARE: bare_forward,
    OURS: headswap_way,
    NOTEBOOK: notebook_way,
    HUGGING_FACE: hugging_face_way,
}


def figures(n_prompts: int, rounds: int) -> Iterator[Figure]:
    """Short prompts by all ways, long ones by ours and the bare forward; bytes a row."""
    lengths = lengths_between(30, 64, n_prompts)
    with work_on(lengths) as short:
        found = _best(short, WAYS, rounds)
        peaks = {name: peak_of(partial(_once, name, lengths)) for name in WAYS}
        yield Figure(
            f"ingest over bare forward, {short.rows:,} rows",
            found[OURS] / found[BARE],
            1.15,
            1.0,
            peaks=(peaks[OURS], peaks[BARE]),
        )
        for way, bar, reach in ((NOTEBOOK, 5, 8), (HUGGING_FACE, 1, 1)):
            yield Figure(
                f"{way} over ingest",
                found[way] / found[OURS],
                bar,
                reach,
                is_least=True,
                peaks=(peaks[way], peaks[OURS]),
            )
        yield Figure("bytes a row, lossless", _bytes_a_row(short), 3.9, 3.8, " B")
        half = replace(short, model=replace(short.model, precision="float16"))
        yield Figure("bytes a row, float16", _bytes_a_row(half), 2.0, 1.9, " B")
    lengths = [160] * (n_prompts // 4)
    with work_on(lengths) as long:
        found = _best(long, {name: WAYS[name] for name in (BARE, OURS)}, rounds)
        yield Figure(
            f"ingest over bare forward at 160 tokens, {long.rows:,} rows",
            found[OURS] / found[BARE],
            1.4,
            1.1,
            peaks=(peak_of(partial(_once, OURS, lengths)), peak_of(partial(_once, BARE, lengths))),
        )


def growth(n_rows: int, rounds: int) -> Iterator[Figure]:
    """How the time of an ingest grows while the rows double three times."""
    sizes, seconds = [], []
    a_prompt = RELEASED.n_layers * RELEASED.n_heads * 1153  # rows, on average
    for factor in (1, 2, 4, 8):
        with work_on(lengths_between(30, 64, factor * n_rows // a_prompt)) as work:
            sizes.append(work.rows)
            seconds.append(_best(work, {OURS: headswap_way}, rounds)[OURS])
    yield exponent("ingest", sizes, seconds)


def _once(way: str, lengths: list[int]) -> None:
    with work_on(lengths) as work:
        WAYS[way](work)


def _bytes_a_row(work: Work) -> float:
    out = work.folder / "size"
    with redirect_stderr(StringIO()):
        entries = write_attention(work.model, work.prompts, work.encoded, out)
    shutil.rmtree(out)
    return sum(entry.bytes for entry in entries) / sum(entry.rows for entry in entries)


def _best(work: Work, ways: dict[str, Callable[[Work], None]], rounds: int) -> dict[str, float]:
    works = {name: (lambda way=way: way(work)) for name, way in ways.items()}
    return best(works, rounds)
