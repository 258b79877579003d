"""Times of the clock are read as Kubeflow Pipelines will read them, and what it would refuse is refused here."""

from __future__ import annotations

import pytest

from noria.errors import UsageError
from pipelines.cron import FIELDS, parse_cron


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0 2 * * *", "0 0 2 * * *"),
        ("30 0 2 * * 1-5", "30 0 2 * * 1-5"),
        ("*/5 8-18 * * mon-FRI", "0 */5 8-18 * * mon-FRI"),
        ("0 0 1 jan,Jul ?", "0 0 0 1 jan,Jul ?"),
        ("59 23 31 12 6", "0 59 23 31 12 6"),
        ("  0  2  29 2 * ", "0 0 2 29 2 *"),
        ("0 2 30 2 1", "0 0 2 30 2 1"),  # each Monday of February, for the weekday is enough
    ],
)
def test_a_time_is_kept_as_kfps_six_fields(given: str, kept: str) -> None:
    assert parse_cron(given) == kept


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("61 3 * * *", "minute '61' is out of bounds: expected 0 to 59"),
        ("0 24 * * *", "hour '24' is out of bounds: expected 0 to 23"),
        ("0 2 0 * *", "day '0' is out of bounds: expected 1 to 31"),
        ("0 2 * 1,13 *", "month '1,13' is out of bounds: expected 1 to 12, or jan to dec"),
        ("0 2 * * 7", "weekday '7' is out of bounds: expected 0 to 6, or sun to sat; Sunday is 0"),
        ("0 2 * * montag", "weekday 'montag' is no number"),
        ("60 0 2 * * *", "second '60' is out of bounds"),
        ("0 18-8 * * *", "hour '18-8' goes backwards"),
        ("*/0 2 * * *", r"minute '\*/0' has a step of 0"),
        ("*-5 2 * * *", r"minute '\*-5' is a range from everything"),
        ("0 2, * * *", "hour '2,' is no number, range a-b, list a,b"),
        ("0 2 * *", "has 4 fields: expected five, minute, hour, day, month and weekday"),
        ("", "has 0 fields"),
        ("0 2 30 2 *", "never comes: none of its months has a day 30"),
        ("0 2 31 4,6,9,11 ?", "never comes: none of its months has a day 31"),
    ],
)
def test_a_time_that_never_comes_is_refused_with_what_is_expected(given: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_cron(given)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_bounds_of_each_field_are_within_it(field) -> None:
    assert field.read("*") == field.read("?") == set(range(field.low, field.high + 1))
    assert field.read(f"{field.low}") == {field.low}
    assert max(field.read(f"{field.high}")) == field.high
    assert field.read(f"{field.low + 1}/2") == set(range(field.low + 1, field.high + 1, 2))
