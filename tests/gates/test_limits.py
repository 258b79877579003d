from dataclasses import fields, replace

import pytest
from known_evidence import good_evidence

from noria.errors import UsageError
from noria.gates.judge import judge
from noria.gates.limits import LOOSER, Limits, departures


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin": float("nan")},
        {"slice_margin": -0.1},
        {"ece": float("inf")},
        {"confidence": 0.3},
        {"confidence": 1.0},
        {"rows": 0},
        {"served_requests": 0},
        {"parity_rows": 0},
        {"rows_per_second": float("nan")},
        {"memory_mib": float("inf")},
    ],
)
def test_a_limit_that_limits_nothing_is_refused_by_name(wrong):
    with pytest.raises(UsageError, match=f"limit {next(iter(wrong))} is"):
        Limits(**wrong)


def test_of_every_limit_it_is_known_which_way_is_looser():
    assert list(LOOSER) == [field.name for field in fields(Limits)]


@pytest.mark.parametrize(
    ("looser", "tighter"),
    [
        ({"margin": 0.006}, {"margin": 0.004}),
        ({"slice_margin": 0.04}, {"slice_margin": 0.02}),
        ({"slice_rows": 51}, {}),
        ({"slice_rows": 49}, {}),
        ({"confidence": 0.96}, {}),
        ({"confidence": 0.94}, {}),
        ({"rows": 199}, {"rows": 201}),
        ({"draws": 999}, {"draws": 1001}),
        ({"ece": 0.04}, {"ece": 0.02}),
        ({"parity": 1e-3}, {"parity": 1e-5}),
        ({"parity_rows": 99}, {"parity_rows": 101}),
        ({"served_difference": 1e-4}, {"served_difference": 1e-6}),
        ({"served_requests": 99}, {"served_requests": 101}),
        ({"latency_p95_ms": 51.0}, {"latency_p95_ms": 49.0}),
        ({"rows_per_second": 99.0}, {"rows_per_second": 101.0}),
        ({"memory_mib": 1025.0}, {"memory_mib": 1023.0}),
    ],
)
def test_a_limit_that_lets_more_pass_is_called_looser(looser, tighter):
    for changes, expected in ((looser, True), (tighter, False)):
        found = departures(replace(Limits(), **changes), Limits())
        assert [(one.limit, one.found, one.looser) for one in found] == [
            (name, value, expected) for name, value in changes.items()
        ]


def test_a_verdict_names_the_limits_that_are_not_the_usual_ones():
    limits = Limits(ece=0.5, latency_p95_ms=10.0)
    said = [str(one) for one in judge(good_evidence(), limits, usual=Limits()).departures]
    assert said == ["ece 0.5 (looser than 0.03)", "latency_p95_ms 10 (tighter than 50)"]
    assert judge(good_evidence(), limits, usual=limits).departures == ()
