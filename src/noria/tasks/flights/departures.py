"""Departures: each flight with the instants at which it was to leave, left and landed.

A flight has landed at its scheduled arrival plus its delay of arrival. Of a flight that was cancelled or diverted no
delay of arrival is known: it has no label, and has never landed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.task import Tally
from noria.tasks.flights.arrivals import scheduled_arrivals
from noria.tasks.flights.columns import local_days, minutes, numbers, texts
from noria.tasks.flights.doubts import count_doubts
from noria.tasks.flights.source import Raw
from noria.tasks.flights.times import NEW_YORK, Instants, read_clock, to_instants

SAID_BEFORE = ("carrier", "flight", "origin", "dest", "distance")  # what a flight that can be asked about has


@dataclass(frozen=True, kw_only=True)
class Departures:
    """Arrays of shape (flights,), by scheduled departure and then by `id`. Texts are objects, None where missing.

    `departed` and `landed` are NaT, and `delay` (of arrival, in minutes) is NaN, where they are not known.
    """

    id: NDArray[np.object_]
    carrier: NDArray[np.object_]
    origin: NDArray[np.object_]
    destination: NDArray[np.object_]
    tail: NDArray[np.object_]
    distance: NDArray[np.float64]  # miles
    local: NDArray[np.datetime64]  # the scheduled departure on New York's clocks
    scheduled: Instants
    departed: Instants
    landed: Instants
    delay: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: NDArray[Any]) -> Departures:
        """These rows (places, or a mask), in the order that is given."""
        return Departures(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @property
    def arrived(self) -> Departures:
        """The flights that arrived where they were to arrive, by the instant of landing, then of departure."""
        known = np.flatnonzero(~np.isnat(self.landed))
        return self.take(known[np.lexsort((self.departed[known], self.landed[known]))])


def read_departures(raw: Raw) -> tuple[Departures, tuple[Tally, ...]]:
    """Work out the instants of all flights, each once, and count what does not fit."""
    table, days = raw.flights, local_days(raw.flights)
    local = read_clock(days, numbers(table, "sched_dep_time"))
    departure = to_instants(local, NEW_YORK)
    delay = numbers(table, "arr_delay")
    landed = scheduled_arrivals(raw, departure.earlier) + minutes(delay)
    flights = Departures(
        id=_names(raw, days),
        carrier=texts(table, "carrier"),
        origin=texts(table, "origin"),
        destination=texts(table, "dest"),
        tail=texts(table, "tailnum"),
        distance=numbers(table, "distance"),
        local=local,
        scheduled=departure.earlier,
        departed=departure.earlier + minutes(numbers(table, "dep_delay")),
        landed=landed,
        delay=np.where(np.isnat(landed), np.nan, delay),
    )
    usable = ~np.isnat(local) & np.all([table[name].is_valid().to_numpy() for name in SAID_BEFORE], axis=0)
    first = _first(flights.id, usable)
    left_out = {
        "unreadable, so left out": ~usable,
        "the same flight a second time, so left out": usable & ~first,
    }
    tallies = count_doubts(raw, departure=departure, departed=flights.departed, landed=landed, left_out=left_out)
    kept = np.flatnonzero(first)
    return flights.take(kept[np.lexsort((flights.id[kept].astype(str), flights.scheduled[kept]))]), tallies


def _names(raw: Raw, days: NDArray[np.datetime64]) -> NDArray[np.object_]:
    """A flight's stable name: local day, carrier, number, and origin, for one number may leave two airports a day."""
    parts = (days.astype(str).tolist(), *(raw.flights[name].to_pylist() for name in ("carrier", "flight", "origin")))
    return np.array(
        [f"{day}-{carrier}{number}-{origin}" for day, carrier, number, origin in zip(*parts, strict=True)], object
    )


def _first(names: NDArray[np.object_], usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which usable rows are the first of their name."""
    places = np.flatnonzero(usable)
    first = np.zeros(len(names), np.bool_)
    first[places[np.unique(names[places].astype(str), return_index=True)[1]]] = True
    return first
