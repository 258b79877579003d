"""Splits: time runs forward from training to holdout."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.errors import DatasetError
from noria.ml.splits import split_by_time

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
    with pytest.raises(DatasetError, match="no row for train, validation"):
        split_by_time(times_of([0, 0]), validation_days=1, holdout_days=1)
