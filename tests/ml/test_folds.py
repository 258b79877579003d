"""Folds: each trains on what came before it alone, and no group stands on two of its sides."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.errors import DatasetError, UsageError
from noria.ml.folds import forward_folds
from noria.ml.splits import split_rows
from noria.schema import Column, Schema

START = np.datetime64("2024-01-01", "us")
HOUR = np.timedelta64(1, "h")
SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="x", type="float32", role="feature"),
        Column(name="label", type="int64", role="label"),
        Column(name="landed", type="timestamp", role="known"),
        Column(name="aircraft", type="string", role="group"),
    )
)
# (hours after the start, hours until the label is known, aircraft) by row, beside rows that no fold lacks
ROWS = st.lists(
    st.tuples(st.integers(0, 24 * 24 - 1), st.integers(0, 60), st.integers(0, 40)), min_size=1, max_size=200
).map(lambda told: told + REGULAR)
REGULAR = [(24 * day + 6 * part, 3, 0) for day in range(24) for part in range(4)]


def rows_of(told):
    hours, delays, aircraft = (np.array(column) for column in zip(*told, strict=True))
    times = START + hours * HOUR
    names = np.array([f"N{number}" if number else None for number in aircraft], object)
    return {"time": times, "landed": times + delays * HOUR, "aircraft": names}


def evenly():
    return rows_of(REGULAR)


@settings(deadline=None, derandomize=True)
@given(ROWS, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_time_runs_forward_in_each_fold_and_through_all_of_them(told, folds, validation_days, holdout_days):
    rows = rows_of(told)
    days = {"validation_days": validation_days, "holdout_days": holdout_days}
    found = forward_folds(SCHEMA, rows, folds=folds, **days)
    times, landed, aircraft = rows["time"], rows["landed"], rows["aircraft"]
    day = times.astype("datetime64[D]")
    assert len(found) == folds
    for fold in found:
        begins = day[fold.holdout].max() - holdout_days + 1
        assert day[fold.holdout].min() >= begins
        for older, newer, from_day in (
            (fold.train, fold.validation, begins - validation_days),
            (fold.validation, fold.holdout, begins),
        ):
            assert times[older].max() < times[newer].min()
            assert landed[older].max() <= from_day  # the gap: no label that was not known yet
        parts = [{name for name in aircraft[part] if name} for part in (fold.train, fold.validation, fold.holdout)]
        assert not parts[0] & (parts[1] | parts[2])
        assert not parts[1] & parts[2]
    held = np.concatenate([fold.holdout for fold in found])
    assert len(set(held.tolist())) == len(held)
    assert day.max() - day[held].min() < folds * holdout_days
    for older, newer in pairwise(found):
        assert times[older.holdout].max() < times[newer.holdout].min()


@settings(deadline=None, derandomize=True)
@given(ROWS, st.integers(1, 3))
def test_nothing_that_comes_after_a_fold_changes_it(told, folds):
    rows = rows_of(told)
    days = {"validation_days": 2, "holdout_days": 3}
    found = forward_folds(SCHEMA, rows, folds=folds, **days)
    day = rows["time"].astype("datetime64[D]")
    for number, fold in enumerate(found):
        then = np.flatnonzero(day < day.max() + 1 - 3 * (folds - 1 - number))
        alone = split_rows(SCHEMA, {name: values[then] for name, values in rows.items()}, **days)
        for part in ("train", "validation", "holdout"):
            assert then[getattr(alone, part)].tolist() == getattr(fold, part).tolist()


def test_the_last_fold_is_the_split_of_a_run():
    rows = evenly()
    days = {"validation_days": 3, "holdout_days": 5}
    last, run = forward_folds(SCHEMA, rows, folds=3, **days)[-1], split_rows(SCHEMA, rows, **days)
    assert [last.train.tolist(), last.validation.tolist(), last.holdout.tolist()] == [
        run.train.tolist(), run.validation.tolist(), run.holdout.tolist(),
    ]  # fmt: skip


def test_folds_that_leave_nothing_to_train_on_are_refused_by_number():
    with pytest.raises(DatasetError, match=r"fold 1, which ends with 2024-01-09, cannot be made .no row for train"):
        forward_folds(SCHEMA, evenly(), folds=4, validation_days=4, holdout_days=5)
    with pytest.raises(UsageError, match="0 folds are asked for"):
        forward_folds(SCHEMA, evenly(), folds=0, validation_days=4, holdout_days=5)


def test_a_fold_without_rows_on_its_last_day_is_refused_for_its_days_would_be_others():
    rows = evenly()
    there = rows["time"].astype("datetime64[D]") != np.datetime64("2024-01-19")
    rows = {name: values[there] for name, values in rows.items()}
    with pytest.raises(DatasetError, match=r"fold 1 would end with 2024-01-19, and its newest row is of 2024"):
        forward_folds(SCHEMA, rows, folds=2, validation_days=3, holdout_days=5)
