"""Splits: time runs forward from training to holdout."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.errors import DatasetError
from noria.ml.splits import split_by_time, split_columns, split_rows
from noria.schema import Column, Schema

DAY = np.timedelta64(1, "D")


def times_of(days):
    return np.datetime64("2024-01-01", "us") + np.array(days) * DAY


def test_the_newest_days_are_held_out():
    split = split_by_time(times_of(range(10)), validation_days=2, holdout_days=3)
    assert split.train.tolist() == [0, 1, 2, 3, 4]
    assert split.validation.tolist() == [5, 6]
    assert split.holdout.tolist() == [7, 8, 9]


@given(st.lists(st.integers(0, 30 * 24), min_size=1, max_size=200), st.integers(1, 5), st.integers(1, 5))
def test_no_row_is_lost_doubled_or_out_of_time(hours, validation, holdout):
    times = np.datetime64("2024-01-01", "us") + np.array(hours) * np.timedelta64(1, "h")
    try:
        split = split_by_time(times, validation_days=validation, holdout_days=holdout)
    except DatasetError:
        return
    parts = (split.train, split.validation, split.holdout)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(hours)))
    for older, newer in pairwise(parts):
        assert times[older].max() < times[newer].min()


def test_an_empty_part_is_named():
    with pytest.raises(DatasetError, match="no row for train, validation") as caught:
        split_by_time(times_of([0, 0]), validation_days=3, holdout_days=4)
    assert "span 2024-01-01 to 2024-01-01, and validation_days is 3, holdout_days 4. Widen the" in str(caught.value)


def schema_of(*more):
    return Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name="x", type="float32", role="feature"),
            *more,
            Column(name="label", type="int64", role="label"),
        )
    )


KNOWN = Column(name="landed", type="timestamp", role="known")
GROUP = Column(name="aircraft", type="string", role="group")


@given(st.lists(st.integers(0, 30 * 24), min_size=1, max_size=200), st.integers(1, 5), st.integers(1, 5))
def test_without_known_and_groups_the_indexes_are_those_of_whole_days(hours, validation, holdout):
    times = np.datetime64("2024-01-01", "us") + np.array(hours) * np.timedelta64(1, "h")
    days = times.astype("datetime64[D]")
    cuts = days.max() + np.timedelta64(1, "D") - np.array([validation + holdout, holdout]) * DAY
    expected = [np.flatnonzero(np.searchsorted(cuts, days, "right") == part).tolist() for part in range(3)]
    try:
        split = split_rows(schema_of(), {"time": times}, validation_days=validation, holdout_days=holdout)
    except DatasetError:
        assert [] in expected
        return
    assert [split.train.tolist(), split.validation.tolist(), split.holdout.tolist()] == expected


def test_a_label_that_is_known_only_in_the_next_part_leaves_its_row_out():
    times = times_of([0, 1, 2, 3, 4, 5])
    known = times + np.array([24, 48, 25, 48, 25, 99]) * np.timedelta64(1, "h")
    rows = {"time": times, "landed": known}
    split = split_rows(schema_of(KNOWN), rows, validation_days=2, holdout_days=1)
    assert split.train.tolist() == [0, 1]  # what is known at the very moment at which validation begins is known
    assert split.validation.tolist() == [3]
    assert split.holdout.tolist() == [5]
    known[1] = np.datetime64("NaT")
    assert split_rows(schema_of(KNOWN), rows, validation_days=2, holdout_days=1).train.tolist() == [0]


def test_a_group_stands_in_its_last_part_alone():
    times = times_of([0, 1, 2, 3, 4, 5])
    rows = {"time": times, "aircraft": np.array(["a", "b", None, "b", "c", None], object)}
    split = split_rows(schema_of(GROUP), rows, validation_days=2, holdout_days=1)
    assert [part.tolist() for part in (split.train, split.validation, split.holdout)] == [[0, 2], [3, 4], [5]]
    rows["aircraft"][5] = "a"
    assert split_rows(schema_of(GROUP), rows, validation_days=2, holdout_days=1).train.tolist() == [2]


@given(st.lists(st.tuples(st.integers(0, 10 * 24), st.integers(0, 96), st.integers(0, 9)), min_size=1, max_size=99))
def test_every_row_that_may_stay_stays_and_no_other(rows):
    hours, delays, aircraft = np.array(rows).T
    times = np.datetime64("2024-01-01", "us") + hours * np.timedelta64(1, "h")
    known = times + delays * np.timedelta64(1, "h")
    names = np.array([f"n{number}" for number in aircraft], object)
    try:
        split = split_by_time(times, validation_days=2, holdout_days=3, known=known, groups=[names])
    except DatasetError:
        return
    found = np.full(len(rows), -1)
    for place, part in enumerate((split.train, split.validation, split.holdout)):
        found[part] = place
    first = times.max().astype("datetime64[D]") - 4 * DAY
    begins = [first, first + 2 * DAY]
    own = [sum(time >= begin for begin in begins) for time in times]
    for row, place in enumerate(own):
        late = place < 2 and known[row] > begins[place]
        tied = any(own[other] > place for other in range(len(rows)) if names[other] == names[row])
        assert found[row] == (-1 if late or tied else place)


def test_a_part_of_which_nothing_may_stay_is_told_with_the_reason():
    with pytest.raises(DatasetError, match=r"no row for train: .* 2 rows reach into a later part and are left out"):
        split_by_time(
            times_of([0, 1, 2, 3]), validation_days=1, holdout_days=1, groups=[np.array(["a", "a", "b", "a"], object)]
        )


def test_the_columns_of_a_split_are_those_that_it_needs():
    assert split_columns(schema_of()) == ("time",)
    assert split_columns(schema_of(GROUP, KNOWN)) == ("time", "landed", "aircraft")
