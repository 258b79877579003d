"""Traffic: how late the flights were that landed in the last 3 hours, day and week, by carrier, route and origin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from noria.tasks.flights.aggregates import aggregate, next_tick
from noria.tasks.flights.departures import Departures
from noria.tasks.flights.labels import LATE
from noria.tasks.flights.stamped import stamp

if TYPE_CHECKING:
    import pyarrow as pa

WINDOWS: Mapping[str, np.timedelta64] = {
    "3h": np.timedelta64(3, "h"),
    "1d": np.timedelta64(24, "h"),
    "7d": np.timedelta64(7 * 24, "h"),
}

# Each view's keys, by the name of their column, and the flights' attributes that hold them.
VIEWS: Mapping[str, Mapping[str, str]] = {
    "carrier_origin": {"carrier": "carrier", "origin": "origin"},
    "route": {"origin": "origin", "dest": "destination"},
    "origin_congestion": {"origin": "origin"},
}


def traffic(flights: Departures) -> dict[str, pa.Table]:
    """The views' tables: of each window the flights that landed in it, the share that was late, the mean delay.

    The delay is in minutes, negative for early. Of an empty window the count is 0 and the rest is missing. The source
    begins with the year 2013, so a window that reaches further back knows only what came after.
    """
    arrived = flights.arrived
    # The tick that knows of the last landing: what happened after it the source does not say.
    until = next_tick(arrived.landed[-1:]).max() if len(arrived) else np.datetime64(0, "us")
    return {name: _view(name, keys, arrived, until) for name, keys in VIEWS.items()}


def _view(name: str, keys: Mapping[str, str], arrived: Departures, until: np.datetime64) -> pa.Table:
    codes, columns = _encode([getattr(arrived, attribute) for attribute in keys.values()])
    minutes = arrived.delay.astype(np.int64)
    rows = aggregate(
        codes,
        arrived.landed,
        np.stack([minutes >= LATE, minutes], axis=1).astype(np.int64),
        windows=tuple(WINDOWS.values()),
        until=until,
    )
    values: dict[str, NDArray[Any]] = {}
    for place, window in enumerate(WINDOWS):
        counts = rows.counts[:, place]
        values[f"{name}_flights_{window}"] = counts
        for which, what in enumerate(("late_share", "mean_delay")):
            values[f"{name}_{what}_{window}"] = _ratio(rows.sums[:, place, which], counts)
    named = {column: different[rows.keys] for column, different in zip(keys, columns, strict=True)}
    return stamp(named, rows.ticks, values)


def _encode(columns: list[NDArray[np.object_]]) -> tuple[NDArray[np.int64], list[NDArray[np.object_]]]:
    """Number the combinations of the columns from 0, and say which values stand behind each number."""
    combinations = list(zip(*columns, strict=True))
    different = sorted(set(combinations))
    numbers = {combination: number for number, combination in enumerate(different)}
    codes = np.array([numbers[combination] for combination in combinations], np.int64)
    return codes, [np.array([parts[place] for parts in different], object) for place in range(len(columns))]


def _ratio(sums: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    ratio = np.full(len(sums), np.nan)
    np.divide(sums, counts, out=ratio, where=counts > 0)
    return ratio
