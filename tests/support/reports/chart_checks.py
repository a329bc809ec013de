"""Each chart of a page held against the rows of the query that it links to."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest

from reports.data.verdicts import p_text
from tests.support.reports.beside import Beside, close, counts, dot, index
from tests.support.reports.links import numbers, rows_of, spec, text


def profile(beside: Beside) -> None:
    shown: dict[str, list[float]] = {}
    for point in beside.data():
        shown.setdefault(point["head"], []).append(point["mass"])
    queried: dict[str, list[float]] = {}
    for row in beside.rows:
        queried.setdefault(f"{row['model']} {index(row)}", []).append(row["mass"])
    assert shown.keys() == queried.keys()
    for head, masses in shown.items():
        assert masses == [close(mass) for mass in queried[head]]
    if found := re.search(r"cosine (-?[\d.]+)$", beside.caption):
        a, b = queried.values()
        cosine = dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))
        digits = len(found[1].partition(".")[2])
        assert float(found[1]) == pytest.approx(cosine, abs=0.51 * 10**-digits)


def pattern(beside: Beside) -> None:
    by_query: dict[int, dict[int, float]] = {}
    structural: dict[int, float] = {}
    for row in beside.rows:
        by_query.setdefault(row["query"], {})[row["key"]] = row["weight"]
        mass = row["weight"] if row["is_structural"] else 0
        structural[row["query"]] = structural.get(row["query"], 0) + mass
    for shown in beside.data():
        weights = dict(zip(shown["key"], shown["weight"], strict=True))
        assert weights == pytest.approx(by_query[shown["query"]], abs=5.1e-5)
    del structural[0]
    share = sum(structural.values()) / len(structural)
    assert f"{share:.0%} of its attention goes to structural tokens" in beside.caption


def groups(beside: Beside) -> None:
    shown = {point["pair"]: point["alike"] for point in beside.data()}
    queried = {f"{r['model_a']} and {r['model_b']}": r["mean_best_match"] for r in beside.rows}
    assert shown == pytest.approx(queried, abs=1e-6)


def chance(beside: Beside) -> None:
    sets = {
        frozenset(points[0]): points for points in rows_of(beside.root, beside.link.chart or "")
    }
    (band,) = next(points for keys, points in sets.items() if "from" in keys)
    assert [band["from"], band["to"]] == [close(beside.row[n]) for n in ("null_mean", "null_high")]
    match, *same = next(points for keys, points in sets.items() if "cosine" in keys)
    for shown, queried in (("cosine", "value"), ("low", "low"), ("high", "high")):
        assert match[shown] == close(beside.row[queried])
    wanted = [beside.row[f"same_index_{side}"] for side in ("reference", "match")]
    assert [point["cosine"] for point in same] in ([], [close(value) for value in wanted])
    assert p_text(beside.row["p_family"]) in beside.caption


def matrix(beside: Beside) -> None:
    shown = [
        value
        for row in max(rows_of(beside.root, beside.link.chart or ""), key=len)
        if "cosine" in row
        for value in row["cosine"]
    ]
    assert shown == pytest.approx([row["value"] for row in beside.rows], abs=5.1e-5)


def migration(beside: Beside) -> None:
    shown = {line["from"]: (line["to"], line["cosine"]) for line in beside.data()}
    assert shown == {index(r, "_a"): (index(r, "_b"), close(r["value"])) for r in beside.rows}
    ((n_beyond, n_heads),) = counts(beside.caption)
    assert n_beyond == sum(row["p_family"] <= 0.05 for row in beside.rows)
    assert n_heads == len(beside.rows)


def nearest(beside: Beside) -> None:
    assert counts(beside.caption, r"The (\d+) heads") == [(len(beside.rows),)]
    head = beside.caption.split()[-1]
    parameters = {
        entry["name"]: entry["value"]
        for entry in spec(beside.root, beside.link.chart or "")["params"]
    }
    cosines = beside.data()[parameters["heads_a"].index(head)]["cosine"]
    by_head = dict(zip(parameters["heads_b"], cosines, strict=True))
    best = sorted(by_head.values(), reverse=True)[: len(beside.rows)]
    assert [row["value"] for row in beside.rows] == pytest.approx(best, abs=5.1e-5)
    for row in beside.rows:
        assert by_head[index(row, "_b")] == pytest.approx(row["value"], abs=5.1e-5)


def distribution(beside: Beside) -> None:
    bars = next(p for p in rows_of(beside.root, beside.link.chart or "") if "pairs" in p[0])
    angles = [math.degrees(math.acos(min(1, round(row["value"], 6)))) for row in beside.rows]
    # What stands on an edge may count to either side.
    for bar in bars:
        inside = [bar["start"] + 1e-4 < angle < bar["end"] - 1e-4 for angle in angles]
        near = [bar["start"] - 1e-4 < angle < bar["end"] + 1e-4 for angle in angles]
        assert sum(inside) <= bar["pairs"] <= sum(near)
    assert sum(bar["pairs"] for bar in bars) == len(beside.rows)
    ((n_as_alike, n_pairs),) = counts(beside.caption)
    assert n_pairs == len(beside.rows)
    a, b = re.findall(r"(L\d+H\d+)", beside.caption)
    (match,) = (r for r in beside.rows if (index(r, "_a"), index(r, "_b")) == (a, b))
    assert n_as_alike == match["n_as_alike"]


def effects(beside: Beside) -> None:
    shown = {point["name"]: point for point in beside.data()}
    assert len(shown) == len(beside.rows)
    for row in beside.rows:
        point = shown[index(row)]
        named = {"change": "mean_delta_loss_nats", "low": "low", "high": "high"}
        named |= {"kl": "mean_kl_nats", "rank": "rank"}
        for ours, theirs in named.items():
            assert point[ours] == close(row[theirs])


def work(beside: Beside) -> None:
    shown = {point["name"]: point["change"] for point in beside.data()}
    queried = {f"{row['model']} {index(row)}": row["mean_delta_loss_nats"] for row in beside.rows}
    assert shown == pytest.approx(queried, abs=1e-6)


def agreement(beside: Beside) -> None:
    points = next(p for p in rows_of(beside.root, beside.link.chart or "") if "name" in p[0])
    shown = {point["name"]: (point["exact"], point["estimate"]) for point in points}
    names = ("mean_delta_loss_nats", "mean_estimated_delta_loss_nats")
    assert shown == {index(row): tuple(close(row[n]) for n in names) for row in beside.rows}


def seeds(beside: Beside) -> None:
    shown = {(p["seed"], p["state"] != "whole"): p["correlation"] for p in beside.data()}
    queried = {(r["seed"], r["ablation"] != "none"): r["spearman"] for r in beside.rows}
    assert shown == pytest.approx({key: queried[key] for key in shown}, abs=1e-6)
    assert len(shown) <= len(queried)


def readout(beside: Beside) -> None:
    shown = {(point["model"], point["layer"]): point["probability"] for point in beside.data()}
    queried = {(row["model"], row["layer"]): row["mean_probability"] for row in beside.rows}
    assert shown == pytest.approx(queried, abs=1e-6)


def trend(beside: Beside) -> None:
    queried = {(row["model"], index(row)): row for row in beside.rows}
    for point in beside.data():
        row = queried[point["model"], point["head"]]
        for name in ("step", "value", "low", "high"):
            assert point[name] == close(row[name])
    table = {
        (text(cells[-4]).split()[-1], *numbers(cells[-3]), *numbers(cells[-2]))
        for cells in beside.table()
    }
    best = beside.rows[0]
    assert (index(best), close(best["first_value"]), close(best["last_value"])) in [
        row for row in table if row[0] == index(best)
    ]


# By how the name of the chart begins.
CHARTS: dict[str, Callable[[Beside], None]] = {
    r"profile": profile,
    r"pattern": pattern,
    r"groups": groups,
    r"chance_": chance,
    r"matrix_": matrix,
    r"migration_": migration,
    r"nearest_": nearest,
    r"distribution_": distribution,
    r"effects_": effects,
    r"work_": work,
    r"agreement_": agreement,
    r"seeds_": seeds,
    r"readout_": readout,
    r"trend_": trend,
}
