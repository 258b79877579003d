"""Results: what one gate says, and what all of them together do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from noria.gates.limits import Departure
from noria.ml.scores import Difference, Evaluation, Interval

ROUNDING = 1e-6  # figures of an evaluation are rounded to nine digits, and shown with six


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """One gate's answer; `figure` and `limit` are for people, `reason` says why it passed or did not."""

    name: str
    figure: str
    limit: str
    passed: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Every gate's answer about one candidate; `passed` only if each of them passed.

    `departures` are the limits that were not the environment's own.
    """

    bundle: str
    dataset: str
    champion: str
    gates: tuple[GateResult, ...]
    passed: bool
    departures: tuple[Departure, ...] = ()

    @property
    def refusals(self) -> tuple[GateResult, ...]:
        """The gates that the candidate did not pass."""
        return tuple(gate for gate in self.gates if not gate.passed)


def show_interval(interval: Interval) -> str:
    """Such as "0.9312 [0.926, 0.936]"."""
    return f"{interval.value:.4f} [{interval.low:.3f}, {interval.high:.3f}]"


def costs_differ(evaluation: Evaluation) -> bool:
    """Whether errors differ in cost, so that a saving is not simply a difference of accuracies."""
    mine = evaluation.scores["candidate"].accuracy.value
    return any(
        not math.isclose(
            comparison.whole.interval.value, mine - evaluation.scores[name].accuracy.value, abs_tol=ROUNDING
        )
        for name, comparison in evaluation.comparisons.items()
        if name in evaluation.scores and math.isfinite(comparison.whole.interval.value)
    )


def show_difference(difference: Difference, *, differ: bool) -> str:
    """Such as "+0.0047 accuracy, ≥ -0.0012"; where errors differ in cost, what the candidate saves.

    Its two-sided interval stands in the report: with it the figure would be wider than a table of gates can be.
    """
    lower = f"≥ {difference.lower:+.4f}"
    if differ:
        return f"saves {difference.interval.value:+.4f} of the dearest error, {lower}"
    return f"{difference.interval.value:+.4f} accuracy, {lower}"
