"""Parity gate: does the exported model answer as the network that was trained?"""

from __future__ import annotations

from noria.errors import EvidenceError
from noria.gates.evidence import Evidence
from noria.gates.limits import Limits
from noria.gates.results import GateResult


def export_is_faithful(evidence: Evidence, limits: Limits) -> GateResult:
    """The largest difference of a probability is within its limit, on enough rows."""
    parity = evidence.parity
    if parity is None:
        raise EvidenceError("there is no evidence of parity: run the step train, then decide")
    enough, near = parity.rows >= limits.parity_rows, 0.0 <= parity.max_difference <= limits.parity
    return GateResult(
        name="export is faithful",
        figure=f"{parity.max_difference:.1e} on {parity.rows:,} rows",
        limit=f"at most {limits.parity:.1e} on {limits.parity_rows:,} rows or more",
        passed=enough and near,
        reason="the exported model answers as the trained network"
        if enough and near
        else ("the exported model answers otherwise than the trained network" if enough else "too few rows to say"),
    )
