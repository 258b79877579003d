"""Splits: which rows train, which choose the epoch, and which only the gates may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import DatasetError
from noria.ml.nulls import null_rows
from noria.schema import Schema
from noria.task import Rows

Indexes = NDArray[np.int64]
PARTS = ("train", "validation", "holdout")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Row indexes: every training row is older than every validation row, and these than the holdout."""

    train: Indexes
    validation: Indexes
    holdout: Indexes


def split_columns(schema: Schema) -> tuple[str, ...]:
    """The columns that `split_rows` looks at."""
    known = (schema.known,) if schema.known else ()
    return tuple(column.name for column in (schema.time, *known, *schema.groups))


def split_rows(schema: Schema, rows: Rows, *, validation_days: int, holdout_days: int) -> Split:
    """Split rows by their time; where the schema says so, by when labels became known and by groups as well."""
    return split_by_time(
        rows[schema.time.name],
        validation_days=validation_days,
        holdout_days=holdout_days,
        known=rows[schema.known.name] if schema.known else None,
        groups=[rows[column.name] for column in schema.groups],
    )


def split_by_time(
    times: NDArray[Any],
    *,
    validation_days: int,
    holdout_days: int,
    known: NDArray[Any] | None = None,
    groups: Sequence[NDArray[Any]] = (),
) -> Split:
    """Cut at whole days back from the newest row: the last `holdout_days` for the gates, those before for validation.

    Two kinds of rows are left out of the earlier part, and so of all: those whose label became known, by `known`, only
    after the next part had begun, for nobody could have learned from them by then; and those that share a value of
    `groups` with a row of a later part. A missing value groups no rows; a label that is never known is known too late.

    `times` and `known` have shape (rows,), datetime64 in UTC, as has each of the groups. Raises DatasetError where a
    part would be empty.
    """
    days = times.astype("datetime64[D]")
    last = days.max() + np.timedelta64(1, "D")
    holdout_from = last - np.timedelta64(holdout_days, "D")
    validation_from = holdout_from - np.timedelta64(validation_days, "D")
    part = (days >= validation_from).astype(np.int64) + (days >= holdout_from)
    kept = np.ones(len(times), dtype=bool)
    if known is not None:
        for place, begins in enumerate((validation_from, holdout_from)):
            kept &= (part != place) | (known <= begins)
    for group in groups:
        kept &= part == _last_part(group, part)
    parts = {name: np.flatnonzero(kept & (part == place)) for place, name in enumerate(PARTS)}
    empty = [name for name, rows in parts.items() if len(rows) == 0]
    if empty:
        left_out = int((~kept).sum())
        without = f", and {left_out:,} rows reach into a later part and are left out" if left_out else ""
        raise DatasetError(
            f"no row for {', '.join(empty)}: the rows span {days.min()} to {days.max()}, and validation_days is "
            f"{validation_days}, holdout_days {holdout_days}{without}. Widen the window or shorten these"
        )
    return Split(**parts)


def _last_part(group: NDArray[Any], part: Indexes) -> Indexes:
    """The last part that has a row of each row's group; its own for a row that has none."""
    there = np.flatnonzero(~null_rows(group))
    found = part.copy()
    if len(there):
        values = group[there]
        _, codes = np.unique(values.astype(str) if values.dtype.kind == "O" else values, return_inverse=True)
        latest = np.zeros(codes.max() + 1, np.int64)
        np.maximum.at(latest, codes, part[there])
        found[there] = latest[codes]
    return found
