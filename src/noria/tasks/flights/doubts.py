"""Doubts: flights of which something is missing or does not fit, counted by what it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from noria.task import Tally
from noria.tasks.flights.arrivals import arrival_clocks
from noria.tasks.flights.columns import MINUTE, instants, minutes, numbers
from noria.tasks.flights.source import Raw
from noria.tasks.flights.times import NEW_YORK, Instants, Readings, to_local

Mask = NDArray[np.bool_]
LEFT_OUT = ("so left out", "so without a label")  # how those end that are no rows of the task's


def count_doubts(
    raw: Raw, *, departure: Readings, departed: Instants, landed: Instants, left_out: Mapping[str, Mask]
) -> tuple[Tally, ...]:
    """Count the flights; arrays of shape (flights,) in the order of the source."""
    left, delay = ~np.isnan(numbers(raw.flights, "dep_time")), numbers(raw.flights, "arr_delay")
    unlabelled = np.isnan(delay)
    masks: dict[str, Mask] = {
        **left_out,
        "cancelled, so without a label": unlabelled & ~left,
        "diverted, or lost sight of, so without a label": unlabelled & left,
        "arrived at an instant that cannot be told, so without a label": ~unlabelled & np.isnat(landed),
        "departs at a time that comes twice: the earlier reading is taken": departure.twice,
        "departs at a time that never comes: the earlier reading is taken": departure.never,
        "time_hour is not the hour of its departure": _other_hour(raw, departure),
        "left at another time than its clock says": _other_clock(
            numbers(raw.flights, "dep_time"), to_local(departed, NEW_YORK)
        ),
        "landed at another time than its clock says": _other_clock(
            numbers(raw.flights, "arr_time"), arrival_clocks(raw, landed)
        ),
        "landed earlier than its time in the air allows": landed < departed + minutes(numbers(raw.flights, "air_time")),
    }
    return tuple(
        Tally(source="flights", what=what, rows=int(mask.sum()), left_out=what.endswith(LEFT_OUT))
        for what, mask in masks.items()
    )


def _other_hour(raw: Raw, departure: Readings) -> Mask:
    said = instants(raw.flights, "time_hour")
    other: Mask = ~np.isnat(said) & ~np.isnat(departure.earlier) & (said != departure.earlier.astype("datetime64[h]"))
    return other


def _other_clock(clock: NDArray[np.float64], local: NDArray[np.datetime64]) -> Mask:
    minute = (local - local.astype("datetime64[D]")).astype("timedelta64[us]") / MINUTE
    said = np.where(np.isnan(clock), 0, clock) % 2400
    other: Mask = ~np.isnan(clock) & ~np.isnan(minute) & (minute != said // 100 * 60 + said % 100)
    return other
