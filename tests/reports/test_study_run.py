"""`headswap run`, run again: remembered, made short where nothing changed, and only there."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

import headswap
from ingest.dataset.reader import open_dataset
from reports.study import basis
from reports.study.runs import Change, PairNumbers, changes, read_runs
from reports.study.study import read_study
from sql.graph.export import write_views
from sql.parameters import Parameters
from sql.session import open_session
from tests.support.page_text import text_of
from tests.support.running import REFERENCE, Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

# Head 3 of adhd's first layer is head 0 of standard's (reference.json).
HOLDS = "standard:L0H0 ~ adhd:L0H3 best match"
# In 10 bins; their cosine in 2 is 0.99.
FAILS = "standard:L0H0 ~ adhd:L1H0 at least 0.9"
STUDY = f"""
dataset = "rows"
report = "page"

[models]
standard = "{REFERENCE / "standard"}"
adhd = "{REFERENCE / "adhd"}"

[prompts]
file = "prompts.jsonl"

[analysis]
reference = "standard:L0H0"
bins = 10
claims = ["{HOLDS}", "{FAILS}"]
"""
PROMPT = {"pair_id": 0, "variant": "standard", "task": "Make tea", "steps": ["Boil water", "Pour"]}
Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that ran once."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "prompts.jsonl").write_text(json.dumps(PROMPT) + "\n")
    (folder / "study.toml").write_text(STUDY)
    assert headswap.main(["run", str(folder / "study.toml")]) == 1
    return folder


@pytest.fixture
def folder(ran: Path, tmp_path: Path) -> Path:
    """A copy of it, times of change included, whose views name its own place."""
    write_views(shutil.copytree(ran, tmp_path / "copy") / "rows")
    return tmp_path / "copy"


def test_second_run_leaves_every_file_alone_but_the_runs(run: Run, folder: Path) -> None:
    before = {path: _state(path) for path in folder.rglob("*") if path.is_file()}
    (first,) = read_runs(folder / "page")
    outcome = run("run", folder / "study.toml")
    assert outcome.code == 1  # a claim does not hold
    assert f"nothing changed since {first.time}" in outcome.err
    assert _stages(outcome.err) == ["ingest"]
    assert str(folder / "page" / "index.html") in outcome.out.splitlines()
    after = {path: _state(path) for path in folder.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} == {_runs_file(folder)}
    assert after.keys() == before.keys()

    _, second = read_runs(folder / "page")
    assert second.unchanged
    assert not first.unchanged
    assert second == replace(first, time=second.time, seconds=second.seconds, unchanged=True)
    outcome = run("run", folder / "study.toml")
    assert f"nothing changed since {first.time}" in outcome.err
    assert len(read_runs(folder / "page")) == 3


def test_a_study_is_unchanged_from_wherever_it_is_run(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert "nothing changed since" in run("run", "study.toml").err


@pytest.mark.parametrize(
    ("claims", "code"), [([], 0), ([HOLDS], 0), ([FAILS, HOLDS], 1)], ids=["none", "true", "false"]
)
def test_an_unchanged_run_ends_as_the_full_one(
    claims: list[str], code: int, run: Run, folder: Path
) -> None:
    path = folder / "study.toml"
    path.write_text(STUDY.replace(json.dumps([HOLDS, FAILS]), json.dumps(claims)))
    full, again = run("run", path), run("run", path)
    assert "nothing changed" not in full.err
    assert "nothing changed" in again.err
    assert full.code == again.code == code
    verified = run("verify", folder / "rows").out
    assert verified in full.out
    assert again.out == full.out.replace(verified, "")
    assert ("1 of 2 claims do not hold" in again.err) == bool(code)


def test_a_run_remembers_the_numbers_of_report_and_claims(run: Run, folder: Path) -> None:
    (remembered,) = read_runs(folder / "page")
    asked = Parameters(bins=10, reference_model="standard", reference_layer=0, reference_head=0)
    with open_session(folder / "rows", asked) as session:
        (swap,) = session.rows(
            "select swap_claims.*, verdicts.p_family from swap_claims inner join verdicts "
            "using (model_a, layer_a, head_a, model_b)"
        )
        assert remembered.dataset == session.dataset.manifest.sha256()
    assert (remembered.models, remembered.n_prompts) == (("standard", "adhd"), 1)
    assert (remembered.headswap, remembered.reference) == (headswap.__version__, "standard:L0H0")
    assert remembered.pairs == (
        PairNumbers(
            model="adhd",
            match=f"adhd:L{swap['layer_b']}H{swap['head_b']}",
            cosine=round(swap["cosine"], 9),
            same_index_reference=round(swap["same_index_cosine_a"], 9),
            same_index_match=round(swap["same_index_cosine_b"], 9),
            p_value=round(swap["p_family"], 9),
            holds=swap["holds"],
        ),
    )
    words = ["--json", "--bins=10", f"--claim={HOLDS}", f"--claim={FAILS}"]
    found = json.loads(run("claims", folder / "rows", *words).out)["claims"]
    rounded = [
        {**row, "value": round(row["value"], 9), "bound": round(row["bound"], 9)} for row in found
    ]
    assert [vars(claim) for claim in remembered.claims] == rounded
    assert {claim.claim: claim.holds for claim in remembered.claims} == {HOLDS: True, FAILS: False}


def _other_variant(folder: Path) -> None:
    other = json.dumps(PROMPT | {"variant": "adhd"})
    (folder / "prompts.jsonl").write_text(f"{json.dumps(PROMPT)}\n{other}\n")


def _comment(folder: Path) -> None:
    (folder / "study.toml").write_text(STUDY + "# to be seen again\n")


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("mine")


def _touch(path: Path) -> None:
    times = path.stat()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))


EDITS: dict[str, Edit] = {
    "prompt file with a prompt that no model reads": _other_variant,
    "edited study": _comment,
    "removed page": lambda folder: (folder / "page" / "index.html").unlink(),
    "edited page": lambda folder: _append(folder / "page" / "index.html"),
    "touched rows": lambda folder: _touch(next(folder.glob("rows/attention/*/*.parquet"))),
    "touched table": lambda folder: _touch(folder / "rows" / "tokens.parquet"),
    "no run remembered": lambda folder: _runs_file(folder).unlink(),
}


@pytest.mark.parametrize("edit", EDITS)
def test_whatever_changed_leads_to_a_full_run(edit: str, run: Run, folder: Path) -> None:
    page = (folder / "page" / "index.html").read_bytes()
    EDITS[edit](folder)
    outcome = run("run", folder / "study.toml")
    assert outcome.code == 1, outcome.err
    assert "nothing changed" not in outcome.err
    assert _stages(outcome.err) == ["ingest", "verify", "report", "claims"]
    assert not read_runs(folder / "page")[-1].unchanged
    assert (folder / "page" / "index.html").read_bytes() == page
    assert "nothing changed" in run("run", folder / "study.toml").err


def test_another_version_leads_to_a_full_run(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headswap.study.__version__", "0.1.1")
    outcome = run("run", folder / "study.toml")
    assert "nothing changed" not in outcome.err
    assert [run.headswap for run in read_runs(folder / "page")] == ["0.1.0", "0.1.1"]


def test_the_fingerprint_is_of_the_code_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(write_synthetic_dataset(tmp_path / "rows", [SyntheticModel("a")]))
    first = basis.basis_of(dataset, "study", "0.1.0")
    assert basis.basis_of(dataset, "study", "0.1.0") == first
    code = tmp_path / "code"
    (code / "sql").mkdir(parents=True)
    (code / "sql" / "profiles.sql").write_text("select 1")
    monkeypatch.setattr(basis, "_ROOT", code)
    second = basis.basis_of(dataset, "study", "0.1.0")
    (code / "sql" / "profiles.sql").write_text("select 2")
    third = basis.basis_of(dataset, "study", "0.1.0")
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3
    assert first.row_files == second.row_files == third.row_files


def test_damaged_rows_are_found_and_are_no_run(run: Run, folder: Path) -> None:
    rows = next(folder.glob("rows/attention/*/*.parquet"))
    content = bytearray(rows.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 64] = bytes(64)
    rows.write_bytes(content)
    outcome = run("run", folder / "study.toml")
    assert outcome.code != 0
    assert _stages(outcome.err) == ["ingest", "verify"]
    assert len(read_runs(folder / "page")) == 1


def test_what_lies_beside_the_data_is_named_and_stops_no_run(run: Run, folder: Path) -> None:
    _comment(folder)
    _append(next(folder.glob("rows/views/**/*.parquet")))
    outcome = run("run", folder / "study.toml")
    assert _stages(outcome.err) == ["ingest", "verify", "report", "claims"]
    assert "is not sound: 1 problem" in outcome.err
    assert len(read_runs(folder / "page")) == 2


def test_models_are_held_against_their_sources_all_the_same(run: Run, folder: Path) -> None:
    source = f'adhd = "{REFERENCE / "adhd"}"'
    other = source.replace("/adhd", "/standard")
    (folder / "study.toml").write_text(STUDY.replace(source, other))
    outcome = run("run", folder / "study.toml")
    assert outcome.code == 2
    assert "another model named 'adhd'" in outcome.err
    assert len(read_runs(folder / "page")) == 1


def test_json_has_a_line_a_stage_and_one_of_the_run(run: Run, folder: Path) -> None:
    page = str(folder / "page" / "index.html")
    (folder / "page" / "index.html").unlink()
    full = run("run", folder / "study.toml", "--json")
    ingested, checked, reported, claims, remembered = map(json.loads, full.out.splitlines())
    assert len(ingested["skipped"]) == len(claims["claims"]) == 2
    assert checked == json.loads(run("verify", folder / "rows", "--json").out)
    assert (reported.keys(), reported["page"]) == ({"finding", "page"}, page)
    assert reported["finding"] in text_of(Path(page).read_text(encoding="utf-8"))
    again = run("run", folder / "study.toml", "--json")
    assert json.loads(again.out.splitlines()[1]) == reported
    unchanged = json.loads(again.out.splitlines()[2])
    lines = _runs_file(folder).read_text().splitlines()
    assert [json.loads(line) for line in lines[1:]] == [remembered, unchanged]
    assert (remembered["unchanged"], unchanged["unchanged"]) == (False, True)
    assert full.code == again.code == 1


def test_a_claim_that_changed_its_verdict_is_flagged(run: Run, folder: Path) -> None:
    (first,) = read_runs(folder / "page")
    (folder / "study.toml").write_text(STUDY.replace("bins = 10", "bins = 2"))
    outcome = run("run", folder / "study.toml")
    flagged = [line for line in outcome.err.splitlines() if " changed since " in line]
    assert f'claim changed since {first.time}: "{FAILS}" failed, now holds' in flagged
    runs = read_runs(folder / "page")
    found = changes(runs)
    assert list(map(str, found)) == flagged
    assert Change(runs[1].time, first.time, "claim", FAILS, holds=True) in found
    again = run("run", folder / "study.toml")
    assert "claim changed" not in again.err
    assert again.code == outcome.code


def test_a_similarity_applies_to_report_and_claims_alike(run: Run, folder: Path) -> None:
    claims = json.dumps([HOLDS, FAILS])
    path = folder / "study.toml"
    path.write_text(STUDY.replace(claims, f'{claims}\nsimilarity = "profile_centred"'))
    outcome = run("run", path)
    assert "Traceback" not in outcome.err
    remembered = read_runs(folder / "page")[-1]
    assert {claim.similarity for claim in remembered.claims} == {"profile_centred"}
    asked = read_study(str(path)).analysis
    with open_session(folder / "rows", asked) as session:
        (match,) = session.rows(
            "select value from matches where model_a = 'standard' and layer_a = 0 and head_a = 0"
        )
        (swap,) = session.rows("select cosine from swap_claims")
    report = (folder / "page" / "swaps.html").read_text(encoding="utf-8")
    assert f'<data value="{round(match["value"], 9)!r}">' in report
    assert [pair.cosine for pair in remembered.pairs] == [round(swap["cosine"], 9)]
    assert all(pair.p_value is not None for pair in remembered.pairs)
    shown = [line for line in outcome.err.splitlines() if line.startswith("$ headswap ")]
    assert ["--similarity=profile_centred" in line for line in shown] == [False, False, True, True]
    page = (folder / "page" / "index.html").read_bytes()
    assert run(*shlex.split(shown[2])[2:]).code == 0
    assert (folder / "page" / "index.html").read_bytes() == page


def test_pages_and_claims_read_the_rows_in_one_session(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = duckdb.connect
    opened: list[duckdb.DuckDBPyConnection] = []

    def connect_and_log(database: str, **settings: Any) -> duckdb.DuckDBPyConnection:
        connection = connect(database, **settings)
        connection.execute("set enable_external_file_cache = false")
        connection.execute("call enable_logging('FileSystem')")
        opened.append(connection)  # stays open when the run closes its cursor
        return connection.cursor()

    monkeypatch.setattr(duckdb, "connect", connect_and_log)
    _comment(folder)
    assert "nothing changed" not in run("run", folder / "study.toml").err

    def bytes_read(connection: duckdb.DuckDBPyConnection) -> int:
        (n_bytes,) = connection.execute(
            "select coalesce(sum(bytes), 0) from duckdb_logs_parsed('FileSystem') "
            "where op = 'READ' and path like '%/attention/%'"
        ).fetchall()[0]
        return int(n_bytes)

    (session,) = filter(bytes_read, opened)  # the others only parse
    before = bytes_read(session)
    assert before > 0
    assert len(session.execute("select * from row_checks").fetchall()) == 2
    assert bytes_read(session) == before
    # The log does count: another pass over the rows is seen.
    session.execute("select sum(weight) from attention").fetchall()
    assert bytes_read(session) > before


def test_an_unchanged_run_loads_nothing_that_takes_long(folder: Path) -> None:
    code = (
        "import json, sys, headswap; code = headswap.main(sys.argv[1:]); "
        "print(json.dumps([code, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    words = [sys.executable, "-c", code, "run", str(folder / "study.toml")]
    process = subprocess.run(
        words, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert "nothing changed since" in process.stderr
    code, modules = json.loads(process.stdout.splitlines()[-1])
    assert code == 1
    heavy = {"altair", "duckdb", "pandas", "polars", "scipy", "torch", "transformers", "vl_convert"}
    assert heavy & set(modules) == set()


def test_a_malformed_record_stops_a_run_before_it_begins(run: Run, folder: Path) -> None:
    file = _runs_file(folder)
    file.write_text(f"nothing\n{file.read_text()}")
    before = file.read_bytes()
    outcome = run("run", folder / "study.toml")
    assert outcome.code == 2
    assert f"{file}, line 1: not the record of a run" in outcome.err
    assert _stages(outcome.err) == []
    assert file.read_bytes() == before


def test_a_torn_record_is_told_and_the_run_goes_on(run: Run, folder: Path) -> None:
    file = _runs_file(folder)
    torn = file.read_bytes() + b'{"time": "2026-11-2'
    file.write_bytes(torn)
    outcome = run("run", folder / "study.toml")
    assert "line 2 torn, by a run that was stopped; 1 run counted" in outcome.err
    assert "nothing changed since" in outcome.err
    assert file.read_bytes().startswith(torn + b"\n")
    assert len(read_runs(folder / "page")) == 2


def test_a_study_is_identified_by_its_text_and_its_prompts(folder: Path) -> None:
    def identified() -> str:
        return read_study(str(folder / "study.toml")).sha256()

    first = identified()
    _other_variant(folder)
    second = identified()
    _comment(folder)
    assert len({first, second, identified()}) == 3


def _runs_file(folder: Path) -> Path:
    return folder / "page" / "runs.jsonl"


def _state(path: Path) -> tuple[bytes, int]:
    return path.read_bytes(), path.stat().st_mtime_ns


def _stages(err: str) -> list[str]:
    """The commands that a run showed."""
    return [line.split()[2] for line in err.splitlines() if line.startswith("$ headswap ")]
