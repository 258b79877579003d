"""Times: what a clock on the wall showed, as instants in UTC, also in the nights on which clocks are changed.

In 2013 New York has two such nights. On 10 March the clocks go from 02:00 to 03:00: the times between never come. On
3 November they go from 02:00 back to 01:00: the times of that hour come twice. Such a time has two readings, and the
source does not say which is meant. The earlier one is taken for a departure, so that a prediction is never made later
than it may be; the later one for an arrival, so that nothing is known too early.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from noria.errors import SourceError

Instants = NDArray[np.datetime64]  # in UTC, with microseconds

NEW_YORK = "America/New_York"
DAY = np.timedelta64(1, "D")
SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Both readings of local times, which are one except in the hours that come twice, or never."""

    earlier: Instants
    later: Instants
    twice: NDArray[np.bool_]
    never: NDArray[np.bool_]


def read_clock(days: NDArray[np.datetime64], clock: NDArray[Any]) -> NDArray[np.datetime64]:
    """Local times, with minutes, of local days and clocks such as 517 for 05:17; 2400 ends the day.

    NaT where the clock is NaN, or shows what no clock shows.
    """
    known = ~np.isnan(clock.astype(np.float64))
    hours, minutes = np.divmod(np.where(known, clock, 0).astype(np.int64), 100)
    midnights: NDArray[np.datetime64] = days.astype("datetime64[m]")
    local = midnights + (hours * 60 + minutes) * np.timedelta64(1, "m")
    local[~(known & (minutes < 60) & (hours * 60 + minutes <= 24 * 60) & (hours >= 0))] = np.datetime64("NaT")
    return local


def to_instants(local: NDArray[np.datetime64], zone: str) -> Readings:
    """Turn local times, in whole minutes, into instants; NaT stays NaT. SourceError for a zone that nobody knows."""
    offsets = _offsets(local.astype("datetime64[m]"), _place(zone))
    shown = local.astype("datetime64[us]")
    first, second = shown - offsets[:, 0] * SECOND, shown - offsets[:, 1] * SECOND
    return Readings(
        earlier=np.minimum(first, second),
        later=np.maximum(first, second),
        twice=first < second,
        never=first > second,
    )


def first_after(start: Instants, days: NDArray[np.datetime64], clock: NDArray[Any], zone: str) -> Instants:
    """The first instants after `start` at which a clock in the zone shows `clock`; `days` are local days near by.

    NaT where there is none within two days. Of a time that comes twice, the later reading.
    """
    found = np.full(len(start), "NaT", "datetime64[us]")
    for day in (-1, 0, 1, 2):
        open_ = np.flatnonzero(np.isnat(found))
        shown = to_instants(read_clock(days[open_] + day * DAY, clock[open_]), zone).later
        after = shown > start[open_]
        found[open_[after]] = shown[after]
    return found


def to_local(instants: Instants, zone: str) -> NDArray[np.datetime64]:
    """What a clock in the zone shows at the instants, with minutes; NaT stays NaT."""
    place = _place(zone)
    different, where = np.unique(instants.astype("datetime64[m]"), return_inverse=True)
    shown = [
        None if time is None else time.replace(tzinfo=UTC).astimezone(place).replace(tzinfo=None)
        for time in different.tolist()
    ]
    local: NDArray[np.datetime64] = np.array(shown, "datetime64[m]")[where]
    return local


def _place(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SourceError(f"no time zone {zone!r} is known here: install tzdata, or correct airports.csv") from error


def _offsets(local: NDArray[np.datetime64], place: ZoneInfo) -> NDArray[np.int64]:
    """The offsets from UTC, in seconds, of both readings of local times: (times, 2); 0 of a missing one."""
    days, where = np.unique(local.astype("datetime64[D]"), return_inverse=True)
    begins, ends = (np.array([_folds(day, place) for day in at.tolist()]).reshape(-1, 2) for at in (days, days + DAY))
    offsets = begins[where]
    # A day that begins and ends with one offset has no other: only the few days of a change are asked minute by minute.
    changing = np.flatnonzero(~((begins == ends).all(axis=1) & (begins[:, 0] == begins[:, 1]))[where])
    offsets[changing] = np.array([_folds(time, place) for time in local[changing].tolist()]).reshape(-1, 2)
    return offsets


def _folds(time: date | None, place: ZoneInfo) -> tuple[int, int]:
    """The offsets of both readings (the folds of PEP 495) of a local time, or of a day's midnight."""
    if time is None:
        return 0, 0
    clock = time if isinstance(time, datetime) else datetime(time.year, time.month, time.day)  # noqa: DTZ001
    first, second = (clock.replace(tzinfo=place, fold=fold).utcoffset() for fold in (0, 1))
    return int((first or timedelta()).total_seconds()), int((second or timedelta()).total_seconds())
