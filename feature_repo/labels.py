"""Labels: the rows that features are wanted for, and the numbers and keys by which they are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from noria.errors import UsageError

TIME = "event_timestamp"  # Feast's own name for it
_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Rows in the order in which they were given; the time column holds UTC, other columns are as they were.

    `instants` has one row a label: its number `row`, its time in µs rounded down (`floor_us`) and up (`ceil_us`), and
    in ns where it fits (`ns`). Features with times in whole µs compare exactly with these, whatever unit the label has.
    """

    table: pa.Table
    time: str
    instants: pa.Table
    index: pd.Index[Any] | None = None

    @classmethod
    def from_frame(cls, frame: object) -> Labels:
        """Take an entity frame; UsageError if it is none, or if its time or a column cannot be told."""
        if not isinstance(frame, pd.DataFrame):
            raise UsageError(
                f"entity_df is {describe(frame)}: this store joins files, so it takes a pandas DataFrame with the join "
                "keys and event_timestamp; run the query yourself and give its result"
            )
        time = _time_column(frame)
        stamps = _utc(frame[time], time)
        try:
            table = pa.Table.from_pandas(frame.assign(**{time: stamps}), preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise UsageError(f"entity_df has a column of mixed types ({error}): give each column one type") from error
        return cls(table=table, time=time, instants=_instants(table[time]), index=frame.index)

    @classmethod
    def from_table(cls, table: pa.Table) -> Labels:
        """Take rows with a column `event_timestamp` in UTC."""
        return cls(table=table, time=TIME, instants=_instants(table[TIME]))

    def joinable(self, keys: Sequence[str]) -> pa.Table:
        """The instants with the key columns as key_0, key_1, …; UsageError if one is missing."""
        if missing := sorted(set(keys) - set(self.table.column_names)):
            raise UsageError(
                f"entity_df lacks {', '.join(missing)}: it has {', '.join(self.table.column_names)}; add the join keys "
                "of all feature views that are asked for"
            )
        joinable = self.instants
        for number, key in enumerate(keys):
            joinable = joinable.append_column(f"key_{number}", self.table[key])
        return joinable

    def bounds(self) -> tuple[int, int] | None:
        """The first and the last instant in µs; None without labels."""
        floors = self.instants["floor_us"].drop_null().to_numpy()
        return (int(floors.min()), int(floors.max()) + 1) if len(floors) else None

    def range(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last time; UsageError if a datetime cannot hold them."""
        bounds = self.bounds()
        if bounds is None:
            return None, None
        try:
            return _EPOCH + timedelta(microseconds=bounds[0]), _EPOCH + timedelta(microseconds=bounds[1] - 1)
        except OverflowError as error:
            raise UsageError(
                f"entity_df holds in {self.time} times outside of the years 1 to 9999: mend them"
            ) from error


def describe(value: object) -> str:
    """A query by its beginning, anything else by its type."""
    return f"the SQL {value[:40]!r}" if isinstance(value, str) else f"a {type(value).__name__}"


def _time_column(frame: pd.DataFrame) -> str:
    if TIME in frame.columns:
        return TIME
    times = [str(name) for name in frame.columns if pd.api.types.is_datetime64_any_dtype(frame[name])]
    if len(times) != 1:
        raise UsageError(
            f"entity_df has no column {TIME} and {len(times)} columns of times ({', '.join(times) or 'none'}): "
            f"expected one; name the time at which features are wanted {TIME}"
        )
    return times[0]


def _utc(times: pd.Series[Any], name: str) -> pd.Series[Any]:
    """Times in UTC; those without a zone are taken as UTC, as Feast documents it."""
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        return times.dt.tz_convert("UTC")
    if pd.api.types.is_datetime64_dtype(times):
        return times.dt.tz_localize("UTC")
    try:
        # Strictly ISO 8601, because which of 3/4 is the month would be a guess.
        return pd.to_datetime(times, utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"entity_df holds in {name} what is no time ({error}): give datetimes, or text as in 2026-03-01T12:00:00Z"
        ) from error


def _instants(stamps: pa.ChunkedArray) -> pa.Table:
    scale = _NANOSECONDS[stamps.type.unit]
    missing = stamps.is_null().to_numpy()
    values = stamps.cast(pa.int64()).fill_null(0).to_numpy()
    if scale == 1:
        floor, ceil, nanoseconds = values // 1_000, -(-values // 1_000), values
    else:
        floor = ceil = values * (scale // 1_000)
        largest = np.iinfo(np.int64).max // 1_000
        nanoseconds = np.clip(floor, -largest, largest) * 1_000
    columns = {"floor_us": floor, "ceil_us": ceil, "ns": nanoseconds}
    return pa.table(
        {"row": np.arange(len(values))} | {name: pa.array(each, mask=missing) for name, each in columns.items()}
    )
