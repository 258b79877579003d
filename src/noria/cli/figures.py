"""Figures: an evaluation's contenders and their main figures, as a table of 100 columns."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from noria.cli.output import make_table
from noria.ml.scores import Evaluation, Interval, Scores
from noria.reports.contenders import ORDER, costs_differ

NO_NAMES: Mapping[str, str] = {}


def figures_table(title: str, evaluation: Evaluation, called: Mapping[str, str] = NO_NAMES) -> Table:
    """The figures that matter: AUC where there are two classes, and the cost of a row where errors differ in it.

    `called` names contenders otherwise than the evaluation does.
    """
    ranked = evaluation.scores["candidate"].ranking is not None
    differ = costs_differ(evaluation)
    digits = 3 if ranked else 4
    heads = [*(["AUC"] if ranked else []), "cost a row" if differ else "accuracy", "log loss", "ECE"]
    table = make_table(f"{title}, {evaluation.confidence:.0%} intervals", ["", *heads], 1 if ranked else 2)
    for name in ORDER:
        if scores := evaluation.scores.get(name):
            shown = [_show(value, digits) for value in _main(scores, ranked, differ)]
            table.add_row(called.get(name, name), *shown, style="bold" if name == "candidate" else "")
    return table


def _main(scores: Scores, ranked: bool, differ: bool) -> list[Interval | None]:
    auc = [scores.ranking.auc if scores.ranking else None] if ranked else []
    return [*auc, scores.cost if differ else scores.accuracy, scores.log_loss, scores.ece]


def _show(value: Interval | None, digits: int) -> str:
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]" if value else "–"
