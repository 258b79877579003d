import pytest

from noria.errors import UsageError
from noria.gates.limits import Limits


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
    ],
)
def test_a_limit_that_limits_nothing_is_refused_by_name(wrong):
    with pytest.raises(UsageError, match=f"limit {next(iter(wrong))} is"):
        Limits(**wrong)
