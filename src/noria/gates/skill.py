"""Skill gates: is the candidate better than no skill and than the rule that people would use without a model?"""

from __future__ import annotations

from noria.errors import EvidenceError
from noria.gates.data import evaluation_of
from noria.gates.evidence import Evidence
from noria.gates.limits import Limits
from noria.gates.results import GateResult, costs_differ, show_difference
from noria.ml.scores import Comparison


def comparison_with(evidence: Evidence, opponent: str) -> Comparison:
    """The candidate against the opponent; EvidenceError where they were not compared."""
    evaluation = evaluation_of(evidence)
    if opponent not in evaluation.comparisons:
        raise EvidenceError(
            f"the candidate was compared with {', '.join(sorted(evaluation.comparisons)) or 'nobody'}, not with the "
            f"{opponent}: evaluate it with the {opponent} on the same rows"
        )
    return evaluation.comparisons[opponent]


def beats_no_skill(evidence: Evidence, _limits: Limits) -> GateResult:
    """The lower bound of the difference to the no-skill model is above 0."""
    return _beats(evidence, "no-skill", "the no-skill model")


def beats_rule(evidence: Evidence, _limits: Limits) -> GateResult:
    """The lower bound of the difference to the task's rule is above 0."""
    return _beats(evidence, "rule", "the rule")


def _beats(evidence: Evidence, opponent: str, called: str) -> GateResult:
    whole = comparison_with(evidence, opponent).whole
    passed = whole.lower > 0.0 and whole.interval.value > 0.0
    return GateResult(
        name=f"beats {called}",
        figure=show_difference(whole, differ=costs_differ(evaluation_of(evidence))),
        limit="above 0",
        passed=passed,
        reason=f"better than {called} on the same rows" if passed else f"not shown to be better than {called}",
    )
