"""Figures: one line and the table say the same of the candidate, and a decision by cost says its threshold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console

from noria.cli.asking import Asked, called_from
from noria.cli.figures import figures_table, headline
from noria.cli.predict import _show
from noria.cli.status import _metrics
from noria.cli.summary import _prediction, gates_table
from noria.gates.results import GateResult, Verdict, show_difference
from noria.ml.decision import decide
from noria.ml.evaluation import evaluate
from noria.ml.scores import Difference, Evaluation, Interval
from noria.steps.judge import Decision

EQUAL, DEAR = ((0.0, 1.0), (1.0, 0.0)), ((0.0, 1.0), (3.0, 0.0))


def measured(classes: int, *, dear: bool) -> Evaluation:
    random = np.random.default_rng(5)
    labels, costs = np.arange(300) % classes, 1.0 - np.eye(classes)
    costs[1, 0] = 3.0 if dear else 1.0
    logits = random.normal(size=(300, classes)) + 1.5 * np.eye(classes)[labels]
    answers = {
        "candidate": np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        "rule": np.full((300, classes), 1 / classes),
        "no-skill": np.full((300, classes), 1 / classes),
    }
    return evaluate(
        bundle="b", dataset="d", champion="", labels=labels, ids=np.array([str(row) for row in range(300)], object),
        probabilities=answers, costs=costs.tolist(), classes=tuple("abc"[:classes]), draws=50, confidence=0.95,
        margin=0.005, slice_margin=0.02, seed=1, slices={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "dear", "names", "gained"),
    [
        (2, True, ["AUC", "cost a row", "log loss", "ECE"], {"auc"}),
        (2, False, ["AUC", "accuracy", "log loss", "ECE"], {"auc"}),
        (3, True, ["cost a row", "log loss", "ECE"], set()),
        (3, False, ["accuracy", "log loss", "ECE"], set()),
    ],
)
def test_the_line_of_the_champion_has_the_figures_of_the_table(
    classes: int, dear: bool, names: list[str], gained: set[str]
) -> None:
    evaluation = measured(classes, dear=dear)
    line = headline(evaluation)
    assert [word for word in names if word in line] == names
    assert len(line.split("], ")) == len(names)
    assert [str(column.header) for column in figures_table("rows", evaluation).columns] == ["", *names]
    assert set(_metrics(evaluation)) == {"accuracy", "log_loss", "ece", "cost"} | gained
    scores = evaluation.scores["candidate"]
    assert f"{scores.cost.value if dear else scores.accuracy.value:.{3 if classes == 2 else 4}f} [" in line
    assert _metrics(None) == {}


@pytest.mark.parametrize("costs", [DEAR, ((0.0, 5.0), (2.0, 0.0))])
@pytest.mark.parametrize("label", [0, 1])
def test_the_threshold_is_where_the_decision_turns(costs: tuple[tuple[float, float], ...], label: int) -> None:
    from_ = called_from(costs, label)
    assert from_ is not None
    sure = np.array([[from_ + 0.001], [from_ - 0.001]])
    probabilities = np.hstack([sure, 1 - sure] if label == 0 else [1 - sure, sure])
    assert decide(probabilities, costs).tolist() == [label, 1 - label]


def test_where_no_threshold_says_more_than_the_likeliest_class_there_is_none() -> None:
    assert called_from(EQUAL, 1) is None
    assert called_from(((0, 1, 1), (9, 0, 1), (1, 1, 0)), 1) is None


def asked(**changes: Any) -> Asked:
    known: dict[str, Any] = {
        "id": "i", "task": "flights", "bundle": "b" * 64, "row": 69_999, "decision": "late", "probability": 0.326,
        "probabilities": {"on time": 0.674, "late": 0.326}, "truth": "late", "milliseconds": 3.71,
    }  # fmt: skip
    return Asked(**{**known, **changes})


def test_an_answer_that_is_not_the_likeliest_class_says_why() -> None:
    said = _prediction(asked(called_from=called_from(DEAR, 1))).plain
    assert said == (
        "  Answer   row 69999: late, probability 0.326 (called late from 0.25 on; truth: late), served in 3.7 ms"
    )
    plain = _prediction(asked()).plain
    assert plain == "  Answer   row 69999: late, probability 0.326 (truth: late), served in 3.7 ms"


def test_predict_says_the_threshold_and_nothing_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    _show(asked(called_from=0.25))
    assert "called late from 0.25 on\n" in capsys.readouterr().out
    _show(asked())
    assert "called" not in capsys.readouterr().out


def test_a_table_of_gates_with_savings_holds_in_a_hundred_columns() -> None:
    worst = Difference(interval=Interval(value=-0.1135, low=-0.2, high=0.1), lower=-0.1085, p_worse=1.0, rows=9)
    figure = show_difference(worst, differ=True)
    gate = GateResult(
        name="not worse than the champion", figure=figure, limit="above -0.0050", passed=True, reason="good"
    )
    verdict = Verdict(bundle="b", dataset="d", champion="", gates=(gate,), passed=True)
    screen = Console(width=100)
    with screen.capture() as shown:
        screen.print(gates_table(cast(Decision, SimpleNamespace(verdict=verdict))))
    assert f" ✓  not worse than the champion  {figure}  above -0.0050" in shown.get()
