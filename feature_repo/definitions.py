"""Definitions: a task's feature service as Feast's entities, views and service, over the tables in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast import FeatureService as FeastService
from feast.types import FeastType, Float64, Int64, String

from noria import features
from noria.features import FeatureService

STAMP = "event_timestamp"
TYPES: Mapping[str, FeastType] = {"int64": Int64, "float64": Float64, "string": String}


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """What Feast is told: everything that a task's feature service stands on, and the service itself."""

    entities: tuple[Entity, ...]
    views: tuple[FeatureView, ...]
    service: FeastService

    def objects(self) -> list[Entity | FeatureView | FeastService]:
        return [*self.entities, *self.views, self.service]


def define(service: FeatureService, folder: Path | str) -> Definitions:
    """Define the features whose tables lie in the folder; keys are texts."""
    entities = {key: Entity(name=key, join_keys=[key], value_type=ValueType.STRING) for key in service.keys}
    views = tuple(_view(view, [entities[key] for key in view.keys], folder) for view in service.views)
    return Definitions(
        entities=tuple(entities.values()), views=views, service=FeastService(name=service.name, features=list(views))
    )


def _view(view: features.FeatureView, entities: list[Entity], folder: Path | str) -> FeatureView:
    source = FileSource(name=f"{view.name}_table", path=f"{folder}/{view.name}.parquet", timestamp_field=STAMP)
    keys = [Field(name=entity.join_key, dtype=String) for entity in entities]
    fields = [Field(name=field.name, dtype=TYPES[field.type]) for field in view.fields]
    ttl = timedelta(seconds=view.ttl_seconds)
    return FeatureView(name=view.name, entities=entities, ttl=ttl, schema=[*keys, *fields], source=source)
