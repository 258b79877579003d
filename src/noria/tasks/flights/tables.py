"""Tables: everything that the source says, each value from the moment at which it was known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from noria.task import Tally
from noria.tasks.flights.aircraft import aircraft
from noria.tasks.flights.departures import read_departures
from noria.tasks.flights.labels import label_flights
from noria.tasks.flights.source import Raw
from noria.tasks.flights.traffic import VIEWS, traffic
from noria.tasks.flights.weather import origin_weather

if TYPE_CHECKING:
    import pyarrow as pa

LABELLED = "labelled_flights"

# The entity keys of each feature table.
KEYS: Mapping[str, tuple[str, ...]] = {
    "origin_weather": ("origin",),
    "aircraft": ("tailnum",),
    **{name: tuple(keys) for name, keys in VIEWS.items()},
}


@dataclass(frozen=True, kw_only=True)
class FlightTables:
    """The feature tables by name, no key having two rows of one instant; the labelled flights; what was counted."""

    features: Mapping[str, pa.Table]
    labelled: pa.Table
    tallies: tuple[Tally, ...]


def build_tables(raw: Raw) -> FlightTables:
    """Work out all tables of the source."""
    flights, about_flights = read_departures(raw)
    labelled, about_labels = label_flights(flights)
    weather, about_weather = origin_weather(raw)
    planes, about_planes = aircraft(raw, flights)
    features = {"origin_weather": weather, "aircraft": planes, **traffic(flights)}
    return FlightTables(
        features=features,
        labelled=labelled,
        tallies=(*raw.tallies(), *about_flights, *about_labels, *about_weather, *about_planes),
    )


def write_tables(tables: FlightTables, folder: Path) -> dict[str, Path]:
    """Write each table to a Parquet file of its name in the folder; say where each lies."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    places = {}
    for name, table in {**tables.features, LABELLED: tables.labelled}.items():
        places[name] = folder / f"{name}.parquet"
        # Feast's own stores cannot read nanoseconds, which Parquet would else be free to hold.
        pq.write_table(table, places[name], coerce_timestamps="us", compression="zstd")
    return places
