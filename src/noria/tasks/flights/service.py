"""Service: the feature views of flights, how long their values are believed, and flights_v1 over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from noria.features import Age, FeatureService, FeatureView, Field
from noria.tasks.flights.aircraft import NUMBERS, TEXTS
from noria.tasks.flights.tables import KEYS
from noria.tasks.flights.traffic import VIEWS, WINDOWS
from noria.tasks.flights.weather import VALUES

HOUR = 3600.0
DAY = 24 * HOUR

# How old a value may be, at the moment of the question, and still be taken for true.
TTL: Mapping[str, float] = {
    # The next hour's observation replaces it; what is older than this says little about two hours from now.
    "origin_weather": 3 * HOUR,
    # A registration and a last landing stay true until the next one, however long the aircraft stands.
    "aircraft": 366 * DAY,
    # A count stays true until the next row, and its windows look back a week: after a month without any row the feed
    # has broken off, or nobody flies there any more.
    **dict.fromkeys(VIEWS, 30 * DAY),
}


def _fields(view: str) -> Iterator[Field]:
    """The fields of a view's table, in its order."""
    if view == "origin_weather":
        yield from (Field(name=name, type="float64") for name in VALUES)
    elif view == "aircraft":
        yield from (Field(name=name, type="string") for name in TEXTS)
        for name in (*NUMBERS, "aircraft_arrival_delay", "aircraft_turn_round", "aircraft_landed"):
            yield Field(name=name, type="float64")
    else:
        for window in WINDOWS:
            yield Field(name=f"{view}_flights_{window}", type="int64")
            yield Field(name=f"{view}_late_share_{window}", type="float64")
            yield Field(name=f"{view}_mean_delay_{window}", type="float64")


SERVICE = FeatureService(
    name="flights_v1",
    views=tuple(
        FeatureView(name=name, keys=tuple(keys), fields=tuple(_fields(name)), ttl_seconds=TTL[name])
        for name, keys in KEYS.items()
    ),
    ages=(Age(name="aircraft_idle", of="aircraft_landed"),),
)
