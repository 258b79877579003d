"""Groups: numbers that KFP hands on as floats are what they were."""

import pytest

from noria.errors import UsageError
from noria.gates.limits import Limits
from noria.steps.groups import read_group, read_values


def test_whole_numbers_are_whole_again():
    assert read_values({"width": 8.0, "dropout": 0.5, "name": "x", "on": True}) == {
        "width": 8, "dropout": 0.5, "name": "x", "on": True,
    }  # fmt: skip


def test_a_group_becomes_its_type():
    assert read_group("limits", {"rows": 300.0, "ece": 1.0}, Limits) == Limits(rows=300, ece=1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"row": 1}, "limits has no row: there are"), ({"rows": "many"}, "does not fit"), ({"rows": 0}, "at least 1")],
)
def test_what_does_not_fit_is_named(given, message):
    with pytest.raises(UsageError, match=message):
        read_group("limits", given, Limits)
