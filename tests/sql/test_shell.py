"""The prompt of `headswap sql`: as a function, and as a process in a real terminal."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.console.examples import examples
from sql.console.shell import Completer, run_shell
from sql.graph.catalog import relations
from sql.session import Session, open_session
from tests.support.running import Run
from tests.support.services.terminal import CTRL_C, CTRL_D, TAB, UP, Terminal, terminal
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
    assert "there is no command .nonsense\nHint: .help lists them" in err


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
    for words in (".quit", "quit", "exit;", "EXIT", ".exit"):
        talk(session, words, "select 1;")
    assert capsys.readouterr().out == ""


def test_what_is_typed_in_other_programs_is_understood(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(session, "help", "\\q", ".view", ".describe profile")
    out, err = capsys.readouterr()
    assert ".describe VIEW" in out
    assert "there is no command \\q\nHint: .help lists them" in err
    assert "there is no command .view\nHint: did you mean .views? .help lists them" in err
    assert "there is no relation 'profile'\nHint: did you mean profiles?" in err


def test_comments_and_several_statements_are_read_as_duckdb_reads_them(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(
        session,
        "-- a comment alone begins nothing",
        "select 41 as n; -- the answer",
        "select 42 as n; select ';' as semicolon /* ; */; select 43",
        "as n;",
        "select '\udc80';",
    )
    out, err = capsys.readouterr()
    assert [line.strip() for line in out.splitlines()[2::3]] == ["41", "42", ";", "43"]
    assert "the query is no UTF-8 text" in err
    assert err.count("1 row in ") == 4


def test_a_plan_is_printed_as_duckdb_draws_it(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(session, "explain select count(*) as n from models;")
    out, _ = capsys.readouterr()
    ((_, drawing),) = session.connection.execute(
        "explain select count(*) as n from models"
    ).fetchall()
    assert out == drawing
    assert "explain_value" not in out


def test_completion_knows_views_columns_models_heads_and_commands(session: Session) -> None:
    complete = Completer(session)

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
    # As SQL wants them, whether the quote was typed or not.
    assert words("stan") == words("'stan") == ["'standard'"]
    assert words("L1H") == words("'L1H") == ["'L1H0'", "'L1H1'", "'L1H2'"]


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


@pytest.fixture(scope="module")
def shell(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """The prompt in a terminal 60 columns wide, which the tests below share."""
    home = str(tmp_path_factory.mktemp("home"))
    command = [sys.executable, "-m", "headswap", "sql", str(dataset)]
    with terminal(command, {"XDG_STATE_HOME": home}, columns=60) as opened:
        opened.read_until("headswap> ")
        yield opened


def ask(shell: Terminal, text: str) -> list[str]:
    """Types a line and returns the lines of its answer, the one that was typed left out."""
    shell.type(f"{text}\n")
    return shell.read_until("headswap> ").split("\r\n")[1:-1]


def test_in_a_terminal_the_tab_key_completes_views_models_and_heads(shell: Terminal) -> None:
    shell.type(f"select count(*) as n_found from similarity_r{TAB};\n")
    seen = shell.read_until("headswap> ")
    assert "similarity_ranking" in seen
    assert "432" in seen  # 6 x 6 heads, both orders, six similarities
    shell.type(f"select head_id from heads where model = stan{TAB} and label = 'L1H2{TAB};\n")
    seen = shell.read_until("headswap> ")
    assert "model = 'standard'" in seen
    assert "label = 'L1H2'" in seen
    assert "1 row in" in seen


def test_in_a_terminal_ctrl_c_while_typing_forgets_the_line(shell: Terminal) -> None:
    shell.type("select 1 +\n")
    shell.read_until("...> ")
    shell.type(f"2 + nonsense{CTRL_C}")
    shell.read_until("headswap> ")
    assert ask(shell, "select 40 + 2 as n;")[2].strip() == "42"


def test_in_a_terminal_ctrl_c_stops_a_query(shell: Terminal) -> None:
    shell.type("select sum(a.range * b.range) from range(10000000) a, range(10000000) b;\n")
    shell.read_until("b;\r\n")
    time.sleep(0.5)
    began = time.monotonic()
    shell.type(CTRL_C)
    assert "interrupted" in shell.read_until("headswap> ")
    assert time.monotonic() - began < 10
    assert ask(shell, "select 40 + 2 as n;")[2].strip() == "42"


def test_in_a_terminal_ctrl_c_ends_the_printing_of_a_long_result(shell: Terminal) -> None:
    ask(shell, ".rows all")
    shell.type("select range as n from range(100000000);\n")
    shell.read_until("\r\n1000\r\n")
    shell.type(CTRL_C)
    assert "interrupted" in shell.read_until("headswap> ")
    ask(shell, ".rows 50")
    assert ask(shell, "select 40 + 2 as n;")[2].strip() == "42"


def test_in_a_terminal_a_long_result_is_cut_and_a_wide_one_fitted(shell: Terminal) -> None:
    lines = ask(shell, "select range as n from range(60);")
    assert [line.strip() for line in lines[2:-1]] == [str(number) for number in range(50)]
    assert lines[-1].startswith("the first 50 rows in ")
    lines = ask(shell, "select *, repeat('long ', 20) as words from models order by model;")
    assert max(map(len, lines[:4])) <= 60
    assert lines[0].startswith("model ")
    assert re.match(r"no room for .*words: widen the terminal", "".join(lines[4:]))
    narrow = ask(shell, "select model, repeat('漢字 ', 20) as words from models;")
    assert narrow[2].endswith("…")
    # Wide characters take two columns.
    assert len(narrow[2]) < 45 < len(narrow[1]) <= 60


def test_in_a_terminal_the_history_is_found_by_the_next_prompt(
    dataset: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "headswap", "sql", str(dataset)]
    with terminal(command, {"XDG_STATE_HOME": str(tmp_path)}) as first:
        first.read_until("headswap> ")
        ask(first, "select 40 + 2 as n;")
        first.type("exit\n")
        assert first.wait() == 0
    assert "select 40 + 2 as n;\n" in (tmp_path / "headswap" / "history").read_text()
    with terminal(command, {"XDG_STATE_HOME": str(tmp_path)}) as second:
        second.read_until("headswap> ")
        second.type(f"{UP}{UP}\n")
        assert "42" in second.read_until("1 row in ")
        second.read_until("headswap> ")
        second.type(CTRL_D)
        assert second.wait() == 0


def test_a_long_answer_is_cut_and_says_so(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "select range from range(60);"
    talk(session, query, ".rows 3", query, ".rows all", query, ".rows many", ".rows 0")
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == (2 + 50) + (2 + 3) + (2 + 60)
    said = r"rows in 0\.\d\d s, there are more: \.rows N or \.rows all shows more"
    assert re.search(f"^the first 50 {said}$", err, re.M)
    assert re.search(f"^the first 3 {said}$", err, re.M)
    assert re.search(r"^60 rows in 0\.\d\d s$", err, re.M)
    assert "'many' is not a number of rows" in err
    assert "'0' is not a number of rows" in err


def test_no_progress_bar_is_drawn_into_the_data(session: Session) -> None:
    """DuckDB draws one on stdout when a query takes 2 s."""
    (row,) = session.rows("select current_setting('enable_progress_bar') as is_drawn")
    assert row["is_drawn"] is False
