"""Serving gates: does a real server give the bundle's answers, all of them, and within its budget?"""

from __future__ import annotations

import math

from noria.errors import EvidenceError
from noria.gates.evidence import Evidence, ServingEvidence
from noria.gates.limits import Limits
from noria.gates.results import GateResult


def serving_of(evidence: Evidence) -> ServingEvidence:
    """The serving evidence; EvidenceError where there is none."""
    if evidence.serving is None:
        raise EvidenceError("there is no evidence of serving: start the candidate's server and query it, then decide")
    return evidence.serving


def answers_are_equal(evidence: Evidence, limits: Limits) -> GateResult:
    """No answer decides otherwise than the bundle offline, and no probability differs by more than its limit."""
    serving = serving_of(evidence)
    passed = serving.wrong == 0 and 0.0 <= serving.max_difference <= limits.served_difference
    return GateResult(
        name="served answers are equal",
        figure=f"{serving.wrong} wrong, difference {serving.max_difference:.1e}",
        limit=f"0 wrong, difference at most {limits.served_difference:.1e}",
        passed=passed,
        reason="the server answers as the bundle offline" if passed else "the server answers otherwise than offline",
    )


def answers_all(evidence: Evidence, limits: Limits) -> GateResult:
    """Enough requests were made and every one was answered."""
    serving = serving_of(evidence)
    enough, whole = serving.requests >= limits.served_requests, serving.errors == 0
    asked = serving.requests + serving.load_requests
    return GateResult(
        name="serves without errors",
        figure=f"{serving.errors} errors in {asked:,} requests",
        limit=f"0 errors in {limits.served_requests:,} requests or more",
        passed=enough and whole,
        reason="every request was answered"
        if enough and whole
        else ("some requests were not answered" if enough else "too few requests to say"),
    )


def answers_in_time(evidence: Evidence, limits: Limits) -> GateResult:
    """The 95th percentile of the latency is within its budget."""
    serving = serving_of(evidence)
    passed = 0.0 <= serving.p95_ms <= limits.latency_p95_ms
    return GateResult(
        name="answers in time",
        figure=f"p50 {serving.p50_ms:.1f} ms, p95 {serving.p95_ms:.1f} ms",
        limit=f"p95 at most {limits.latency_p95_ms:.1f} ms",
        passed=passed,
        reason="within the latency budget" if passed else "slower than the latency budget",
    )


def bears_load(evidence: Evidence, limits: Limits) -> GateResult:
    """Asked over several connections at once, it answers as many rows a second as it has to."""
    serving = serving_of(evidence)
    rate, enough = serving.rows_per_second, serving.load_requests >= limits.served_requests
    fast = rate is not None and limits.rows_per_second <= rate < math.inf
    reason = _reason(rate, fast, "answers enough rows a second", "answers too few rows a second")
    return GateResult(
        name="bears the load",
        figure="not measured" if rate is None else f"{rate:,.1f} rows/s in {serving.load_requests:,} requests",
        limit=f"at least {limits.rows_per_second:,g} rows/s in {limits.served_requests:,} requests or more",
        passed=fast and enough,
        reason="too few requests at once to say" if fast and not enough else reason,
    )


def fits_into_memory(evidence: Evidence, limits: Limits) -> GateResult:
    """After all requests the server's process holds no more memory than it may."""
    memory = serving_of(evidence).memory_mib
    passed = memory is not None and 0.0 < memory <= limits.memory_mib
    return GateResult(
        name="fits into memory",
        figure="not measured" if memory is None else f"{memory:,.1f} MiB resident",
        limit=f"at most {limits.memory_mib:,g} MiB",
        passed=passed,
        reason=_reason(memory, passed, "within the memory budget", "more memory than the budget has"),
    )


def _reason(found: float | None, passed: bool, good: str, bad: str) -> str:
    """Why a figure passed or not; one that nobody measured, or that is no number, proves nothing."""
    if found is None or not math.isfinite(found):
        return "nobody measured it, and so nobody can say"
    return good if passed else bad
