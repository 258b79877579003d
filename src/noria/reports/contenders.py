"""Contenders: the candidate beside champion, rule and no-skill model, in figures and as forests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from noria.gates.results import costs_differ
from noria.ml.scores import Evaluation, Interval, Scores
from noria.reports.forest import draw_forest
from noria.reports.formats import decimal, decimal_span, percent_span, points, points_span, short

ORDER = ("candidate", "champion", "rule", "no-skill")
MEANING = {"rule": "what people would use without a model", "no-skill": "knows only how frequent each class is"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure and its interval, as text; `span` is empty where there is none."""

    text: str
    span: str = ""


@dataclass(frozen=True, kw_only=True)
class ContenderLine:
    """One row of the table; `saved` is what the candidate saves against this contender."""

    name: str
    note: str
    auc: Cell | None  # where there are two classes
    accuracy: Cell
    cost: Cell
    log_loss: Cell
    ece: Cell
    saved: Cell


@dataclass(frozen=True, kw_only=True)
class Forest:
    """A drawing, the name of its figure, and whether "higher" or "lower" is better."""

    name: str
    better: str
    drawing: Markup


@dataclass(frozen=True, kw_only=True)
class ContendersView:
    lines: tuple[ContenderLine, ...]
    forests: tuple[Forest, ...]
    costs_differ: bool
    ranked: bool  # whether there are two classes, and so an AUC


def view_contenders(evaluation: Evaluation) -> ContendersView:
    """Put the contenders into the order in which they matter, candidate first."""
    names = sorted(evaluation.scores, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    differ = costs_differ(evaluation)
    return ContendersView(
        lines=tuple(_line(evaluation, name) for name in names),
        forests=_forests({name: evaluation.scores[name] for name in names}, differ),
        costs_differ=differ,
        ranked=any(scores.ranking for scores in evaluation.scores.values()),
    )


def _line(evaluation: Evaluation, name: str) -> ContenderLine:
    scores = evaluation.scores[name]
    comparison = evaluation.comparisons.get(name)
    return ContenderLine(
        name=name,
        note=_note(evaluation, name),
        auc=_auc(scores),
        accuracy=Cell(text=decimal(scores.accuracy.value * 100, 2), span=percent_span(scores.accuracy)),
        cost=_plain(scores.cost),
        log_loss=_plain(scores.log_loss),
        ece=_plain(scores.ece),
        saved=_saved(comparison.whole.interval) if comparison else Cell(text=""),
    )


def _note(evaluation: Evaluation, name: str) -> str:
    digest = {"candidate": evaluation.bundle, "champion": evaluation.champion}.get(name, "")
    if name == "champion" and evaluation.champion_seen:
        return f"{short(digest)}, learned from the time of {evaluation.champion_seen:,} of these rows"
    return short(digest) or MEANING.get(name, "")


def _plain(interval: Interval) -> Cell:
    return Cell(text=decimal(interval.value), span=decimal_span(interval))


def _auc(scores: Scores) -> Cell | None:
    if scores.ranking is None:
        return None
    return _plain(scores.ranking.auc) if scores.ranking.auc else Cell(text="–")


def _saved(interval: Interval) -> Cell:
    return Cell(text=points(interval.value), span=points_span(interval))


def _forests(scores: Mapping[str, Scores], costs_differ: bool) -> tuple[Forest, ...]:
    forests = [_forest("Accuracy, %", "higher", {name: entry.accuracy for name, entry in scores.items()}, 100)]
    if costs_differ:
        forests.append(_forest("Cost a row", "lower", {name: entry.cost for name, entry in scores.items()}))
    forests.append(_forest("Log loss, nats", "lower", {name: entry.log_loss for name, entry in scores.items()}))
    forests.append(_forest("Calibration error", "lower", {name: entry.ece for name, entry in scores.items()}))
    return tuple(forests)


def _forest(name: str, better: str, intervals: Mapping[str, Interval], factor: float = 1.0) -> Forest:
    title = f"{name} of each contender with its interval; {better} is better"
    return Forest(name=name, better=better, drawing=draw_forest(title, intervals, factor))
