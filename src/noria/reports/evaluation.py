"""Evaluation page: what was measured about a candidate, and what the gates made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from noria.errors import EvidenceError
from noria.gates.results import Verdict, costs_differ
from noria.ml.scores import CalibrationBin, Evaluation
from noria.reports.confusion import ConfusionView, view_confusion
from noria.reports.contenders import ContendersView, view_contenders
from noria.reports.formats import clipped, count, decimal, level, percent, points, points_span
from noria.reports.page import PageContext, render
from noria.reports.parts import ClassesView, SlicesView, view_classes, view_slices
from noria.reports.ranking import RankingView, view_ranking
from noria.reports.reliability import draw_reliability, filled_bins
from noria.reports.wrong import WrongView, view_wrong
from noria.schema import Schema
from noria.task import Rows

Outcome = Literal["promoted", "passed", "refused", "evaluated"]


@dataclass(frozen=True, kw_only=True)
class KeyFigure:
    name: str
    figure: str
    note: str


@dataclass(frozen=True, kw_only=True)
class EvaluationView:
    """Everything that the template lays out."""

    evaluation: Evaluation
    verdict: Verdict | None
    outcome: Outcome
    sentence: str
    key_figures: tuple[KeyFigure, ...]
    contenders: ContendersView
    ranking: RankingView | None  # where there are two classes
    confusion: ConfusionView
    reliability: Markup
    bins: tuple[CalibrationBin, ...]
    classes: ClassesView
    slices: SlicesView
    wrong: WrongView


def evaluation_page(
    evaluation: Evaluation, verdict: Verdict | None, schema: Schema, wrong_rows: Rows, context: PageContext
) -> str:
    """Write the page as one HTML file that needs nothing else; under 500 kB.

    `wrong_rows` are the rows of `evaluation.most_wrong`, in its order. Raises EvidenceError where verdict, rows or the
    context's `promoted` do not fit the evaluation.
    """
    _check(evaluation, verdict, context)
    view = EvaluationView(
        evaluation=evaluation,
        verdict=verdict,
        outcome=_outcome(verdict, context),
        sentence=_sentence(evaluation, verdict, context.refusal) + _departures(verdict),
        key_figures=_key_figures(evaluation),
        contenders=view_contenders(evaluation),
        ranking=view_ranking(evaluation),
        confusion=view_confusion(evaluation),
        reliability=draw_reliability(evaluation.calibration, evaluation.confidence),
        bins=filled_bins(evaluation.calibration),
        classes=view_classes(evaluation),
        slices=view_slices(evaluation),
        wrong=view_wrong(evaluation, schema, wrong_rows),
    )
    return render("evaluation.html.j2", context, view)


def _check(evaluation: Evaluation, verdict: Verdict | None, context: PageContext) -> None:
    if verdict is not None:
        for name in ("bundle", "dataset", "champion"):
            told, measured = getattr(verdict, name), getattr(evaluation, name)
            if told != measured:
                raise EvidenceError(
                    f"the verdict is about {name} {told[:12] or 'none'}, the evaluation about {measured[:12] or 'none'}"
                    ": report an evaluation with its own verdict"
                )
    if context.promoted and (verdict is None or not verdict.passed):
        raise EvidenceError("a candidate without a verdict that lets it pass cannot be promoted: judge it first")


def _outcome(verdict: Verdict | None, context: PageContext) -> Outcome:
    if verdict is None:
        return "evaluated"
    if context.refusal or not verdict.passed:
        return "refused"
    return "promoted" if context.promoted else "passed"


def _sentence(evaluation: Evaluation, verdict: Verdict | None, refusal: str) -> str:
    """Why it came out as it did, in one sentence."""
    if verdict is None:
        return f"Measured on {count(evaluation.rows)} held-out rows; no gate has judged it."
    if not verdict.passed:
        first, others = verdict.refusals[0], len(verdict.refusals) - 1
        more = f", and {others} more {'gate' if others == 1 else 'gates'} refused it" if others else ""
        return f"Refused because of the gate “{first.name}”: {clipped(first.reason.rstrip('.'), 240)}{more}."
    if refusal:
        return f"It passed all {len(verdict.gates)} gates, and was refused all the same: {clipped(refusal, 400)}."
    return f"It passed all {len(verdict.gates)} gates: {_standing(evaluation)}."


def _departures(verdict: Verdict | None) -> str:
    """Which limits were not the environment's own; "" where all were."""
    if verdict is None or not verdict.departures:
        return ""
    return f" Limits that were not the environment's own: {', '.join(map(str, verdict.departures))}."


def _standing(evaluation: Evaluation) -> str:
    opponent = next((name for name in ("champion", "rule", "no-skill") if name in evaluation.comparisons), None)
    if opponent is None:
        return f"accuracy {percent(evaluation.scores['candidate'].accuracy.value)}"
    whole = evaluation.comparisons[opponent].whole
    first = "" if evaluation.champion else "there is no champion yet, and "
    value, span = points(whole.interval.value), f"{level(evaluation.confidence)} interval {points_span(whole.interval)}"
    gains = f"gains {value} points of accuracy ({span})"
    saves = f"saves {percent(whole.interval.value)} of the dearest error a row ({span})"
    return (
        f"{first}against the {opponent} it {saves if costs_differ(evaluation) else gains} "
        f"on the same {count(whole.rows)} rows"
    )


def _key_figures(evaluation: Evaluation) -> tuple[KeyFigure, ...]:
    scores, said = evaluation.scores["candidate"], level(evaluation.confidence)
    first = (
        {"AUC": (decimal(scores.ranking.auc.value), scores.ranking.auc, 1, 4)}
        if scores.ranking and scores.ranking.auc
        else {"Accuracy": (percent(scores.accuracy.value), scores.accuracy, 100, 2)}
    )
    cost = {"Cost a row": (decimal(scores.cost.value), scores.cost, 1, 4)} if costs_differ(evaluation) else {}
    spans = {
        **first,
        **cost,
        "Log loss": (decimal(scores.log_loss.value), scores.log_loss, 1, 4),
        "Calibration error": (decimal(scores.ece.value), scores.ece, 1, 4),
    }
    figures = [
        KeyFigure(
            name=name,
            figure=text,
            note=f"{said} interval {decimal(i.low * by, digits)} to {decimal(i.high * by, digits)}",
        )
        for name, (text, i, by, digits) in spans.items()
    ]
    if "champion" in evaluation.comparisons:
        whole = evaluation.comparisons["champion"].whole.interval
        what = "saved, % of the dearest error" if costs_differ(evaluation) else "points of accuracy"
        note = f"{what}; {said} interval {points_span(whole)}"
        figures.insert(1, KeyFigure(name="Against the champion", figure=points(whole.value), note=note))
    return tuple(figures)
