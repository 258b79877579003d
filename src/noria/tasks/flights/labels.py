"""Labels: the flights whose delay became known, each with the moment of its prediction and that of its label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from noria.task import Tally
from noria.tasks.flights.departures import Departures
from noria.tasks.flights.stamped import EVENT_TIME

if TYPE_CHECKING:
    import pyarrow as pa

LATE = 15  # minutes after the scheduled arrival, from which on a flight is late
AHEAD = np.timedelta64(2, "h")  # how long before its scheduled departure a flight is asked about


def label_flights(flights: Departures) -> tuple[pa.Table, tuple[Tally, ...]]:
    """Make the table of labelled flights, by the moment of prediction and then by flight.

    `flight` names the flight; `event_timestamp` is the moment of prediction; `label` is 1 for late, and became known
    at `label_timestamp`, when the flight had landed; `aircraft_day` groups what one aircraft flew on one local day.
    The rest is known when the question is asked: `scheduled_hour` is New York's, and `weekday` is 0 on a Monday.
    """
    import pyarrow as pa

    known = flights.take(~np.isnat(flights.landed))
    instant = pa.timestamp("us", tz="UTC")
    days = known.local.astype("datetime64[D]")
    late = known.delay >= LATE
    tails = [tail or "unknown" for tail in known.tail]
    table = pa.table(
        {
            "flight": pa.array(known.id, pa.string()),
            EVENT_TIME: pa.array(known.scheduled - AHEAD, instant),
            "carrier": pa.array(known.carrier, pa.string()),
            "origin": pa.array(known.origin, pa.string()),
            "dest": pa.array(known.destination, pa.string()),
            "tailnum": pa.array(known.tail, pa.string()),
            "distance": pa.array(known.distance),  # miles
            "scheduled_hour": pa.array((known.local - days).astype("timedelta64[h]").astype(np.int64)),
            # The epoch began on a Thursday.
            "weekday": pa.array((days.astype(np.int64) + 3) % 7),
            "label": pa.array(late.astype(np.int64)),
            "label_timestamp": pa.array(known.landed, instant),
            "aircraft_day": pa.array(
                [f"{tail} {day}" for tail, day in zip(tails, days.tolist(), strict=True)], pa.string()
            ),
        }
    )
    before = known.landed <= known.scheduled - AHEAD
    return table, (
        Tally(source="flights", what="labelled", rows=len(known)),
        Tally(source="flights", what="labelled late", rows=int(late.sum())),
        Tally(source="flights", what="labelled without a tail number", rows=sum(tail is None for tail in known.tail)),
        Tally(source="flights", what="landed before it could be asked about", rows=int(before.sum())),
    )
