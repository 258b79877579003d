"""The evaluation page says all that was measured, and nothing that was not."""

from __future__ import annotations

import dataclasses
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from known_reports import (
    CONTEXT,
    NUMBERS,
    PICTURES,
    check_alone,
    drawings_of,
    evaluation_of,
    rows_of,
    schema_of,
    text_of,
    verdict_of,
)  # fmt: skip

from noria.errors import EvidenceError
from noria.gates.limits import Limits, departures
from noria.ml.scores import Evaluation, Interval
from noria.reports.evaluation import evaluation_page
from noria.reports.formats import chance
from noria.schema import Column, Schema

THREE = ("runs", "wears", "fails")
PROMOTED = dataclasses.replace(CONTEXT, promoted=True)
NAN = Interval(value=math.nan, low=math.nan, high=math.nan)


def page_of(evaluation: Evaluation, schema: Schema = NUMBERS, refused: tuple[str, ...] = ()) -> str:
    return evaluation_page(
        evaluation, verdict_of(evaluation, refused=refused), schema, rows_of(evaluation, schema), CONTEXT
    )


@pytest.mark.parametrize("classes", [2, 3, 10, 30, 31, 150])
@pytest.mark.parametrize("schema", [PICTURES, NUMBERS], ids=["pictures", "numbers"])
def test_a_page_is_one_small_file_with_balanced_elements(classes: int, schema: Schema) -> None:
    page = page_of(evaluation_of(tuple(f"class {c}" for c in range(classes)), rows=20 * classes), schema)
    check_alone(page)
    text_of(page)
    for drawing in drawings_of(page):
        assert ET.fromstring(drawing).get("aria-label")


def test_every_figure_is_on_the_page() -> None:
    evaluation = evaluation_of(THREE)
    text = text_of(page_of(evaluation))
    for scores in evaluation.scores.values():
        assert f"{scores.accuracy.value * 100:.2f}" in text
        assert f"{scores.accuracy.low * 100:.2f} to {scores.accuracy.high * 100:.2f}" in text
        assert f"{scores.log_loss.value:.4f}" in text
        assert f"{scores.ece.value:.4f}" in text
    for line in evaluation.confusion:
        assert all(f"{rows}" in text for rows in line if rows)
    for name, recall in evaluation.scores["candidate"].classes.items():
        assert name in text
        assert f"{recall.value * 100:.2f}" in text
    for name in evaluation.slice_rows:
        assert name in text
    for fact in (
        evaluation.bundle,
        evaluation.champion,
        evaluation.dataset,
        CONTEXT.code,
        "0.50\u202f%",
        "2.00\u202f%",
    ):
        assert fact in text
    assert all(item.id in text for item in evaluation.most_wrong)


def test_equal_facts_make_equal_bytes() -> None:
    for schema in (PICTURES, NUMBERS):
        assert page_of(evaluation_of(THREE), schema) == page_of(evaluation_of(THREE), schema)


def test_names_and_values_from_data_cannot_become_markup() -> None:
    evil = "<script>alert('x')</script>\" onload=\"y"
    evaluation = evaluation_of(("good", evil, "fine"))
    items = tuple(dataclasses.replace(item, id=evil) for item in evaluation.most_wrong)
    evaluation = dataclasses.replace(
        evaluation, most_wrong=items, comparisons=_renamed(evaluation, evil), slice_rows={evil: 3}
    )
    rows = {**rows_of(evaluation, NUMBERS), "site": np.array([evil] * len(items), object)}
    verdict = dataclasses.replace(verdict_of(evaluation, refused=("calibrated",)))
    gates = tuple(
        dataclasses.replace(g, name=g.name + evil, figure=evil, limit=evil, reason=evil) for g in verdict.gates
    )
    context = dataclasses.replace(CONTEXT, task=evil, code=evil, run=evil)
    for schema, shown in ((NUMBERS, rows), (PICTURES, rows_of(evaluation, PICTURES))):
        page = evaluation_page(evaluation, dataclasses.replace(verdict, gates=gates), schema, shown, context)
        check_alone(page)
        assert "<script" not in page
        assert '" onload="y' not in page
        assert page.count("&lt;script&gt;") > 10
        text_of(page)
        for drawing in drawings_of(page):
            ET.fromstring(drawing)


def _renamed(evaluation: Evaluation, name: str) -> dict[str, object]:
    return {
        opponent: dataclasses.replace(found, slices={name: next(iter(found.slices.values()))})
        for opponent, found in evaluation.comparisons.items()
    }


def test_figures_that_are_no_numbers_are_named_and_not_drawn() -> None:
    evaluation = evaluation_of(THREE)
    whole = evaluation.comparisons["champion"]
    broken = dataclasses.replace(
        evaluation,
        scores={
            name: dataclasses.replace(
                scores, log_loss=Interval(value=math.inf, low=math.inf, high=math.inf), ece=NAN, accuracy=NAN,
                classes=dict.fromkeys(scores.classes, NAN),
            )
            for name, scores in evaluation.scores.items()
        },
        comparisons={
            "champion": dataclasses.replace(
                whole, slices={n: dataclasses.replace(d, interval=NAN, lower=math.nan) for n, d in whole.slices.items()}
            )
        },
        calibration=tuple(
            dataclasses.replace(b, rows=0, confidence=math.nan, accuracy=math.nan) for b in evaluation.calibration
        ),
    )  # fmt: skip
    page = page_of(broken)
    check_alone(page)
    text = text_of(page)
    assert "n/a" in text
    assert "∞" in text
    assert "nan" not in text


def test_the_headline_says_what_happened_and_why() -> None:
    evaluation = evaluation_of(THREE)
    rows, passed = rows_of(evaluation, NUMBERS), verdict_of(evaluation)
    promoted = text_of(evaluation_page(evaluation, passed, NUMBERS, rows, PROMOTED))
    assert "✓ Promoted" in promoted
    assert "It passed all 3 gates: against the champion" in promoted
    only_passed = text_of(evaluation_page(evaluation, passed, NUMBERS, rows, CONTEXT))
    assert "✓ Passed the gates" in only_passed
    assert "romoted" not in only_passed
    only = text_of(evaluation_page(evaluation, None, NUMBERS, rows, CONTEXT))
    assert "Only evaluated" in only
    assert "no gate has judged it" in only
    refused = text_of(page_of(evaluation, refused=("calibrated", "answers in time")))
    assert "Refused because of the gate “calibrated”: calibrated says so, and 1 more gate refused it." in refused
    assert refused.count("✕ failed") == 2


@pytest.mark.parametrize("refused", [(), ("calibrated",)])
def test_limits_that_were_not_the_environments_own_stand_in_the_headline(refused: tuple[str, ...]) -> None:
    evaluation = evaluation_of(THREE)
    rows, usual = rows_of(evaluation, NUMBERS), verdict_of(evaluation, refused=refused)
    departed = dataclasses.replace(usual, departures=departures(Limits(ece=0.5, rows=300), Limits()))
    page = evaluation_page(evaluation, departed, NUMBERS, rows, CONTEXT)
    said = "Limits that were not the environment's own: rows 300 (tighter than 200), ece 0.5 (looser than 0.03)."
    assert said in text_of(page).partition("Contenders")[0]
    assert "the environment's own" not in text_of(evaluation_page(evaluation, usual, NUMBERS, rows, CONTEXT))


def test_a_verdict_about_another_candidate_is_refused() -> None:
    evaluation = evaluation_of(THREE)
    other = dataclasses.replace(verdict_of(evaluation), bundle="f" * 64)
    with pytest.raises(EvidenceError, match="the verdict is about bundle ffffffffffff"):
        evaluation_page(evaluation, other, NUMBERS, rows_of(evaluation, NUMBERS), CONTEXT)


@pytest.mark.parametrize("refused", [("calibrated",), None])
def test_nothing_is_called_promoted_that_did_not_pass(refused: tuple[str, ...] | None) -> None:
    evaluation = evaluation_of(THREE)
    verdict = verdict_of(evaluation, refused=refused) if refused else None
    with pytest.raises(EvidenceError, match="cannot be promoted"):
        evaluation_page(evaluation, verdict, NUMBERS, rows_of(evaluation, NUMBERS), PROMOTED)


def test_rows_that_are_not_those_of_the_wrong_items_are_refused() -> None:
    evaluation = evaluation_of(THREE)
    rows = rows_of(evaluation, NUMBERS)
    for torn in ({**rows, "flow": rows["flow"][:-1]}, {"site": rows["site"], "age": rows["age"]}):
        with pytest.raises(EvidenceError, match="feature 'flow' has"):
            evaluation_page(evaluation, None, NUMBERS, torn, CONTEXT)


def test_personal_values_never_reach_the_page() -> None:
    evaluation = evaluation_of(THREE)
    rows = rows_of(evaluation, NUMBERS)
    page = evaluation_page(evaluation, None, NUMBERS, rows, CONTEXT)
    assert "(masked)" in page
    assert not any(f">{age}<" in page for age in rows["age"])
    face = Column(name="face", type="uint8", role="feature", shape=(8, 8), personal="sensitive")
    hidden = schema_of(face, id_class="pseudonymous")
    page = evaluation_page(evaluation, None, hidden, rows_of(evaluation, hidden), CONTEXT)
    assert "<img" not in page
    assert not any(item.id in page for item in evaluation.most_wrong)
    assert f"row {evaluation.most_wrong[0].row}" in page


def test_without_a_champion_the_rule_is_the_opponent() -> None:
    text = text_of(page_of(evaluation_of(THREE, champion=False)))
    assert "Slices against the rule" in text
    assert re.search(r"no champion yet, and against the rule it gains \+\d+\.\d\d points of accuracy", text)
    assert "none yet" in text


def test_costs_are_shown_where_errors_differ_in_cost() -> None:
    assert "Cost a row" not in page_of(evaluation_of(THREE))
    dear = text_of(page_of(evaluation_of(THREE, dear=True)))
    assert "Cost a row" in dear
    assert "in percent of the dearest error" in dear


def test_a_saving_is_named_as_one_in_the_headline_and_the_slices() -> None:
    text = text_of(page_of(evaluation_of(THREE, champion=False, dear=True)))
    head, _, slices = text.partition("Slices against the rule")
    assert re.search(r"against the rule it saves \d+\.\d\d\s% of the dearest error a row", head)
    assert re.search(r"Cost a row\d\.\d{4}95\s% interval", head.partition("Contenders")[0]), "a key figure"
    for words in ("Saved, %", "Accuracy of candidate, %", "Accuracy of rule, %", "Both decide by cost"):
        assert words in slices
    plain = text_of(page_of(evaluation_of(THREE)))
    assert re.search(r"Against the champion.?\d+\.\d\dpoints of accuracy;", plain)
    assert "decide by cost" not in plain
    assert re.search(r"saved, % of the dearest error; 95\s%", text_of(page_of(evaluation_of(THREE, dear=True))))


def test_parts_that_are_only_told_are_missed_among_the_slices_with_the_reason() -> None:
    said = "Not compared here, for no gate judges it: 1 part that is only told"
    text = text_of(page_of(evaluation_of(("on time", "late"), told=True)))
    assert f"{said}, with figures under Ranking." in text
    assert "The candidate in each slice and in each part that is only told, lowest AUC first" in text
    assert f"{said}." in text_of(page_of(evaluation_of(THREE, told=True))), "more classes have no ranking"
    assert "only told" not in text_of(page_of(evaluation_of(("on time", "late"))))


@pytest.mark.parametrize(
    ("p", "shown"), [(1.0, "> 0.999"), (0.9995, "> 0.999"), (0.9994, "0.999"), (0.0004, "< 0.001"), (0.25, "0.250")]
)
def test_no_chance_is_shown_as_certain(p: float, shown: str) -> None:
    assert chance(p) == shown
    evaluation = evaluation_of(THREE)
    found = evaluation.comparisons["champion"]
    slices = {name: dataclasses.replace(one, p_worse=p) for name, one in found.slices.items()}
    compared = {**evaluation.comparisons, "champion": dataclasses.replace(found, slices=slices)}
    text = text_of(page_of(dataclasses.replace(evaluation, comparisons=compared)))
    lines = text.partition("Slices against the champion")[2].partition("Most surely wrong")[0]
    assert lines.count(shown) >= len(slices)


def test_many_classes_become_a_list_of_confusions() -> None:
    assert '<table class="matrix' in page_of(evaluation_of(tuple(map(str, range(30)))))
    page = page_of(evaluation_of(tuple(map(str, range(31)))))
    assert '<table class="matrix' not in page
    assert "With 31 classes a table would not be readable" in text_of(page)


def test_a_candidate_without_errors_has_a_page() -> None:
    evaluation = evaluation_of(THREE)
    clean = dataclasses.replace(evaluation, most_wrong=(), confusion=((200, 0, 0), (0, 200, 0), (0, 0, 200)))
    text = text_of(evaluation_page(clean, None, PICTURES, {}, CONTEXT))
    assert "No row was decided wrongly." in text


def test_of_two_classes_the_page_tells_how_the_second_is_found() -> None:
    evaluation = evaluation_of(("on time", "late"))
    text = text_of(page_of(evaluation))
    for scores in evaluation.scores.values():
        for figure in ("auc", "average_precision"):
            interval = getattr(scores.ranking, figure)
            assert f"{interval.value:.4f}" in text
            assert f"{interval.low:.4f} to {interval.high:.4f}" in text
    parts = evaluation.scores["candidate"].ranking_slices
    first, second = sorted(parts, key=lambda name: parts[name].auc.value)  # type: ignore[union-attr]
    first_table = text.partition("Contenders")[2]
    assert first_table.index("AUC") < first_table.index("Accuracy, %")
    assert "AUC" not in text_of(page_of(evaluation_of(THREE)))
    lines = text[text.index("The candidate in each slice, lowest AUC first") :]
    assert lines.index(first) < lines.index(second)
    assert f"{parts[first].log_loss.value:.4f}" in lines  # type: ignore[union-attr]


def test_a_slice_of_one_class_has_a_dash_for_its_auc_and_more_classes_have_no_ranking() -> None:
    evaluation = evaluation_of(("on time", "late"))
    scores = evaluation.scores["candidate"]
    bare = dataclasses.replace(scores.ranking_slices["early"], auc=None, average_precision=None)
    without = dataclasses.replace(scores, ranking_slices={"early": bare})
    page = page_of(dataclasses.replace(evaluation, scores={**evaluation.scores, "candidate": without}))
    assert re.search(r"early30050.00\s%––0\.\d{4}", text_of(page))
    assert "Ranking" not in text_of(page_of(evaluation_of(THREE)))
