"""Sentences, tiles and tables of a page held against the rows of the queries that they link to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from reports.data.verdicts import p_text
from tests.support.reports.beside import Beside, Rows, close, counts, index
from tests.support.reports.links import numbers, rows_of, text, with_id


def prompt_counts(beside: Beside) -> None:
    wanted = beside.row["n_analysed"]
    assert re.search(rf"\b{wanted} (prompts|analysed)\b", beside.said)
    stored = re.search(r"(\d+) stored", beside.said)
    assert stored is None or int(stored[1]) == beside.row["n_prompts"]


def card(beside: Beside) -> Element:
    found = beside.link.inside("section")
    assert found is not None
    return found


def counted(beside: Beside) -> tuple[int, ...]:
    """The two numbers that a card shows large."""
    value = next(part for part in card(beside).iter("p") if part.get("class") == "value")
    return counts(text(value))[0]


def verdicts_of_pair(beside: Beside) -> None:
    n_beyond = sum(row["is_beyond_chance"] for row in beside.rows)
    assert counted(beside) == (n_beyond, len(beside.rows))
    assert numbers(card(beside)) == [close(min(row["p_family"] for row in beside.rows))]


def verdict(beside: Beside) -> None:
    assert p_text(beside.row["p_family"]) in beside.said
    if beside.row["p_family"] <= 0.05:
        assert index(beside.row, "_b") in beside.said


def same_index_of_pair(beside: Beside) -> None:
    (whole,) = (row for row in beside.rows if row["layer"] is None)
    assert counted(beside) == (whole["n_same_index"], whole["n_heads"])
    assert p_text(whole["p_value"]) in text(card(beside))


def work_of_pair(beside: Beside) -> None:
    n_beyond = sum(row["p_family"] is not None and row["p_family"] <= 0.05 for row in beside.rows)
    assert counted(beside) == (n_beyond, len(beside.rows))


def work_of_head(beside: Beside) -> None:
    assert p_text(beside.row["p_family"]) in beside.said


def work_counts(beside: Beside) -> None:
    n_beyond, n_heads = beside.row["n_beyond"], beside.row["n_heads"]
    if n_beyond:
        assert f"Of {n_heads} ablated heads" in beside.said
        assert f", {n_beyond} have a head" in beside.said
        assert f"for {beside.row['n_beyond_matched']} of them" in beside.said
    else:
        assert f"None of {n_heads} ablated heads" in beside.said


def counterparts_by_model(beside: Beside) -> None:
    by_model = {row["model_b"]: row for row in beside.rows}
    for cells in beside.table():
        row = by_model[text(cells[0]).split(" and ")[1]]
        assert counts(text(cells[2])) == [(row["n_beyond"], row["n_heads"])]
        assert numbers(cells[3]) == [close(row["smallest_p"])]


def all_verdicts(beside: Beside) -> None:
    for cells in beside.table():
        pair = tuple(text(cells[0]).split(" and "))
        own = [row for row in beside.rows if (row["model_a"], row["model_b"]) == pair]
        assert counts(text(cells[2])) == [(sum(r["is_beyond_chance"] for r in own), len(own))]
        assert numbers(cells[3]) == [close(min(row["p_family"] for row in own))]


def same_index_by_model(beside: Beside) -> None:
    own = [row for row in beside.rows if row.get("layer") is None]
    for cells in beside.table():
        pair = text(cells[0]).split(" and ")
        row = next(r for r in own if [r.get("model_a", pair[0]), r["model_b"]] == pair)
        assert counts(text(cells[4])) == [(row["n_same_index"], row["n_heads"])]
        assert numbers(cells[5]) == [close(row["p_value"])]


def all_works(beside: Beside) -> None:
    headings = [text(part) for part in card(beside).iter("h3")]
    assert headings
    for heading in headings:
        head = re.search(r"work of (\S+) (L\d+H\d+)", heading)
        assert head
        own = [r for r in beside.rows if (r["model_a"], index(r, "_a")) == head.groups()]
        assert any(p_text(row["p_family"]) in heading for row in own)


def all_agreements(beside: Beside) -> None:
    found = {(row["model"], row["kind"]): row for row in beside.rows}
    captions = [text(part) for part in card(beside).iter("figcaption")]
    assert len(captions) == len(found)
    for (model, _), row in found.items():
        shown = f"{row['correlation']:.2f}".replace("-", "−")
        wanted = f"effects of {row['n_heads']} heads correlate at {shown}"
        assert any(caption.startswith(model) and wanted in caption for caption in captions)


def group_tests(beside: Beside) -> None:
    (test,) = (row for row in beside.rows if row["measure"] == "best match")
    section = card(beside)
    wanted = [test[name] for name in ("within", "between", "smallest_p_value")]
    assert numbers(section) == [close(value) for value in wanted]
    assert p_text(test["p_value"]) in text(section)
    assert f"p counts the {test['n_labelings']} ways" in text(section)


def criterion(beside: Beside) -> None:
    article = beside.link.inside("article")
    assert article is not None
    names = ["cosine", "same_index_cosine_a", "same_index_cosine_b"]
    shown = [n for part in article.iter("p") if part.get("class") == "value" for n in numbers(part)]
    wanted = [beside.row[name] for name in (names if beside.row["is_moved"] else names[:1])]
    assert shown == [close(value) for value in wanted]
    assert ("does not hold" in beside.said) != beside.row["holds"]


def criterion_of_all(beside: Beside) -> None:
    n_fulfil = sum(bool(row["holds"]) for row in beside.rows)
    n_defined = sum(row["cosine"] is not None for row in beside.rows)
    assert counts(beside.said)[0] == (n_fulfil, n_defined)


def tile(beside: Beside) -> None:
    around = beside.link.inside("div")
    assert around is not None
    assert numbers(around) == [close(beside.row["value"])]


def chance_of_match(beside: Beside) -> None:
    names = ("null_mean", "null_high", "p_family")
    assert beside.shown == [close(beside.row[name]) for name in names]
    assert f"{beside.row['n_draws']:,} times" in text(beside.root)


def spread(beside: Beside) -> None:
    assert beside.shown == [close(beside.row[name]) for name in ("median", "percentile_95")]
    facts = beside.link.inside("dl")
    assert facts is not None
    assert f"All {beside.row['n_pairs']:,} pairs of heads" in text(facts)
    assert (beside.row["n_as_alike"], beside.row["n_pairs"]) in counts(text(facts))


def as_alike(beside: Beside) -> None:
    ((n_as_alike, n_pairs),) = counts(beside.said)
    assert n_pairs == len(beside.rows)
    facts = beside.link.inside("article")
    assert facts is not None
    a, b = re.findall(r"L\d+H\d+", text(next(facts.iter("h3"))))
    (match,) = (r for r in beside.rows if (index(r, "_a"), index(r, "_b")) == (a, b))
    assert match["n_as_alike"] == n_as_alike


def margin(beside: Beside) -> None:
    first, second = beside.rows
    assert beside.shown == [close(first["value"] - second["value"])]
    assert (
        f"before {beside.said.split('before ')[1].split()[0]} {index(second, '_b')}" in beside.said
    )


def mutual(beside: Beside) -> None:
    facts = beside.link.inside("article")
    assert facts is not None
    reference = re.findall(r"L\d+H\d+", text(next(facts.iter("h3"))))[0]
    if beside.said.startswith("yes"):
        assert index(beside.row, "_b") == reference
    else:
        assert index(beside.row, "_b") == re.findall(r"L\d+H\d+", beside.said)[-1] != reference


def reference(beside: Beside) -> None:
    assert beside.shown == [close(beside.row["late_mass"])]
    assert f"{beside.row['model']} {index(beside.row)}" in beside.said


def head_masses(beside: Beside) -> None:
    table = beside.table()
    assert len(table) == len(beside.rows)
    for cells, row in zip(table, beside.rows, strict=True):
        assert text(cells[1]).split()[0] == index(row)
        assert numbers(cells[2]) + numbers(cells[3]) == [
            close(row["late_mass"]),
            close(row["mean_mass"]),
        ]


def match_counts(beside: Beside) -> None:
    found = re.search(
        r"(\d+) of (\d+) most alike heads are at another index, (\d+) are", beside.said
    )
    assert found
    wanted = [beside.row[name] for name in ("n_moved", "n_matched", "n_mutual")]
    assert [int(part) for part in found.groups()] == wanted


def ranking(beside: Beside) -> None:
    table = beside.table()
    assert len(table) == len(beside.rows)
    for cells, row in zip(table, beside.rows, strict=True):
        assert text(cells[1]).split()[0] == index(row, "_a")
        assert text(cells[2]) == index(row, "_b")
        names = ("value", "p_family", "same_index_value", "margin")
        shown = [value for cell in cells[3:7] for value in numbers(cell)]
        assert shown == [close(row[name]) for name in names]
        assert text(cells[7]) == ("no" if row["is_same_index"] else "yes")
        assert text(cells[8]) == ("yes" if row["is_mutual"] else "no")


def top_tokens(beside: Beside) -> None:
    changed = [r for r in beside.rows if r["top_token_before"] != r["top_token_after"]]
    n_changed = sum(row["n_positions"] for row in changed)
    assert counts(beside.said) == [(n_changed, sum(row["n_positions"] for row in beside.rows))]


def agreement_details(beside: Beside) -> None:
    assert (beside.row["n_same_sign"], beside.row["n_heads"]) in counts(beside.said)
    shown = f"{beside.row['rank_correlation']:.2f}".replace("-", "−")
    assert f"ranks correlate at {shown}" in beside.said


def estimates(beside: Beside) -> None:
    for cells, row in zip(beside.table(), beside.rows[:10], strict=True):
        assert text(cells[1]) == index(row)
        names = ("mean_estimated_delta_loss_nats", "low", "high")
        assert numbers(cells[2]) + numbers(cells[3]) == [close(row[name]) for name in names]


def pairs(beside: Beside) -> None:
    model = re.search(r"of (\S+), kind", beside.link.what)
    assert model
    tables = [t for t in beside.root.iter("table") if t.get("data-pairs") == model[1]]
    (body,) = tables[0].iter("tbody")
    assert len(list(body)) == min(len(beside.rows), 10)
    for tr, row in zip(body, beside.rows, strict=False):
        cells = list(tr)
        assert text(cells[0]) == f"{index(row, '_a')}, {index(row, '_b')}"
        names = ("mean_joint_delta_loss_nats", "mean_sum_of_singles_nats", "interaction_nats")
        shown = [value for cell in cells[1:5] for value in numbers(cell)]
        assert shown == [close(row[name]) for name in (*names, "low", "high")]


def correlations(beside: Beside) -> None:
    table = with_id(beside.root, "effects-correlations")
    shown = [number for tr in next(table.iter("tbody")) for number in numbers(list(tr)[4])]
    queried = [row["spearman"] for row in beside.rows if row["spearman"] is not None]
    assert shown == [close(value) for value in queried]


def correlation_changes(beside: Beside) -> None:
    table = with_id(beside.root, "effects-correlations")
    changes = {(row["model"], row["ablation"], row["kind"]): row for row in beside.rows}
    n_shown = 0
    for tr in next(table.iter("tbody")):
        model, ablated, *_, change, p_value = list(tr)
        if text(ablated) == "whole":
            continue
        ablation, kind = text(ablated).split(", ")
        row = changes[text(model), ablation, kind]
        assert numbers(change) == [close(row["median_change"])] * (row["median_change"] is not None)
        wanted = [row[name] for name in ("p_sign", "smallest_p") if row[name] is not None]
        assert numbers(p_value) == [close(value) for value in wanted]
        n_shown += 1
    assert n_shown == len(changes)


def examples(beside: Beside) -> None:
    article = beside.link.inside("article")
    assert article is not None
    assert any(
        f"seed {row['seed']}: {len(row['steps_before'] or [''])} step" in text(article)
        and f"without {row['ablation']} ({row['kind']})" in text(article)
        for row in beside.rows
    )


def models_table(beside: Beside) -> None:
    table = {text(cells[0]): cells for cells in beside.table()}
    assert len(table) == len(beside.rows)
    for row in beside.rows:
        assert text(table[row["model"]][4]) == f"{row['n_layers']} × {row['n_heads']}"


def row_checks(beside: Beside) -> None:
    table = next(t for t in beside.root.iter("table") if t.get("class") == "checks")
    checks = {text(tr[0]): tr for tr in next(table.iter("tbody"))}
    assert len(checks) == len(beside.rows)
    for row in beside.rows:
        for cell, name in ((1, "n_rows"), (2, "n_queries"), (3, "n_missing"), (4, "n_incomplete")):
            assert text(checks[row["model"]][cell]) == f"{row[name]:,}"


def received(beside: Beside) -> None:
    section = beside.link.inside("section")
    assert section is not None
    tokens = [span for span in section.iter("span") if "style" in span.attrib]
    queried = {row["key"]: row["received"] for row in beside.rows}
    for position, token in enumerate(tokens):
        shown = re.search(r"--r0:([\d.e-]+)", token.get("style", ""))
        assert (float(shown[1]) if shown else None) == (
            close(queried[position]) if position in queried else None
        )


def whole_relation(beside: Beside) -> None:
    """All numbers of the tables in the part of the page are values of the relation."""
    section = card(beside)
    shown = [n for table in section.iter("table") for n in numbers(table)]
    shown += [n for id_ in _charts(section) for n in _plotted(rows_of(beside.root, id_))]
    values = sorted(v for row in beside.rows for v in row.values() if isinstance(v, float))
    assert shown
    assert [n for n in shown if not any(n == close(v) for v in values)] == []


def losses(beside: Beside) -> None:
    """The losses of all models, and that of a guess, to two digits."""
    told = beside.said.partition("Mean loss on these prompts, in nats a token: ")[2]
    for row in beside.rows:
        assert f"{row['model']} {row['loss_nats']:.2f}" in told
        assert f"by guessing {row['uniform_nats']:.2f}" in told
    assert len(re.findall(r"\d\.\d\d", told)) == len(beside.rows) + 1


def _charts(section: Element) -> Iterator[str]:
    for part in section.iter("div"):
        if part.get("class") == "chart":
            yield part.get("id", "")


def _plotted(sets: list[Rows]) -> Iterator[float]:
    for rows in sets:
        for row in rows:
            yield from (row[n] for n in ("change", "probability", "alike") if n in row)


# By how the link begins to say what it is of.
TEXTS: dict[str, Callable[[Beside], None]] = {
    r"how many prompts": prompt_counts,
    r"select \* from verdicts where": verdicts_of_pair,
    r"the counterpart of": verdict,
    r"select \* from same_index_tests where": same_index_of_pair,
    r"select \* from functional_match where": work_of_pair,
    r"the work of": work_of_head,
    r"how many heads have one of the same work": work_counts,
    r"counterparts in each model": counterparts_by_model,
    r"heads at the same index in each model": same_index_by_model,
    r"select \* from group_comparison": group_tests,
    r"the published criterion": criterion,
    r"select \* from published_criterion": criterion_of_all,
    r"the best match of \S+ L\d+H\d+ in \S+$": tile,
    r"the cosine of both heads": tile,
    r"chance for": chance_of_match,
    r"how alike all heads": spread,
    r"all pairs of heads": as_alike,
    r"the two heads of": margin,
    r"the match of the match": mutual,
    r"the reference head": reference,
    r"all heads of": head_masses,
    r"how many heads moved": match_counts,
    r"the best match of every head": ranking,
    r"next tokens without": top_tokens,
    r"how far estimates": agreement_details,
    r"estimates of": estimates,
    r"pairs of heads of": pairs,
    r"correlations of complexity": correlations,
    r"select \* from spearman_changes": correlation_changes,
    r"what \S+ writes": examples,
    r"the models": models_table,
    r"the checks of all rows": row_checks,
    r"attention that each token": received,
    r"select \* from verdicts$": all_verdicts,
    r"select \* from same_index_tests$": same_index_by_model,
    r"select \* from functional_match$": all_works,
    r"select \* from model_losses": losses,
    r"select \* from attribution_agreement": all_agreements,
    r"select \* from (ablation_ranking|pair_interactions|model_similarities)": whole_relation,
    r"select \* from (class_probability_by_layer|score_trends)": whole_relation,
}
