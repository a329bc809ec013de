"""What the report says of chance, against the view with the statistics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reports.data import wording
from reports.data.queries import read_report
from reports.site.pages import write_report
from sql.session import open_session
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset


def test_chance_is_that_of_the_statistics(tmp_path: Path) -> None:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    with open_session(dataset) as session:
        claim = read_report(session).pairs[0].claim
        (row,) = session.rows(
            "select * from match_statistics where model_a = 'a' and model_b = 'b' "
            "and layer_a = $layer and head_a = $head",
            {"layer": claim.match.head.layer, "head": claim.match.head.head},
        )
        page = write_report(session, tmp_path / "page").read_text(encoding="utf-8")
    assert claim.chance.mean == pytest.approx(row["null_mean"], abs=1e-8)
    assert claim.chance.high == pytest.approx(row["null_high"], abs=1e-8)
    assert claim.match.p_value == pytest.approx(row["p_family"], abs=1e-8)
    assert claim.chance.n_draws == 1000
    assert f"{round(claim.chance.mean, 6)!r}" in page


@pytest.mark.parametrize(("high", "is_doubted"), [(1.0, True), (-1.0, False)])
def test_a_match_that_chance_reaches_is_read_with_care(
    high: float, is_doubted: bool, tmp_path: Path
) -> None:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=1)]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    with open_session(dataset) as session:
        claim = read_report(session).pairs[0].claim
    changed = replace(claim, chance=replace(claim.chance, high=high))
    assert ("chance does as well" in (wording.doubts(changed) or "")) == is_doubted
