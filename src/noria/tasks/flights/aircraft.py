"""Aircraft: what a tail number's registration says, and how its last flight from New York ended.

The registration is taken as known from the first day of 2013: planes.csv has no dates. What the last flight tells is
known when it has landed. Its turn-round is the time from the landing before to its own departure; the flight back to
New York lies in it, for the source knows only departures from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from noria.task import Tally
from noria.tasks.flights.columns import MINUTE, numbers, texts
from noria.tasks.flights.departures import Departures
from noria.tasks.flights.source import Raw
from noria.tasks.flights.stamped import stamp

if TYPE_CHECKING:
    import pyarrow as pa

REGISTERED = np.datetime64("2013-01-01T00:00", "us")
TEXTS = {"aircraft_type": "type"}
NUMBERS = {"aircraft_engines": "engines", "aircraft_seats": "seats", "aircraft_year": "year"}


def aircraft(raw: Raw, flights: Departures) -> tuple[pa.Table, tuple[Tally, ...]]:
    """Make the table by tail number: a row for the registration, and one for each landing, which repeats it.

    `aircraft_landed` is the instant of the last landing, in seconds since 1970, for how long ago it was can only be
    said when the question is asked. Of two flights that landed at one instant the one that departed last counts.
    """
    tails, registered = _registrations(raw)
    last, turn_round, tallies = _last_flights(flights)
    places = {tail: place for place, tail in enumerate(tails)}
    where = np.array([places.get(tail, len(tails)) for tail in last.tail], np.int64)
    known = np.concatenate([np.full(len(tails), REGISTERED), last.landed])
    none = np.full(len(tails), np.nan)
    values: dict[str, NDArray[Any]] = {
        name: np.concatenate([column[:-1], column[where]]) for name, column in registered.items()
    }
    values |= {
        "aircraft_arrival_delay": np.concatenate([none, last.delay]),
        "aircraft_turn_round": np.concatenate([none, turn_round]),
        "aircraft_landed": np.concatenate([none, last.landed.astype(np.int64) / 1e6]),
    }
    flown = {tail for tail in flights.tail if tail}
    unknown = np.array([tail is not None and tail not in places for tail in flights.tail], np.bool_)
    return stamp({"tailnum": np.concatenate([tails, last.tail])}, known, values), (
        *tallies,
        Tally(source="planes", what="tail numbers that fly and are not in it", rows=len(flown - places.keys())),
        Tally(source="flights", what="its tail number is not among the planes", rows=int(unknown.sum())),
    )


def _registrations(raw: Raw) -> tuple[NDArray[np.object_], dict[str, NDArray[Any]]]:
    """The tail numbers, each once, and what is known of them; one more value, at the end, stands for all others."""
    tails = texts(raw.planes, "tailnum")
    named = np.array([bool(tail) for tail in tails], np.bool_)
    rows = np.flatnonzero(named)[np.unique(tails[named].astype(str), return_index=True)[1]]
    values: dict[str, NDArray[Any]] = {}
    for name, column in TEXTS.items():
        values[name] = np.array([*texts(raw.planes, column)[rows], None], object)
    for name, column in NUMBERS.items():
        values[name] = np.append(numbers(raw.planes, column)[rows], np.nan)
    return tails[rows], values


def _last_flights(flights: Departures) -> tuple[Departures, NDArray[np.float64], tuple[Tally, ...]]:
    """Each landing of each tail number, by tail number and instant, and the minutes of turn-round before it."""
    arrived = flights.arrived
    arrived = arrived.take(np.array([tail is not None for tail in arrived.tail], np.bool_))
    # A stable sort: the flights of one tail number stay by landing and departure.
    arrived = arrived.take(np.argsort(arrived.tail.astype(str), kind="stable"))
    same = arrived.tail[1:] == arrived.tail[:-1]
    tied = same & (arrived.landed[1:] == arrived.landed[:-1])
    last = arrived.take(np.append(~tied, True) if len(arrived) else np.zeros(0, np.bool_))
    turn_round = np.full(len(last), np.nan)
    follows = last.tail[1:] == last.tail[:-1]
    turn_round[1:][follows] = ((last.departed[1:] - last.landed[:-1]) / MINUTE)[follows]
    overlaps = turn_round < 0
    turn_round[overlaps] = np.nan
    return (
        last,
        turn_round,
        (
            Tally(
                source="flights", what="landed together with another flight of its tail number", rows=int(tied.sum())
            ),
            Tally(
                source="flights",
                what="departed before its tail number had landed, so no turn-round is known",
                rows=int(overlaps.sum()),
            ),
        ),
    )
