"""Confusion: which class is taken for which, as a shaded table of counts or, for many classes, as a list."""

from __future__ import annotations

import math
from dataclasses import dataclass

from noria.ml.scores import Evaluation
from noria.reports.formats import count, decimal, percent

MOST_CLASSES = 30  # a larger table is neither readable nor small
MOST_PAIRS = 8
MOST_PAIRS_WITHOUT_TABLE = 60
SHADES = 9


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """`shade` is the style's name: `d1` to `d9` for right decisions, `e1` to `e9` for errors, "" for no rows."""

    text: str
    shade: str


@dataclass(frozen=True, kw_only=True)
class MatrixLine:
    truth: str
    cells: tuple[MatrixCell, ...]
    rows: str
    recall: str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A frequent confusion; `share` is of the rows of the true class."""

    truth: str
    decision: str
    rows: str
    share: str


@dataclass(frozen=True, kw_only=True)
class ConfusionView:
    """`lines` is empty where there are too many classes for a table."""

    classes: tuple[str, ...]
    lines: tuple[MatrixLine, ...]
    precisions: tuple[str, ...]
    pairs: tuple[Pair, ...]
    errors: str
    dense: bool


def view_confusion(evaluation: Evaluation) -> ConfusionView:
    """Shade each row by its share of the true class, and list the most frequent confusions."""
    classes, matrix = evaluation.classes, evaluation.confusion
    readable = len(classes) <= MOST_CLASSES
    right = sum(line[place] for place, line in enumerate(matrix))
    return ConfusionView(
        classes=classes,
        lines=tuple(_line(classes[place], place, matrix[place]) for place in range(len(classes))) if readable else (),
        precisions=precisions(matrix),
        pairs=_pairs(evaluation, MOST_PAIRS if readable else MOST_PAIRS_WITHOUT_TABLE),
        errors=count(sum(map(sum, matrix)) - right),
        dense=len(classes) > 12,
    )


def precisions(matrix: tuple[tuple[int, ...], ...], decimals: int = 1) -> tuple[str, ...]:
    """Of the rows that were given a class, the share that has it in percent; a dash where no row was."""
    given = [sum(line[place] for line in matrix) for place in range(len(matrix))]
    return tuple(decimal(matrix[at][at] / total * 100, decimals) if total else "–" for at, total in enumerate(given))


def _line(truth: str, place: int, counts: tuple[int, ...]) -> MatrixLine:
    total = sum(counts)
    return MatrixLine(
        truth=truth,
        cells=tuple(
            MatrixCell(text=count(rows) if rows else "", shade=_shade(rows, total, right=at == place))
            for at, rows in enumerate(counts)
        ),
        rows=count(total),
        recall=percent(counts[place] / total, 1) if total else "–",
    )


def _shade(rows: int, total: int, *, right: bool) -> str:
    """Right decisions are shaded by their share; errors by its square root, so that few in a hundred can be seen."""
    if not rows:
        return ""
    share = rows / total
    strength = share if right else math.sqrt(share)
    return ("d" if right else "e") + str(max(1, math.ceil(strength * SHADES)))


def _pairs(evaluation: Evaluation, most: int) -> tuple[Pair, ...]:
    found = [
        (rows, truth, decision)
        for truth, line in enumerate(evaluation.confusion)
        for decision, rows in enumerate(line)
        if rows and truth != decision
    ]
    found.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    names, matrix = evaluation.classes, evaluation.confusion
    return tuple(
        Pair(truth=names[t], decision=names[d], rows=count(rows), share=percent(rows / sum(matrix[t]), 1))
        for rows, t, d in found[:most]
    )
