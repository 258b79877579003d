"""Times: clocks become the right instants, also at midnight and in the nights on which clocks are changed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.errors import SourceError
from noria.tasks.flights.times import first_after, read_clock, to_instants, to_local

NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"


def local(*texts):
    return np.array(texts, "datetime64[m]")


def instant(*texts):
    return np.array(texts, "datetime64[us]")


def test_a_clock_is_read_with_its_day():
    days = np.array(["2013-01-31"] * 7, "datetime64[D]")
    found = read_clock(days, np.array([0, 517, 2359, 2400, np.nan, 1275, 2401]))
    assert found[:4].tolist() == local("2013-01-31", "2013-01-31T05:17", "2013-01-31T23:59", "2013-02-01").tolist()
    assert np.isnat(found[4:]).all()


def test_winter_and_summer_differ_by_an_hour():
    found = to_instants(local("2013-01-01T05:15", "2013-07-01T05:15", "NaT"), NEW_YORK)
    assert found.earlier[:2].tolist() == instant("2013-01-01T10:15", "2013-07-01T09:15").tolist()
    assert np.isnat(found.earlier[2])
    assert np.isnat(found.later[2])
    assert not found.twice.any()
    assert not found.never.any()


def test_around_the_hour_that_never_comes_both_readings_are_said():
    found = to_instants(local("2013-03-10T01:59", "2013-03-10T02:00", "2013-03-10T02:59", "2013-03-10T03:00"), NEW_YORK)
    assert found.never.tolist() == [False, True, True, False]
    assert not found.twice.any()
    assert (
        found.earlier.tolist()
        == instant("2013-03-10T06:59", "2013-03-10T06:00", "2013-03-10T06:59", "2013-03-10T07:00").tolist()
    )
    assert ((found.later - found.earlier) / np.timedelta64(1, "m")).tolist() == [0, 60, 60, 0]


def test_around_the_hour_that_comes_twice_both_readings_are_said():
    found = to_instants(local("2013-11-03T00:59", "2013-11-03T01:00", "2013-11-03T01:59", "2013-11-03T02:00"), NEW_YORK)
    assert found.twice.tolist() == [False, True, True, False]
    assert not found.never.any()
    assert (
        found.earlier.tolist()
        == instant("2013-11-03T04:59", "2013-11-03T05:00", "2013-11-03T05:59", "2013-11-03T07:00").tolist()
    )
    assert ((found.later - found.earlier) / np.timedelta64(1, "m")).tolist() == [0, 60, 60, 0]


@given(st.integers(0, 365 * 24 * 60))
def test_an_instant_is_one_of_the_readings_of_what_the_clock_shows(minutes):
    at = instant("2013-01-01") + minutes * np.timedelta64(1, "m")
    found = to_instants(to_local(at, NEW_YORK), NEW_YORK)
    assert at in (found.earlier, found.later)
    assert not found.never[0]


@pytest.mark.parametrize(
    ("start", "clock", "zone", "arrives"),
    [
        ("2013-06-10T13:00", 1200, NEW_YORK, "2013-06-10T16:00"),
        ("2013-06-11T03:30", 45, NEW_YORK, "2013-06-11T04:45"),  # from 23:30 past midnight
        ("2013-06-11T03:30", 2400, NEW_YORK, "2013-06-11T04:00"),  # at midnight
        ("2013-06-11T03:30", 210, LOS_ANGELES, "2013-06-11T09:10"),  # from 23:30, and 20:30 there, past midnight there
        ("2013-06-10T04:15", 2345, LOS_ANGELES, "2013-06-10T06:45"),  # from 00:15, to the day before
        ("2013-06-10T14:00", 1000, NEW_YORK, "2013-06-11T14:00"),  # the same clock is not after
        ("2013-03-10T05:00", 230, NEW_YORK, "2013-03-10T07:30"),  # never comes: the later reading
        ("2013-11-03T03:00", 130, NEW_YORK, "2013-11-03T06:30"),  # comes twice: the later one
    ],
)
def test_an_arrival_is_the_first_instant_at_which_the_clock_there_shows_it(start, clock, zone, arrives):
    day = to_local(instant(start), NEW_YORK).astype("datetime64[D]")
    assert first_after(instant(start), day, np.array([clock]), zone).tolist() == instant(arrives).tolist()


def test_a_clock_that_shows_nothing_is_never_arrived_at():
    found = first_after(instant("2013-06-10"), np.array(["2013-06-10"], "datetime64[D]"), np.array([np.nan]), NEW_YORK)
    assert np.isnat(found).all()


def test_a_zone_that_nobody_knows_is_refused():
    with pytest.raises(SourceError, match="no time zone 'Mars/Olympus' is known here: install tzdata"):
        to_instants(local("2013-01-01"), "Mars/Olympus")
