"""Calibration gate: do the candidate's confidences mean what they say?"""

from __future__ import annotations

from noria.errors import EvidenceError
from noria.gates.data import evaluation_of
from noria.gates.evidence import Evidence
from noria.gates.limits import Limits
from noria.gates.results import GateResult, show_interval


def is_calibrated(evidence: Evidence, limits: Limits) -> GateResult:
    """The expected calibration error on the held-out rows is within its limit."""
    scores = evaluation_of(evidence).scores
    if "candidate" not in scores:
        raise EvidenceError("the evaluation holds no scores of the candidate: evaluate it again")
    ece = scores["candidate"].ece
    passed = 0.0 <= ece.value <= limits.ece
    return GateResult(
        name="calibrated",
        figure=show_interval(ece),
        limit=f"at most {limits.ece:.4f}",
        passed=passed,
        reason="confidence and accuracy agree" if passed else "confidence and accuracy lie too far apart",
    )
