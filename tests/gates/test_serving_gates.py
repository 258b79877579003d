"""The serving gates at their limits, and a hair beyond."""

from __future__ import annotations

import math

import pytest
from known_evidence import good_evidence, with_serving

from noria.gates.judge import judge
from noria.gates.limits import Limits
from noria.gates.serving import answers_in_time, bears_load, fits_into_memory

LIMITS = Limits(latency_p95_ms=20.0, rows_per_second=250.0, memory_mib=300.0, served_requests=150)
AT_THE_LIMIT = {"p95_ms": 20.0, "rows_per_second": 250.0, "memory_mib": 300.0, "load_requests": 150}
GATES = {"p95_ms": answers_in_time, "rows_per_second": bears_load, "memory_mib": fits_into_memory}


def test_what_lies_at_every_limit_passes() -> None:
    assert judge(with_serving(**AT_THE_LIMIT), LIMITS).passed


@pytest.mark.parametrize(
    ("field", "towards"), [("p95_ms", math.inf), ("rows_per_second", 0.0), ("memory_mib", math.inf)]
)
def test_the_next_number_beyond_a_limit_does_not_pass(field: str, towards: float) -> None:
    beyond = math.nextafter(AT_THE_LIMIT[field], towards)
    assert not GATES[field](with_serving(**AT_THE_LIMIT | {field: beyond}), LIMITS).passed


def test_a_rate_of_fewer_requests_than_the_limit_says_nothing() -> None:
    few = bears_load(with_serving(load_requests=149), LIMITS)
    assert (few.passed, few.reason) == (False, "too few requests at once to say")


def test_no_limit_however_loose_lets_pass_what_was_not_measured() -> None:
    loose = Limits(rows_per_second=0.0, memory_mib=1e12)
    for nothing in (None, math.nan, math.inf, -math.inf):
        for field, gate in (("rows_per_second", bears_load), ("memory_mib", fits_into_memory)):
            found = gate(with_serving(**{field: nothing}), loose)
            assert (found.passed, found.reason) == (False, "nobody measured it, and so nobody can say")


def test_the_reasons_say_what_is_wrong() -> None:
    assert bears_load(with_serving(rows_per_second=99.9), Limits()).reason == "answers too few rows a second"
    assert fits_into_memory(with_serving(memory_mib=1024.1), Limits()).reason == "more memory than the budget has"
    assert bears_load(good_evidence(), Limits()).reason == "answers enough rows a second"
    assert fits_into_memory(good_evidence(), Limits()).reason == "within the memory budget"
