"""Probes: prompts of random words that every tokenizer at hand cuts alike, and what they find."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from ingest.kernel.errors import InputError
from ingest.prompts.probes import KINDS, Probe, check_cut_alike, make_probe
from ingest.prompts.sequence import encode_prompt
from sql.session import open_session
from tests.support.models.planted import INDUCTION, PREVIOUS, WORDS, write_planted_model
from tests.support.models.small_tokenizers import byte_level, with_sentence_start, word_pieces
from tests.support.running import REFERENCE, Run

TOKENIZERS = {"bytes": byte_level(), "start": with_sentence_start(), "pieces": word_pieces()}
ALL = [TOKENIZERS, *({name: tokenizer} for name, tokenizer in TOKENIZERS.items())]


@pytest.mark.parametrize("tokenizers", ALL, ids=["all", *TOKENIZERS])
def test_every_tokenizer_cuts_repeats_into_the_same_tokens(tokenizers: dict[str, Tokenizer]):
    probe = Probe("repeated", prompts=5, length=7)
    prompts = make_probe(probe, tokenizers)
    assert len({prompt.text for prompt in prompts.prompts}) == 5
    check_cut_alike(prompts, tokenizers)
    for tokenizer in tokenizers.values():
        for prompt in prompts.prompts:
            tokens = encode_prompt(tokenizer, prompt, None)
            lead, first, second = (
                [
                    token.token_id
                    for token in tokens
                    if token.step_index == part and token.role != "special"
                ]
                for part in (None, 0, 1)
            )
            assert first == second
            assert len(set(first)) == 7
            assert lead[0] not in first
            assert tokenizer.decode(first).split() == (prompt.steps or ("",))[0].split()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_sink_has_its_first_token_again_in_the_middle(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    prompts = make_probe(Probe("sink", prompts=6, length=8), {name: tokenizer})
    firsts = set()
    for prompt in prompts.prompts:
        tokens = encode_prompt(tokenizer, prompt, None)
        again = [n for n, token in enumerate(tokens) if token.token_id == tokens[0].token_id]
        has_front = tokens[0].role == "special"
        assert has_front == (name != "bytes")
        assert again == [0, 5]
        assert tokens[5].step_index == (1 if has_front else 2)
        firsts.add(tokens[0].token_id)
    assert len(firsts) == (6 if name == "bytes" else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_is_the_same_whenever_it_is_made(kind: str) -> None:
    def made(seed: int, *names: str) -> list[str]:
        prompts = make_probe(
            Probe(kind, prompts=4, length=6, seed=seed), {name: TOKENIZERS[name] for name in names}
        )
        return [row["prompt_key"] for row in prompts.rows()]

    assert made(1, "bytes") == made(1, "bytes")
    assert made(1, "bytes") != made(2, "bytes")
    if kind == "repeated":
        assert made(1, "bytes", "start") == made(1, "start", "bytes")


def test_tokenizers_that_share_no_probe_are_refused() -> None:
    with pytest.raises(InputError, match=r"(?m)share \d+$"):
        make_probe(Probe("repeated", length=1000), TOKENIZERS)
    with pytest.raises(InputError, match="bytes with none, start with <s>, pieces with \\[CLS\\]"):
        make_probe(Probe("sink"), TOKENIZERS)


def test_a_model_that_cuts_the_words_of_a_dataset_is_refused(run: Run, tmp_path: Path) -> None:
    out, planted = tmp_path / "d", write_planted_model(tmp_path / "planted")
    probe = "--prompts=probe:repeated,prompts=3,length=6"
    assert run("ingest", f"--model=a={planted}", probe, f"--out={out}").code == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    outcome = run("ingest", f"--model=b={REFERENCE / 'adhd'}", probe, f"--out={out}")
    assert outcome.code == 2
    assert "the tokenizer of 'b' cuts the 12 words of" in outcome.err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    # One whose tokenizer is the same is added, with the words that are there.
    other = write_planted_model(tmp_path / "other", sharpness=0.9)
    assert run("ingest", f"--model=b={other}", probe, f"--out={out}").code == 0
    assert run("verify", out).code == 0
    (out / "prompts.parquet").unlink()
    assert run("verify", out, "--repair").code == 0
    assert (out / "prompts.parquet").read_bytes() == before[out / "prompts.parquet"]


def test_the_probe_finds_the_planted_head_and_natural_text_does_not(
    run: Run, tmp_path: Path
) -> None:
    """In "the as the bs the" what followed the last "the" is the token before the query."""
    model = f"--model=a={write_planted_model(tmp_path / 'model')}"
    nouns = WORDS[1:-3]
    texts = [f"the {nouns[n]} the {nouns[n + 1]} the {nouns[n + 2]} runs" for n in range(20)]
    (tmp_path / "text.txt").write_text("\n".join(texts))
    found: dict[str, dict[tuple[int, int], dict[str, float]]] = {}
    for prompts in (tmp_path / "text.txt", "probe:repeated,prompts=20,length=15"):
        out = tmp_path / f"dataset-{len(found)}"
        assert run("ingest", model, f"--prompts={prompts}", f"--out={out}").code == 0
        with open_session(out) as session:
            rows = session.rows(
                "select layer, head, value, low, high from head_scores where score = 'induction' "
                "order by value desc"
            )
        found[out.name] = {(row["layer"], row["head"]): row for row in rows}
    natural, probe = found.values()
    assert next(iter(natural)) == PREVIOUS
    assert next(iter(probe)) == INDUCTION
    others = [row["high"] for head, row in probe.items() if head != INDUCTION]
    assert probe[INDUCTION]["low"] > 2 * max(others)
    assert probe[INDUCTION]["value"] == pytest.approx(0.8, abs=0.15)
    assert probe[PREVIOUS]["value"] < 0.05
