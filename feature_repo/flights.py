"""Flights: the entities, sources, feature views and the feature service of the task `flights`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import FeastType, Float64, Int64, String

from noria.tasks.flights.aircraft import NUMBERS, TEXTS
from noria.tasks.flights.stamped import EVENT_TIME
from noria.tasks.flights.tables import KEYS
from noria.tasks.flights.traffic import VIEWS, WINDOWS
from noria.tasks.flights.weather import VALUES

# How old a value may be, at the moment of the question, and still be taken for true.
TTL: Mapping[str, timedelta] = {
    # The next hour's observation replaces it; what is older than this says little about two hours from now.
    "origin_weather": timedelta(hours=3),
    # A registration and a last landing stay true until the next one, however long the aircraft stands.
    "aircraft": timedelta(days=366),
    # A count stays true until the next row, and its windows look back a week: after a month without any row the feed
    # has broken off, or nobody flies there any more.
    **dict.fromkeys(VIEWS, timedelta(days=30)),
}

DESCRIPTIONS = {
    "carrier": "An airline, by its IATA code",
    "origin": "An airport of departure",
    "dest": "An airport of arrival",
    "tailnum": "An aircraft, by its registration",
}

# Known to the views, and kept out of the service: an instant in seconds says nothing to a model.
SERVICE = "flights_v1"

NOT_SERVED = frozenset({"aircraft_landed"})


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """What Feast is told: everything that a task's feature service stands on, and the service itself."""

    entities: tuple[Entity, ...]
    views: tuple[FeatureView, ...]
    service: FeatureService

    def objects(self) -> list[Entity | FeatureView | FeatureService]:
        return [*self.entities, *self.views, self.service]


def define(folder: Path | str) -> Definitions:
    """Define the features whose tables lie in the folder; `service` is what that models are trained on."""
    entities = {
        name: Entity(name=name, join_keys=[name], value_type=ValueType.STRING, description=description)
        for name, description in DESCRIPTIONS.items()
    }
    views = [_view(name, [entities[key] for key in keys], folder) for name, keys in KEYS.items()]
    served = [view[[name for name in _fields(view.name) if name not in NOT_SERVED]] for view in views]
    service = FeatureService(
        name=SERVICE, features=list(served), description="Will the flight arrive 15 minutes late or more?"
    )
    return Definitions(entities=tuple(entities.values()), views=tuple(views), service=service)


def _view(name: str, entities: list[Entity], folder: Path | str) -> FeatureView:
    source = FileSource(name=f"{name}_table", path=f"{folder}/{name}.parquet", timestamp_field=EVENT_TIME)
    keys = [Field(name=entity.join_key, dtype=String) for entity in entities]
    features = [Field(name=feature, dtype=kind) for feature, kind in _fields(name).items()]
    return FeatureView(name=name, entities=entities, ttl=TTL[name], schema=[*keys, *features], source=source)


def _fields(view: str) -> Mapping[str, FeastType]:
    """The features of a view's table, in its order."""
    if view == "origin_weather":
        return dict.fromkeys(VALUES, Float64)
    if view == "aircraft":
        last = ("aircraft_arrival_delay", "aircraft_turn_round", "aircraft_landed")
        return {**dict.fromkeys(TEXTS, String), **dict.fromkeys(NUMBERS, Float64), **dict.fromkeys(last, Float64)}
    kinds = {"flights": Int64, "late_share": Float64, "mean_delay": Float64}
    return {f"{view}_{what}_{window}": kind for window in WINDOWS for what, kind in kinds.items()}
