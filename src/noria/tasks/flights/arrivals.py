"""Arrivals: the instants at which flights were to arrive, from the clocks of their destinations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.tasks.flights.columns import local_days, numbers
from noria.tasks.flights.source import Raw
from noria.tasks.flights.times import Instants, first_after, to_local

# airports.csv lacks four destinations. These are their zones in the tz database.
MISSING_ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}


def scheduled_arrivals(raw: Raw, departures: Instants) -> Instants:
    """The first instant after each scheduled departure at which the clock there shows the announced time, or NaT."""
    days, clock = local_days(raw.flights), numbers(raw.flights, "sched_arr_time")
    return _by_zone(
        raw, lambda there, zone: first_after(departures[there], days[there], clock[there], zone), "datetime64[us]"
    )


def arrival_clocks(raw: Raw, instants: Instants) -> NDArray[np.datetime64]:
    """What the clocks at the destinations show at these instants, or NaT."""
    return _by_zone(raw, lambda there, zone: to_local(instants[there], zone), "datetime64[m]")


def _by_zone(
    raw: Raw, read: Callable[[NDArray[np.bool_], str], NDArray[np.datetime64]], kind: str
) -> NDArray[np.datetime64]:
    zones = _zones(raw)
    found: NDArray[Any] = np.full(len(zones), "NaT", kind)
    for zone in sorted({zone for zone in zones if zone}):
        there = zones == zone
        found[there] = read(there, zone)
    return found


def _zones(raw: Raw) -> NDArray[np.object_]:
    """The time zone of each flight's destination; None where nobody says."""
    said = zip(raw.airports["faa"].to_pylist(), raw.airports["tzone"].to_pylist(), strict=True)
    known = MISSING_ZONES | {name: zone for name, zone in said if zone}
    return np.array([known.get(name) for name in raw.flights["dest"].to_pylist()], object)
