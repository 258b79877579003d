"""Folds: forward-chaining cross-validation, in which each fold is the split of a run that was made earlier."""

from __future__ import annotations

import numpy as np

from noria.errors import DatasetError, UsageError
from noria.ml.splits import Split, split_columns, split_rows
from noria.schema import Schema
from noria.task import Rows


def forward_folds(
    schema: Schema, rows: Rows, *, folds: int, validation_days: int, holdout_days: int
) -> tuple[Split, ...]:
    """Hold out `folds` spans of `holdout_days` days each, the last of which ends with the rows; the oldest comes first.

    A fold holds what `split_rows` would have made of the rows up to the end of its span, with all their labels known:
    it trains on everything before, less a gap of the labels that were not known yet when its next part began, and less
    the rows of a group that reaches into a later part. Raises DatasetError, which names the fold, where a part of it
    would be empty.
    """
    if folds < 1:
        raise UsageError(f"{folds} folds are asked for: expected 1 or more")
    times = rows[schema.time.name]
    ends = times.astype("datetime64[D]").max() + 1 - np.arange(folds)[::-1] * np.timedelta64(holdout_days, "D")
    return tuple(
        _fold(schema, rows, number, end, validation_days=validation_days, holdout_days=holdout_days)
        for number, end in enumerate(ends, start=1)
    )


def _fold(
    schema: Schema, rows: Rows, number: int, end: np.datetime64, *, validation_days: int, holdout_days: int
) -> Split:
    there = np.flatnonzero(rows[schema.time.name] < end)
    part = {name: rows[name][there] for name in split_columns(schema)}
    last = rows[schema.time.name][there].astype("datetime64[D]").max() if len(there) else None
    if last != end - 1:
        raise DatasetError(
            f"fold {number} would end with {end - 1}, and its newest row is of {last or 'no day'}: expected rows "
            "on the last day of each fold; take fewer folds, or another number of holdout_days"
        )
    try:
        split = split_rows(schema, part, validation_days=validation_days, holdout_days=holdout_days)
    except DatasetError as error:
        raise DatasetError(f"fold {number}, which ends with {end - 1}, cannot be made ({error})") from error
    return Split(train=there[split.train], validation=there[split.validation], holdout=there[split.holdout])
