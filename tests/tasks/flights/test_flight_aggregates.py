"""Aggregates: every row is what a plain recount says, and a row stands wherever something changed."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.errors import UsageError
from noria.tasks.flights.aggregates import GRID, aggregate, next_tick

START = np.datetime64("2013-03-10T00:00", "us")
MINUTE = np.timedelta64(1, "m")
WINDOWS = (np.timedelta64(45, "m"), np.timedelta64(2, "h"))
UNTIL = START + np.timedelta64(8, "h")

# Minutes, and now and then a microsecond before or after one: ticks, and edges of windows, are hit often.
moments = st.builds(
    lambda minutes, us: START + minutes * MINUTE + np.timedelta64(us, "us"),
    st.one_of(st.integers(0, 32).map(lambda quarter: 15 * quarter), st.integers(0, 480)),
    st.sampled_from([0, 0, -1, 1]),
)
events = st.lists(st.tuples(st.integers(0, 3), moments, st.integers(-30, 90)), max_size=30)


def rows_of(found, until=UNTIL):
    keys = np.array([key for key, _, _ in found], np.int64)
    landed = np.array([landed for _, landed, _ in found], "datetime64[us]")
    values = np.array([[delay >= 15, delay] for _, _, delay in found], np.int64).reshape(-1, 2)
    return aggregate(keys, landed, values, windows=WINDOWS, until=until)


def recount(found, key, tick):
    """Of each window, how many events, how many late, and the sum of their delays."""
    spans = [[d for k, at, d in found if k == key and tick - window < at <= tick] for window in WINDOWS]
    return [(len(delays), sum(delay >= 15 for delay in delays), sum(delays)) for delays in spans]


@settings(max_examples=150, deadline=timedelta(seconds=5))
@given(events)
def test_at_every_tick_the_last_row_is_what_a_recount_says(found):
    rows = rows_of(found)
    said = {}
    for row, (key, tick) in enumerate(zip(rows.keys.tolist(), rows.ticks, strict=True)):
        said[key, tick] = [
            (count, *sums) for count, sums in zip(rows.counts[row].tolist(), rows.sums[row].tolist(), strict=True)
        ]
    assert len(said) == len(rows.keys), "no key has two rows at a tick"
    for key in range(4):
        before = None
        for tick in np.arange(START, UNTIL + GRID, GRID):
            now = recount(found, key, tick)
            if (key, tick) in said:
                assert said[key, tick] == now
                assert now != before, "a row stands only where something changed"
            else:
                assert before == now or (before is None and not any(at <= tick for k, at, _ in found if k == key))
            before = now if (key, tick) in said else before
    assert not [tick for _, tick in said if tick > UNTIL]


@given(events)
def test_rows_stand_by_tick_and_then_by_key(found):
    rows = rows_of(found)
    order = list(zip(rows.ticks.tolist(), rows.keys.tolist(), strict=True))
    assert order == sorted(order)


@given(events, moments)
def test_what_happens_later_changes_no_row_that_is_known(found, now):
    known = [event for event in found if event[1] <= now]
    before, after = rows_of(known), rows_of(found)
    old, new = before.ticks <= now, after.ticks <= now
    for part in ("keys", "ticks", "counts", "sums"):
        assert (getattr(before, part)[old] == getattr(after, part)[new]).all()


def test_an_event_counts_from_its_tick_on_and_until_its_window_has_passed():
    (on,) = rows_of([(0, START, 20)]).ticks[:1]
    assert on == START
    rows = rows_of([(0, START + np.timedelta64(1, "us"), 20)])
    assert (rows.ticks - START).astype("timedelta64[m]").astype(int).tolist() == [15, 60, 135]
    assert rows.counts.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert rows.sums[:, 1].tolist() == [[1, 20], [1, 20], [0, 0]]


@pytest.mark.parametrize(("last", "changes"), [(20, False), (14, True), (21, True)])
def test_where_one_event_takes_the_place_of_another_only_a_difference_makes_a_row(last, changes):
    # At minute 120 one event comes, one leaves the short window and one the long one.
    found = rows_of([(0, START + minute * MINUTE, delay) for minute, delay in ((0, 20), (75, 20), (120, last))])
    assert (START + 120 * MINUTE in found.ticks) == changes


def test_no_row_speaks_of_a_time_after_the_end_of_the_source():
    assert rows_of([(0, START, 20)], until=START).ticks.tolist() == [START.item()]


def test_the_next_tick_of_a_tick_is_itself():
    at = START + np.array([0, 1, 900_000_000, 900_000_001]) * np.timedelta64(1, "us")
    assert ((next_tick(at) - START) / GRID).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("minutes", [0, 10, 20])
def test_a_window_that_is_no_whole_steps_of_the_grid_is_refused(minutes):
    with pytest.raises(UsageError, match="expected whole steps"):
        aggregate(
            np.zeros(1, np.int64), np.array([START]), np.zeros((1, 1), np.int64),
            windows=(np.timedelta64(minutes, "m"),), until=UNTIL,
        )  # fmt: skip


def test_more_keys_and_days_than_can_be_told_apart_are_refused():
    year = np.array([START, START + np.timedelta64(365, "D")])
    with pytest.raises(UsageError, match="1000001 keys over 365 days: give fewer at a time"):
        aggregate(np.array([0, 10**6]), year, np.zeros((2, 1), np.int64), windows=WINDOWS, until=UNTIL)
