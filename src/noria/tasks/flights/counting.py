"""Counting: what the source lacks, or says in doubt, of the flights and hours that a window asks about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from noria.task import Tally, Window
from noria.tasks.flights.columns import instants, local_days, numbers
from noria.tasks.flights.departures import read_departures
from noria.tasks.flights.labels import AHEAD, label_flights
from noria.tasks.flights.source import Raw
from noria.tasks.flights.times import NEW_YORK, read_clock, to_instants
from noria.tasks.flights.weather import origin_weather

if TYPE_CHECKING:
    import pyarrow as pa


def count(raw: Raw, window: Window) -> tuple[Tally, ...]:
    """Count over the window's flights and hours; the registry of aircraft has no time and is left out.

    What has no readable time could belong to any window, and is counted in each.
    """
    part = replace(raw, flights=_asked(raw, window), weather=_observed(raw, window))
    flights, about_flights = read_departures(part)
    _, about_labels = label_flights(flights)
    _, about_weather = origin_weather(part)
    columns = (tally for tally in part.tallies() if tally.source in ("flights", "weather"))
    return (*columns, *about_flights, *about_labels, *about_weather)


def _asked(raw: Raw, window: Window) -> pa.Table:
    """The flights whose moment of prediction lies in the window."""
    local = read_clock(local_days(raw.flights), numbers(raw.flights, "sched_dep_time"))
    moments = to_instants(local, NEW_YORK).earlier - AHEAD
    return raw.flights.filter(window.holds(moments) | np.isnat(moments))


def _observed(raw: Raw, window: Window) -> pa.Table:
    hours = instants(raw.weather, "time_hour")
    return raw.weather.filter(window.holds(hours) | np.isnat(hours))
