"""Columns: a table's columns as arrays, with NaN, NaT or None where a value is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

MINUTE = np.timedelta64(60_000_000, "us")


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column of numbers, as a copy; NaN where one is missing."""
    import pyarrow as pa

    return np.array(table[name].cast(pa.float64()).to_numpy())


def texts(table: pa.Table, name: str) -> NDArray[np.object_]:
    """A column of texts; None where one is missing."""
    return np.array(table[name].to_pylist(), object)


def instants(table: pa.Table, name: str) -> NDArray[np.datetime64]:
    """A column of instants in UTC, with microseconds; NaT where one is missing."""
    return np.array(table[name].to_numpy(), "datetime64[us]")


def minutes(spans: NDArray[np.float64]) -> NDArray[np.timedelta64]:
    """Whole minutes as spans of time; NaT where the number is missing."""
    missing = np.isnan(spans)
    found = np.where(missing, 0, spans).astype(np.int64) * MINUTE
    found[missing] = np.timedelta64("NaT")
    return found


def local_days(table: pa.Table) -> NDArray[np.datetime64]:
    """The days that `year`, `month` and `day` name; NaT where one is missing, or where there is no such day."""
    year, month, day = (numbers(table, name) for name in ("year", "month", "day"))
    known = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (year >= 1900) & (year <= 2200)
    years, months, days = (np.where(known, part, 1).astype(np.int64) - 1 for part in (year, month, day))
    first: NDArray[np.datetime64] = ((years + 1 - 1970) * 12 + months).astype("datetime64[M]")
    begins: NDArray[np.datetime64] = first.astype("datetime64[D]")
    named = begins + days * np.timedelta64(1, "D")
    named[~known | (named.astype("datetime64[M]") != first)] = np.datetime64("NaT")
    return named
