"""A GPT-2 whose heads are known because its weights were set by hand: one head is for induction.

The residual stream has three blocks of 64: the token, the position, and what a head writes, all as
one-hot vectors. Layer 0 head 0 looks at the position before and writes which token stands there;
layer 1 head 0 looks where the token of the query was written (Olsson et al. 2022, arXiv
2209.11895). All other heads look at all keys alike.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import GPT2Config, GPT2LMHeadModel

N = 64  # words, positions, and the width of a head
INDUCTION, PREVIOUS = (1, 0), (0, 0)  # layer, head
WORDS = ("the", *(f"{a}{b}" for a in "abcdefgh" for b in "stuvwxy"), "runs", "sits", "eats")


def write_planted_model(folder: Path, sharpness: float = 0.6) -> Path:
    """Writes the model and its tokenizer.

    sharpness: of the induction head; 0.6 puts about 0.8 of its weight where it belongs.
    """
    width = 3 * N
    names = {"bos_token_id": None, "eos_token_id": None}
    config = GPT2Config(
        vocab_size=N, n_positions=N, n_embd=width, n_layer=2, n_head=3, resid_pdrop=0.0, **names
    )
    model = GPT2LMHeadModel(config)
    token, position, written = (slice(n * N, (n + 1) * N) for n in range(3))
    eye = torch.eye(N)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
        model.transformer.wte.weight[:, token] = eye
        model.transformer.wpe.weight[:, position] = eye
        first, second = (block.attn for block in model.transformer.h)
        # Queries, keys and values of head 0 are the first N columns of each third.
        query, key, value = (slice(n * width, n * width + N) for n in range(3))
        first.c_attn.weight[position, query] = eye.roll(-1, dims=1)
        first.c_attn.weight[position, key] = eye
        first.c_attn.weight[token, value] = eye
        first.c_proj.weight[:N, written] = eye / 10
        second.c_attn.weight[token, query] = sharpness * eye
        second.c_attn.weight[written, key] = eye
    model.save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate((*WORDS, "[UNK]"))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
