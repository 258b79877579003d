"""Stamped: tables whose every row carries the moment from which it was known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

EVENT_TIME = "event_timestamp"


def stamp(
    keys: Mapping[str, NDArray[Any]], known: NDArray[np.datetime64], values: Mapping[str, NDArray[Any]]
) -> pa.Table:
    """Make a table of keys, the instants in UTC from which each row was known, and values; NaN and None are nulls.

    Rows stand by instant, then by key, in the order of the keys' columns.
    """
    import pyarrow as pa

    texts = [column.astype(str) for column in keys.values()]
    order = np.lexsort((*reversed(texts), known))
    stamps = pa.array(known[order].astype("datetime64[us]"), pa.timestamp("us", tz="UTC"))
    columns = {
        **{name: pa.array(column[order], pa.string()) for name, column in keys.items()},
        EVENT_TIME: stamps,
        **{name: pa.array(column[order], _kind(column), from_pandas=True) for name, column in values.items()},
    }
    return pa.table(columns)


def _kind(column: NDArray[Any]) -> pa.DataType:
    """The type of a column, also of one in which every value is missing."""
    import pyarrow as pa

    return pa.string() if column.dtype.kind == "O" else pa.from_numpy_dtype(column.dtype)
