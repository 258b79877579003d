"""Ranking: of two classes, how well contenders find the second one, on all rows and the candidate by slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from noria.ml.scores import Evaluation, Interval, RankingScores
from noria.reports.contenders import ORDER, Cell
from noria.reports.formats import count, decimal, decimal_span, percent
from noria.reports.parts import MOST_PARTS


@dataclass(frozen=True, kw_only=True)
class RankingLine:
    name: str
    rows: str
    share: str  # of the second class
    auc: Cell
    average_precision: Cell
    log_loss: Cell
    ece: Cell


@dataclass(frozen=True, kw_only=True)
class RankingView:
    """`wanted` is the second class; `slices` are the candidate's, lowest AUC first."""

    wanted: str
    contenders: tuple[RankingLine, ...]
    slices: tuple[RankingLine, ...]
    left_out: int


def view_ranking(evaluation: Evaluation) -> RankingView | None:
    """Lay out what was measured of two classes; None where there are more."""
    whole = {name: scores.ranking for name, scores in evaluation.scores.items() if scores.ranking is not None}
    if not whole:
        return None
    mine = evaluation.scores["candidate"].ranking_slices
    worst_first = sorted(mine, key=lambda name: (mine[name].auc is None, _value(mine[name].auc), name))
    return RankingView(
        wanted=evaluation.classes[-1],
        contenders=_lines(whole, sorted(whole, key=lambda name: (_place(name), name))),
        slices=_lines(mine, worst_first[:MOST_PARTS]),
        left_out=max(0, len(worst_first) - MOST_PARTS),
    )


def _lines(scores: Mapping[str, RankingScores], names: list[str]) -> tuple[RankingLine, ...]:
    return tuple(
        RankingLine(
            name=name,
            rows=count(one.rows),
            share=percent(one.positives / one.rows),
            auc=_cell(one.auc),
            average_precision=_cell(one.average_precision),
            log_loss=_cell(one.log_loss),
            ece=_cell(one.ece),
        )
        for name in names
        for one in (scores[name],)
    )


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _value(interval: Interval | None) -> float:
    return interval.value if interval else 0.0


def _cell(interval: Interval | None) -> Cell:
    return Cell(text=decimal(interval.value), span=decimal_span(interval)) if interval else Cell(text="–")
