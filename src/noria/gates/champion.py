"""Champion gate: is the candidate not worse than the champion, on the same rows?

A candidate that is the champion already (equal digests) passes, with a reason that says so: nothing about it has to be
kept out, there is nothing to promote, and a second run with nothing changed ends well. Its difference has to be exactly
0: the same model with two sets of answers means that the evidence is not what it says, and fails.
"""

from __future__ import annotations

from noria.gates.data import evaluation_of
from noria.gates.evidence import Evidence
from noria.gates.limits import Limits
from noria.gates.results import GateResult, costs_differ, show_difference
from noria.gates.skill import comparison_with

NAME = "not worse than the champion"


def not_worse_than_champion(evidence: Evidence, limits: Limits) -> GateResult:
    """The one-sided lower bound of the paired difference is above -margin."""
    evaluation = evaluation_of(evidence)
    limit = f"above {-limits.margin:+.4f}"
    if not evaluation.champion:
        return GateResult(name=NAME, figure="no champion", limit=limit, passed=True, reason="no champion yet")
    whole = comparison_with(evidence, "champion").whole
    if evaluation.bundle == evaluation.champion:
        passed = whole.interval.value == 0.0 and whole.lower == 0.0
        reason = "is the champion already" if passed else "is the champion already, yet answered otherwise than itself"
    else:
        passed = whole.lower > -limits.margin
        reason = (
            f"shown to be at most {limits.margin:.4f} worse than the champion"
            if passed
            else f"may be more than {limits.margin:.4f} worse than the champion"
        )
        if evaluation.champion_seen:
            reason += (
                f", which learned from the time of {evaluation.champion_seen:,} of these rows and has the advantage"
            )
    figure = show_difference(whole, differ=costs_differ(evaluation))
    return GateResult(name=NAME, figure=figure, limit=limit, passed=passed, reason=reason)
