"""Judge: all gates, and the verdict that they give together."""

from __future__ import annotations

from collections.abc import Callable

from noria.errors import EvidenceError
from noria.gates.calibration import is_calibrated
from noria.gates.champion import not_worse_than_champion
from noria.gates.data import data_are_clean, rows_are_enough
from noria.gates.evidence import Evidence, Subject
from noria.gates.limits import Limits, departures
from noria.gates.parity import export_is_faithful
from noria.gates.results import GateResult, Verdict
from noria.gates.serving import answers_all, answers_are_equal, answers_in_time, bears_load, fits_into_memory
from noria.gates.skill import beats_no_skill, beats_rule
from noria.gates.slices import no_slice_worse

Gate = Callable[[Evidence, Limits], GateResult]

GATES: tuple[Gate, ...] = (
    data_are_clean,
    rows_are_enough,
    beats_no_skill,
    beats_rule,
    not_worse_than_champion,
    no_slice_worse,
    is_calibrated,
    export_is_faithful,
    answers_are_equal,
    answers_all,
    answers_in_time,
    bears_load,
    fits_into_memory,
)


def judge(
    evidence: Evidence,
    limits: Limits,
    *,
    usual: Limits | None = None,
    expected: Subject | None = None,
    gates: tuple[Gate, ...] = GATES,
) -> Verdict:
    """Ask every gate; the candidate passes if all of them let it.

    `usual` are the limits of the environment, which the verdict tells where `limits` depart from them.

    Raises EvidenceError where evidence is missing, pieces speak of different bundles or datasets, the whole speaks of
    something else than `expected`, or the evaluation was made for other margins than the limits'. A figure that is no
    number fails its gate.
    """
    subject = evidence.check(expected)
    _check_terms(evidence, limits)
    if not gates:
        raise EvidenceError("there are no gates: a verdict without a gate would let anything pass")
    results = tuple(gate(evidence, limits) for gate in gates)
    return Verdict(
        bundle=subject.bundle,
        dataset=subject.dataset,
        champion=subject.champion,
        gates=results,
        passed=all(result.passed for result in results),
        departures=departures(limits, usual) if usual else (),
    )


def _check_terms(evidence: Evidence, limits: Limits) -> None:
    for name in ("margin", "slice_margin", "confidence"):
        found, expected = getattr(evidence.evaluation, name), getattr(limits, name)
        if found != expected:
            raise EvidenceError(
                f"the evaluation was made for {name} {found}, the limit is {expected}: evaluate again with the limits "
                "that are to decide"
            )
