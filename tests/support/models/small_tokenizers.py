"""Small tokenizers of the three kinds in use, trained on words that all of them keep whole."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

_LETTERS = "abcdefghij"
_CORPUS = [f"{a}{b}{a} {b}{b}{a} " * 20 for a in _LETTERS for b in _LETTERS]


def byte_level() -> Tokenizer:
    """As GPT-2's: the space before a word is the word's, and nothing is added."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return tokenizer


def with_sentence_start() -> Tokenizer:
    """As Llama's: spaces are written out, one before the text, and <s> comes first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<s>"], show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    start = [("<s>", tokenizer.token_to_id("<s>"))]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=start)
    return tokenizer


def word_pieces() -> Tokenizer:
    """As BERT's: words without their space, [CLS] before and [SEP] after a text."""
    special = ["[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in special[1:]]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer
