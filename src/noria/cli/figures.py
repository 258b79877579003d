"""Figures: an evaluation's contenders and their main figures, as a table of 100 columns."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from noria.cli.output import make_table
from noria.gates.results import costs_differ
from noria.ml.scores import Evaluation, Interval, Scores
from noria.reports.contenders import ORDER

NO_NAMES: Mapping[str, str] = {}


def figures_table(title: str, evaluation: Evaluation, called: Mapping[str, str] = NO_NAMES) -> Table:
    """The figures that matter: AUC where there are two classes, and the cost of a row where errors differ in it.

    `called` names contenders otherwise than the evaluation does.
    """
    ranked = evaluation.scores["candidate"].ranking is not None
    differ = costs_differ(evaluation)
    heads = _main(evaluation.scores["candidate"], ranked, differ)
    table = make_table(f"{title}, {evaluation.confidence:.0%} intervals", ["", *heads], 1 if ranked else 2)
    for name in ORDER:
        if scores := evaluation.scores.get(name):
            shown = [_show(value, _digits(ranked)) for value in _main(scores, ranked, differ).values()]
            table.add_row(called.get(name, name), *shown, style="bold" if name == "candidate" else "")
    return table


def headline(evaluation: Evaluation) -> str:
    """The same figures of the candidate alone, in one line."""
    scores = evaluation.scores["candidate"]
    ranked = scores.ranking is not None
    main = _main(scores, ranked, costs_differ(evaluation))
    return ", ".join(f"{name} {_show(value, _digits(ranked))}" for name, value in main.items())


def _main(scores: Scores, ranked: bool, differ: bool) -> dict[str, Interval | None]:
    auc = {"AUC": scores.ranking.auc if scores.ranking else None} if ranked else {}
    decided = {"cost a row": scores.cost} if differ else {"accuracy": scores.accuracy}
    return {**auc, **decided, "log loss": scores.log_loss, "ECE": scores.ece}


def _digits(ranked: bool) -> int:
    return 3 if ranked else 4  # four figures with intervals are as wide as three that are more exact


def _show(value: Interval | None, digits: int) -> str:
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]" if value else "–"
