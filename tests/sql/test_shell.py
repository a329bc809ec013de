"""The prompt of `headswap sql`: as a function, and as a process in a real terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.console.examples import examples
from sql.console.shell import complete, run_shell
from sql.graph.catalog import relations
from sql.session import Session, open_session
from tests.support.running import Run
from tests.support.services.terminal import CTRL_D, TAB, terminal
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("standard"), SyntheticModel("adhd", seed=1)]
    return write_synthetic_dataset(tmp_path_factory.mktemp("shell") / "dataset", models)


@pytest.fixture(scope="module")
def session(dataset: Path) -> Iterator[Session]:
    with open_session(dataset) as opened:
        yield opened


def talk(session: Session, *lines: str) -> None:
    """Types lines into the prompt, then ends the input; an exception is raised in its place."""
    typed = iter(lines)

    def read(prompt: str) -> str:
        try:
            line = next(typed)
        except StopIteration:
            raise EOFError from None
        if line == "^C":
            raise KeyboardInterrupt
        return line

    run_shell(session, read)


def test_a_query_may_take_several_lines(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(session, "select count(*) as n", "", "from models", ";")
    assert "2" in capsys.readouterr().out.splitlines()[-1]


def test_a_mistake_costs_a_line_and_not_the_session(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(session, "selec 1;", "^C", "select 1 +", "^C", "select 40 + 2 as n;", ".nonsense")
    out, err = capsys.readouterr()
    assert "42" in out
    assert "the query failed" in err
    assert "no command .nonsense" in err


def test_commands_tell_what_there_is(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    talk(session, ".views", ".describe profiles", ".examples", ".help", ".describe none")
    out, err = capsys.readouterr()
    for name in relations():
        assert f"\n  {name} " in out
    assert "one row per model, layer, head, bin" in out
    assert examples()[0].question in out
    assert ".describe VIEW" in out
    assert "no relation 'none'" in err


def test_quit_leaves(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    talk(session, ".quit", "select 1;")
    assert capsys.readouterr().out == ""


def test_completion_knows_views_columns_and_commands() -> None:
    def words(text: str) -> list[str]:
        found: list[str] = []
        while word := complete(text, len(found)):
            found.append(word)
        return found

    assert words("swap_") == ["swap_claims"]
    assert words("profiles.m") == ["profiles.model", "profiles.mass", "profiles.mass_no_sink"]
    assert words("same_index_c") == [
        "same_index_cosine_a",
        "same_index_cosine_b",
    ]
    assert words(".d") == [".describe"]
    assert words("nothing_like_it") == []


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.question)
def test_every_example_runs(example: object, session: Session) -> None:
    session.rows(example.query)  # type: ignore[attr-defined]


def test_there_are_twenty_examples() -> None:
    assert len(examples()) == 20
    assert len({example.question for example in examples()}) == 20
    assert all(example.question.endswith("?") for example in examples())


def test_without_a_terminal_a_query_is_asked_for(
    dataset: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/null").open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        outcome = run("sql", dataset)
    assert outcome.code == 2
    assert "no query" in outcome.err


def test_in_a_real_terminal(dataset: Path, tmp_path: Path) -> None:
    """Completion by the tab key, an answer, and a history that the next prompt finds."""
    command = [sys.executable, "-m", "headswap", "sql", str(dataset)]
    with terminal(command, {"XDG_STATE_HOME": str(tmp_path)}) as shell:
        shell.read_until("headswap> ")
        shell.type(f"select count(*) as n_found from similarity_r{TAB};\n")
        seen = shell.read_until("headswap> ")
        assert "similarity_ranking" in seen
        assert "432" in seen  # 6 x 6 heads, both orders, six similarities
        shell.type(CTRL_D)
        assert shell.wait() == 0
    assert "similarity_ranking" in (tmp_path / "headswap" / "history").read_text()


def test_a_long_answer_is_cut_and_says_so(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "select range from range(60);"
    talk(session, query, ".rows 3", query, ".rows all", query, ".rows many", ".rows 0")
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == (2 + 50) + (2 + 3) + (2 + 60)
    said = "rows, there are more: .rows N or .rows all shows more"
    assert f"the first 50 {said}" in err
    assert f"the first 3 {said}" in err
    assert "'many' is not a number of rows" in err
    assert "'0' is not a number of rows" in err


def test_no_progress_bar_is_drawn_into_the_data(session: Session) -> None:
    """DuckDB draws one on stdout when a query takes 2 s."""
    (row,) = session.rows("select current_setting('enable_progress_bar') as is_drawn")
    assert row["is_drawn"] is False
