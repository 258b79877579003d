"""Parts: how the candidate does in each class and in each slice, worst first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from noria.ml.scores import Comparison, Evaluation, Interval
from noria.reports.confusion import precisions
from noria.reports.formats import chance, count, decimal, percent, percent_span, points, points_span
from noria.reports.strips import draw_strip, draw_strip_axis, strip_ends
from noria.reports.svg import Scale, scale_around

MOST_PARTS = 200  # lines of one table; the worst are kept


@dataclass(frozen=True, kw_only=True)
class ClassLine:
    name: str
    rows: str
    recall: str
    span: str
    strip: Markup
    opponent: str
    precision: str


@dataclass(frozen=True, kw_only=True)
class ClassesView:
    """`opponent` is whose recall stands beside the candidate's, "" for nobody's."""

    lines: tuple[ClassLine, ...]
    axis: Markup
    opponent: str
    left_out: int


@dataclass(frozen=True, kw_only=True)
class SliceLine:
    name: str
    rows: str
    accuracy: str
    opponent: str
    saved: str
    span: str
    strip: Markup
    lower: str
    p_worse: str


@dataclass(frozen=True, kw_only=True)
class SlicesView:
    """`opponent` is the champion, else the rule, else nobody: ""; then there is nothing to compare with.

    `told` is how many parts no gate judges: they are not compared, but have figures under Ranking.
    """

    lines: tuple[SliceLine, ...]
    axis: Markup
    opponent: str
    left_out: int
    told: int


def view_classes(evaluation: Evaluation) -> ClassesView:
    """Recall by class with the champion's beside it."""
    mine = evaluation.scores["candidate"].classes
    champion = evaluation.scores["champion"].classes if "champion" in evaluation.scores else {}
    worst_first = sorted(mine, key=lambda name: (_order(mine[name].value), name))[:MOST_PARTS]
    ends = [end * 100 for name in worst_first for end in (mine[name].low, mine[name].high, mine[name].value)]
    ends += [champion[name].value * 100 for name in worst_first if name in champion]
    scale = _within(scale_around(ends, *strip_ends(), floor=0.0), 100.0)
    precise = dict(zip(evaluation.classes, precisions(evaluation.confusion, 2), strict=True))
    rows = {name: sum(line) for name, line in zip(evaluation.classes, evaluation.confusion, strict=True)}
    return ClassesView(
        lines=tuple(
            ClassLine(
                name=name,
                rows=count(rows.get(name, 0)),
                recall=_hundredfold(mine[name].value),
                span=percent_span(mine[name]),
                strip=draw_strip(
                    _scaled(mine[name]), scale, title=f"recall of {name}: {percent(mine[name].value)}",
                    opponent=champion[name].value * 100 if name in champion else None,
                ),
                opponent=_hundredfold(champion[name].value) if name in champion else "–",
                precision=precise.get(name, "–"),
            )
            for name in worst_first
        ),
        axis=draw_strip_axis(scale, "percent"),
        opponent="champion" if champion else "",
        left_out=len(mine) - len(worst_first),
    )  # fmt: skip


def view_slices(evaluation: Evaluation) -> SlicesView:
    """What the candidate saves in each slice against the champion or, without one, against the rule."""
    opponent = next((name for name in ("champion", "rule") if name in evaluation.comparisons), "")
    comparison = evaluation.comparisons.get(opponent, None)
    differences = comparison.slices if comparison else {}
    worst_first = sorted(differences, key=lambda name: (_order(differences[name].interval.value), name))[:MOST_PARTS]
    scale = _saved_scale(comparison, worst_first, evaluation.slice_margin)
    lines = (0.0, -evaluation.slice_margin * 100)
    return SlicesView(
        lines=tuple(_slice_line(evaluation, opponent, name, scale, lines) for name in worst_first),
        axis=draw_strip_axis(scale, "points"),
        opponent=opponent,
        left_out=len(differences) - len(worst_first),
        told=len(evaluation.told_rows),
    )


def _slice_line(evaluation: Evaluation, opponent: str, name: str, scale: Scale, lines: tuple[float, ...]) -> SliceLine:
    found = evaluation.comparisons[opponent].slices[name]
    mine, theirs = (evaluation.scores[who].slices.get(name) for who in ("candidate", opponent))
    return SliceLine(
        name=name,
        rows=count(found.rows),
        accuracy=_hundredfold(mine.value) if mine else "–",
        opponent=_hundredfold(theirs.value) if theirs else "–",
        saved=points(found.interval.value),
        span=points_span(found.interval),
        strip=draw_strip(
            _scaled(found.interval), scale, title=f"{name}: {points(found.interval.value)} points", lines=lines
        ),
        lower=points(found.lower),
        p_worse=chance(found.p_worse),
    )


def _saved_scale(comparison: Comparison | None, names: list[str], margin: float) -> Scale:
    """Zero and the margin are always on the scale."""
    ends = [0.0, -margin * 100]
    for name in names if comparison else ():
        interval = comparison.slices[name].interval if comparison else None
        ends += [interval.low * 100, interval.high * 100] if interval else []
    return scale_around(ends, *strip_ends())


def _scaled(interval: Interval) -> Interval:
    return Interval(value=interval.value * 100, low=interval.low * 100, high=interval.high * 100)


def _within(scale: Scale, top: float) -> Scale:
    return Scale(low=scale.low, high=min(scale.high, top), start=scale.start, end=scale.end)


def _hundredfold(share: float) -> str:
    """A share for a column that is headed in percent."""
    return decimal(share * 100, 2)


def _order(value: float) -> float:
    """What is not a number counts as the worst."""
    return value if math.isfinite(value) else -math.inf
