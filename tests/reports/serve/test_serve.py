"""`headswap serve`: the site over HTTP, and who may ask it what."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import headswap
from sql.console.examples import examples
from sql.session import open_session
from tests.reports.ask.conftest import ANSWERED, ask, shown_rows, text
from tests.reports.ask.test_ask import ENDLESS, assert_alike
from tests.reports.serve.conftest import TIMEOUT_SECONDS, Served, question, serving
from tests.support.bad.escapes import (
    EXHAUSTS,
    FILLS,
    READS_OUTSIDE,
    SECRET,
    WRITES,
    secrets_outside,
)
from tests.support.interrupted import content
from tests.support.services.browser import Browser, running_browser
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


@pytest.fixture(scope="module")
def served(small: Path) -> Iterator[Served]:
    with serving(small, "--timeout=2", "--memory-limit=200MB", "--max-rows=50") as running:
        yield running


# --- answers --------------------------------------------------------------------------------


def test_answer_has_the_values_that_a_page_shows(served: Served):
    sql = (
        "select 1 as a, 0.5::decimal(3, 1) as b, 'nan'::double as c, -1e308 * 10 as d, true as e, "
        "null::integer as f, date '2026-01-02' as g, 9007199254740993 as h, [1, null] as i, "
        "{'x': 'y'} as j, '\\x01'::blob as k"
    )
    status, answer = served.ask(sql)
    assert status == 200
    assert [column["name"] for column in answer["columns"]] == list("abcdefghijk")
    kinds = "number number number number truth number time number text text text"
    assert [column["kind"] for column in answer["columns"]] == kinds.split()
    (row,) = answer["rows"]
    assert row == [1, 0.5, "NaN", "-Infinity", True, None, "2026-01-02", "9007199254740993",
                   [1, None], {"x": "y"}, "\\x1"]  # fmt: skip
    assert not answer["is_cut"]


@pytest.mark.parametrize(("n", "n_given"), [(50, 50), (51, 50), (10**7, 50)])
def test_more_rows_than_are_given_are_cut_and_that_is_said(n, n_given, served: Served):
    status, answer = served.ask(f"select * from range({n})")
    assert (status, len(answer["rows"]), answer["is_cut"]) == (200, n_given, n > n_given)


@pytest.mark.parametrize(
    "sql", ["explain select * from heads", "describe profiles", "show tables", "from models"]
)
def test_whatever_reads_is_answered(sql: str, served: Served):
    status, answer = served.ask(sql)
    assert (status, bool(answer["rows"])) == (200, True)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select nothing from heads", "there is no column 'nothing' in heads"),
        ("selec 1", "syntax error"),
        ("", "0 statements instead of one query"),
        ("select 1; select 2", "2 statements instead of one query"),
        ("select '\ud800'", "no UTF-8 text"),
    ],
)
def test_refused_question_says_what_is_wrong(sql, message, served: Served):
    status, answer = served.ask(sql)
    assert status == 400
    assert message in answer["error"]
    assert answer["hint"]


def test_questions_are_about_what_the_options_chose(small: Path):
    with serving(small, "--bins=4") as running:
        _, answer = running.ask("select max(bin) as last from profiles")
    assert answer["rows"] == [[3]]


# --- the sandbox ----------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return secrets_outside(tmp_path)


# Each list as one test: what a question costs is its process, not its check.
@pytest.mark.parametrize("queries", [READS_OUTSIDE, WRITES], ids=["reads", "writes"])
def test_no_question_leaves_the_dataset_or_writes(
    queries, served: Served, small: Path, outside: Path
):
    before = content(small), content(outside)
    for query in queries:
        status, answer = served.ask(query.format(o=outside, d=small))
        assert status == 400, query
        assert SECRET not in json.dumps(answer)
    assert (content(small), content(outside)) == before


@pytest.mark.parametrize("query", [*EXHAUSTS, *FILLS], ids=range(len(EXHAUSTS) + len(FILLS)))
def test_no_question_takes_more_than_it_may(query: str, served: Served):
    began = time.monotonic()
    status, _ = served.request("/{t}/query", "POST", *question(query, served.host))
    assert status in (200, 400, 413, 503)  # 200: the first rows of a result without end
    assert time.monotonic() - began < 60
    assert served.ask("select 1")[0] == 200


# --- who may ask ----------------------------------------------------------------------------

QUESTION, HEADERS = question("select 1", "{host}")
OTHERS = {
    "no token": ("/index.html", "GET", {}, 404),
    "another token": ("/x{t}/index.html", "GET", {}, 404),
    "part of the token": ("/{t:.8}/index.html", "GET", {}, 404),
    "token of another case": ("/{t!l}/index.html", "GET", {}, 404),
    "question without token": ("/query", "POST", HEADERS, 405),
    "question with another token": ("/x/query", "POST", HEADERS, 404),
    "another site": ("/{t}/query", "POST", HEADERS | {"Origin": "http://evil.example"}, 403),
    "another port": ("/{t}/query", "POST", HEADERS | {"Origin": "http://127.0.0.1:1"}, 403),
    "a file": ("/{t}/query", "POST", HEADERS | {"Origin": "null"}, 403),
    "a form": ("/{t}/query", "POST", {"Content-Type": "text/plain"}, 415),
    "a picture of another site": (
        "/{t}/index.html",
        "GET",
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        403,
    ),
    "a form of another site": (
        "/{t}/query",
        "POST",
        HEADERS | {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
        403,
    ),
    "a name that leads here": ("/{t}/index.html", "GET", {"Host": "evil.example"}, 403),
    "question by a name": ("/{t}/query", "POST", HEADERS | {"Host": "evil.example"}, 403),
    "question in an address": ("/{t}/query?sql=select+1", "GET", {}, 405),
    "no such page": ("/{t}/nothing.html", "GET", {}, 404),
    "a folder above": ("/{t}/../../etc/passwd", "GET", {}, 404),
    "a folder above, in code": ("/{t}/%2e%2e%2fetc%2fpasswd.html", "GET", {}, 404),
}


@pytest.mark.parametrize("name", OTHERS)
def test_nobody_else_is_answered(name: str, served: Served):
    path, method, headers, expected = OTHERS[name]
    path = path.replace("{t!l}", served.token.swapcase()).replace("{t:.8}", served.token[:8])
    filled = {key: value.format(host=served.host) for key, value in headers.items()}
    status, answer = served.request(path, method, QUESTION if method == "POST" else None, filled)
    assert status == expected
    assert "columns" not in answer
    assert "<title>" not in answer


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", 400),
        ("[]", 400),
        ('{"sql": 1}', 400),
        ('"select 1"', 400),
        ('{"sql": "' + "x" * 200_000 + '"}', 413),
    ],
    ids=["nothing", "a list", "a number", "a text", "too long"],
)
def test_what_is_no_question_is_refused(body: str, expected: int, served: Served):
    headers = question("", served.host)[1]
    assert served.request("/{t}/query", "POST", body, headers)[0] == expected


def test_link_that_a_person_follows_opens_the_page(served: Served):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.request("/{t}/index.html", headers=headers)[0] == 200


def test_every_answer_keeps_other_sites_out(served: Served):
    connection = served.connect()
    for path in (f"/{served.token}/index.html", "/nothing"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "Access-Control-Allow-Origin" not in answer.headers
    connection.close()


def test_another_session_has_another_token(served: Served, small: Path):
    with serving(small) as other:
        assert other.token != served.token
        assert len(other.token) >= 32
        assert served.request(f"/{other.token}/index.html")[0] == 404


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host=192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--host=nowhere.invalid"], "cannot listen on nowhere.invalid"),
        (["--port=70000"], "70000"),
        (["--timeout=0"], "--timeout 0 is not possible"),
    ],
    ids=["address", "name", "port", "bound"],
)
def test_what_cannot_be_served_is_said(options, message, small: Path, run):
    outcome = run("serve", small, *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""


def test_taken_port_is_said(served: Served, small: Path, run):
    outcome = run("serve", small, f"--port={served.host.rpartition(':')[2]}")
    assert outcome.code == 2
    assert "Address already in use" in outcome.err


# --- several readers ------------------------------------------------------------------------


def test_two_readers_are_answered_at_once(small: Path):
    with serving(small, "--timeout=60") as running:
        threads = [
            threading.Thread(target=running.ask, args=(ENDLESS,), daemon=True),
            threading.Thread(target=running.ask, args=("select 1",), daemon=True),
        ]
        threads[0].start()
        time.sleep(1)
        threads[1].start()
        threads[1].join(timeout=50)
        # The first is still being answered.
        assert [thread.is_alive() for thread in threads] == [True, False]


def test_question_of_a_client_that_has_gone_is_ended(small: Path):
    with serving(small, "--timeout=600") as running:
        gone: list[http.client.HTTPConnection] = []
        for _ in range(2):  # as many as are answered at once
            connection = running.connect()
            connection.request("POST", f"/{running.token}/query", *question(ENDLESS, running.host))
            gone.append(connection)
        time.sleep(2)
        for connection in gone:
            connection.close()
        began = time.monotonic()
        assert running.ask("select 1")[0] == 200
        assert time.monotonic() - began < 60


def test_ctrl_c_ends_it_and_the_questions_with_it(small: Path):
    with serving(small, "--timeout=600") as running:
        connection = running.connect()
        connection.request("POST", f"/{running.token}/query", *question(ENDLESS, running.host))
        time.sleep(1)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=TIMEOUT_SECONDS) == 0
        connection.close()
        assert running.process.stderr
        assert "Traceback" not in running.process.stderr.read()


# --- the pages ------------------------------------------------------------------------------


def test_pages_follow_the_dataset(small: Path, tmp_path: Path):
    dataset = shutil.copytree(small, tmp_path / "dataset")
    more = write_synthetic_dataset(tmp_path / "more", [SyntheticModel("newcomer", seed=3)])
    with serving(dataset) as running:
        assert "newcomer" not in running.request("/{t}/heads.html")[1]
        assert headswap.main(["merge", str(small), str(more), "--out", str(tmp_path / "all")]) == 0
        shutil.rmtree(dataset)
        shutil.move(tmp_path / "all", dataset)
        assert "newcomer" in running.request("/{t}/heads.html")[1]
        assert running.ask("select count(*) as n from models")[1]["rows"] == [[3]]
        shutil.rmtree(dataset)
        status, message = running.request("/{t}/heads.html")
        assert status == 400
        assert "is not a folder" in message


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


def test_page_ask_works_in_a_browser(browser: Browser, demo_dataset: Path):
    with serving(demo_dataset) as running, open_session(demo_dataset) as session:
        tab = browser.open(running.address.replace("index.html", "ask.html"), ready="true")
        tab.wait_for("document.readyState === 'complete' && !!document.getElementById('ask-form')")
        for example in examples()[::4]:
            ask(tab, example.query)
            assert text(tab, "ask-error") == "", example.question
            expected = session.query(example.query)
            assert_alike(shown_rows(tab), expected.fetchall())
        ask(tab, "select 'nan'::double as a, null as b, true as c")
        assert shown_rows(tab) == [["NaN", "null", "true"]]
        ask(tab, "select nothing from heads")
        message, hint = text(tab, "ask-error").split("\n")
        assert message.startswith("there is no column 'nothing' in heads")
        assert hint == "Hint: `headswap views heads` lists the columns"
        tab.evaluate(
            f"(document.getElementById('ask-sql').value = {json.dumps(ENDLESS)},"
            " document.documentElement.dataset.ask = '',"
            " document.getElementById('ask-form').requestSubmit(), true)"
        )
        time.sleep(1)
        tab.evaluate("document.getElementById('ask-stop').click()")
        tab.wait_for(ANSWERED)
        assert text(tab, "ask-status") == "Stopped."
        assert [error for error in tab.errors if "400 (Bad Request)" not in error] == []
        assert all(address.startswith(f"http://{running.host}/") for address in tab.requests)
    ask(tab, "select 1")
    assert "does not answer" in text(tab, "ask-error")


def test_sigterm_leaves_no_pages_behind(small: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving(small) as running:
        assert [path.name for path in tmp_path.glob("headswap-serve-*")]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(TIMEOUT_SECONDS) == 128 + signal.SIGTERM
    assert not list(tmp_path.glob("headswap-serve-*"))
