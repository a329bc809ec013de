"""What a report says of its dataset's origin: the commands were run, and made the same again."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from ingest.dataset.writer import file_entry
from ingest.prompts.prompt_set import PAIRED_TASKS
from reports.data.provenance import DATASET, FOLDER, PROMPTS, Provenance, read_provenance
from reports.data.queries import read_report
from reports.site.pages import write_report
from sql.parameters import Parameters
from sql.session import open_session
from tests.support.models.planted import write_planted_model
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


def _provenance(dataset: Path, parameters: Parameters | None = None) -> Provenance:
    with open_session(dataset, parameters) as session:
        return read_provenance(session, read_report(session))


def test_the_commands_make_dataset_and_report_again(
    demo_dataset: Path, run: Run, tmp_path: Path
) -> None:
    parameters = Parameters(bins=10, pairs=(("standard", "adhd"),))
    with open_session(demo_dataset, parameters) as session:
        write_report(session, tmp_path / "first")
    places = {PROMPTS: str(PAIRED_TASKS), DATASET: str(tmp_path / "again")}
    places[FOLDER] = str(tmp_path / "second")
    for command in _provenance(demo_dataset, parameters).commands:
        name, *words = shlex.split(command)
        assert name == "headswap"
        assert run(*(places.get(word, word) for word in words)).code == 0
    assert read_manifest(tmp_path / "again") == read_manifest(demo_dataset)
    pages = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert len(pages) == 8
    for page in pages:
        # DuckDB writes the same rows as other bytes.
        first, second = (
            re.sub(rb'(?<=id="ask-rows">)[^<]*', b"", (tmp_path / folder / page).read_bytes())
            for folder in ("first", "second")
        )
        assert first == second


def test_the_command_of_a_probe_names_it(run: Run, tmp_path: Path) -> None:
    model = write_planted_model(tmp_path / "model")
    words = ["ingest", f"--model=a={model}", "--prompts=probe:repeated,prompts=2,length=5"]
    assert run(*words, f"--out={tmp_path / 'first'}").code == 0
    ingest, _ = _provenance(tmp_path / "first").commands
    assert PROMPTS not in ingest
    places = {DATASET: str(tmp_path / "again")}
    again = [places.get(word, word) for word in shlex.split(ingest)[1:]]
    assert run(*again).code == 0
    assert read_manifest(tmp_path / "again") == read_manifest(tmp_path / "first")


def test_models_that_ran_differently_take_a_command_each(tmp_path: Path) -> None:
    models = [SyntheticModel(name, seed=seed) for seed, name in enumerate("abc")]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    manifest = read_manifest(dataset)
    a, b, c = manifest.models
    b = replace(b, source="org/name@main", revision="0123abc", dtype="bfloat16")
    entries = (a, replace(b, trust_remote_code=True), replace(c, precision="float16"))
    commit(dataset, replace(manifest, models=entries, structural="[.:]"))
    found = _provenance(dataset)
    *ingests, report = found.commands
    given = f"--prompts {PROMPTS} --variant standard --structural '[.:]' --device cpu"
    assert ingests == [
        f"headswap ingest --model a={a.source} {given} --out DATASET",
        f"headswap ingest --model b=org/name@0123abc {given} --dtype bfloat16 "
        "--trust-remote-code --out DATASET",
        f"headswap ingest --model c={c.source} {given} --precision float16 --out DATASET",
    ]
    assert report.startswith("headswap report DATASET --out DIR")


def test_rows_that_are_not_sound_are_shown(tmp_path: Path) -> None:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    manifest = read_manifest(dataset)
    (path,) = [entry.path for entry in manifest.files_of("attention", "b")]
    rows = pq.read_table(dataset / path, partitioning=None)
    index = rows.schema.get_field_index("weight")
    larger = pc.multiply(rows["weight"], 1.5).cast(rows.schema.field("weight").type)
    size = pq.read_metadata(dataset / path).row_group(0).num_rows
    damaged = rows.set_column(index, rows.schema.field(index), larger)
    pq.write_table(damaged, dataset / path, row_group_size=size)
    (kept,) = manifest.files_of("attention", "a")
    attention = (kept, file_entry(dataset, path, len(rows), "b"))
    commit(dataset, replace(manifest, tables=manifest.tables | {"attention": attention}))
    assert [check.is_sound for check in _provenance(dataset).checks] == [True, False]
    with open_session(dataset) as session:
        write_report(session, tmp_path / "pages")
    page = (tmp_path / "pages" / "data.html").read_text()
    assert page.count("<td>sound</td>") == page.count("<td>not sound</td>") == 1
