"""Data gates: are the data clean, and are there enough of them to decide on?"""

from __future__ import annotations

import math

from noria.errors import EvidenceError
from noria.gates.evidence import Evidence
from noria.gates.limits import Limits
from noria.gates.results import GateResult
from noria.ml.scores import Evaluation


def evaluation_of(evidence: Evidence) -> Evaluation:
    """The evaluation; EvidenceError where there is none."""
    if evidence.evaluation is None:
        raise EvidenceError("there is no evidence of evaluation: run the step evaluate, then decide")
    return evidence.evaluation


def data_are_clean(evidence: Evidence, _limits: Limits) -> GateResult:
    """No rule of validation is broken."""
    data = evidence.data
    if data is None:
        raise EvidenceError("there is no evidence of data: run the step validate, then decide")
    passed = data.rows > 0 and data.violations == 0
    found = f"{data.violations} violations, {data.notices} notices in {data.rows:,} rows"
    return GateResult(
        name="data are clean",
        figure=found,
        limit="0 violations",
        passed=passed,
        reason="validation found nothing that stops a run" if passed else f"validation found {found}: see its report",
    )


def rows_are_enough(evidence: Evidence, limits: Limits) -> GateResult:
    """Held-out rows and draws suffice for what the other gates read from them."""
    evaluation = evaluation_of(evidence)
    needed = max(limits.draws, needed_draws(len(evaluation.slice_rows), limits.confidence))
    enough_rows, enough_draws = evaluation.rows >= limits.rows, evaluation.draws >= needed
    if not enough_rows:
        reason = f"{evaluation.rows} held-out rows cannot carry a decision: lengthen the holdout"
    elif not enough_draws:
        reason = (
            f"{evaluation.draws} draws cannot show that one of {len(evaluation.slice_rows)} slices got worse: take more"
        )
    else:
        reason = "enough held-out rows and draws to decide on"
    return GateResult(
        name="enough held-out rows",
        figure=f"{evaluation.rows:,} rows, {evaluation.draws:,} draws",
        limit=f"at least {limits.rows:,} rows, {needed:,} draws",
        passed=enough_rows and enough_draws,
        reason=reason,
    )


def needed_draws(slices: int, confidence: float) -> int:
    """Draws below which Holm's correction could never refuse a slice: the smallest p-value is 1 / (draws + 1)."""
    return math.ceil(max(1, slices) / (1.0 - confidence) - 1e-9)
