"""Splits: which rows train, which choose the epoch, and which only the gates may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import DatasetError

Indexes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Row indexes: every training row is older than every validation row, and these than the holdout."""

    train: Indexes
    validation: Indexes
    holdout: Indexes


def split_by_time(times: NDArray[Any], *, validation_days: int, holdout_days: int) -> Split:
    """Cut at whole days back from the newest row: the last `holdout_days` for the gates, those before for validation.

    `times` has shape (rows,), datetime64 in UTC. Raises DatasetError where a part would be empty.
    """
    days = times.astype("datetime64[D]")
    last = days.max() + np.timedelta64(1, "D")
    holdout_from = last - np.timedelta64(holdout_days, "D")
    validation_from = holdout_from - np.timedelta64(validation_days, "D")
    parts = {
        "train": np.flatnonzero(days < validation_from),
        "validation": np.flatnonzero((days >= validation_from) & (days < holdout_from)),
        "holdout": np.flatnonzero(days >= holdout_from),
    }
    empty = [name for name, rows in parts.items() if len(rows) == 0]
    if empty:
        raise DatasetError(
            f"no row for {', '.join(empty)}: the rows span {days.min()} to {days.max()}, and validation takes "
            f"{validation_days} days, the holdout {holdout_days}. Widen the window or shorten these"
        )
    return Split(**parts)
