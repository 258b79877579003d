"""Feasts: one feature repository on three offline stores, whose files each test writes anew."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.repo_config import RepoConfig
from feast.types import Float64, Int64, String

ASOF = "feature_repo.asof_store.AsofOfflineStore"
STORES = {"dask": "dask", "duckdb": "duckdb", "asof": ASOF}
TRIPS_TTL = timedelta(hours=2)
WEATHER_TTL = timedelta(days=1)

driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A feature store and the folder of its files."""

    store: FeatureStore
    folder: Path

    def write(self, name: str, rows: pd.DataFrame) -> None:
        rows.to_parquet(self.folder / f"{name}.parquet", index=False)


def definitions(folder: Path) -> list[Any]:
    """trips (one key, ttl), fares (two keys, no ttl), weather (renamed columns, no created time), rates (no key)."""

    def source(name: str, **options: Any) -> FileSource:
        options = {"timestamp_field": "event_timestamp", **options}
        return FileSource(name=f"{name}_source", path=str(folder / f"{name}.parquet"), **options)

    trips = FeatureView(
        name="trips",
        entities=[driver],
        ttl=TRIPS_TTL,
        schema=[
            Field(name="driver", dtype=Int64),
            Field(name="trips", dtype=Int64),
            Field(name="rating", dtype=Float64),
        ],
        source=source("trips", created_timestamp_column="created"),
    )
    fares = FeatureView(
        name="fares",
        entities=[driver, customer],
        ttl=timedelta(0),
        schema=[
            Field(name="driver", dtype=Int64),
            Field(name="customer", dtype=String),
            Field(name="fare", dtype=Float64),
        ],
        source=source("fares", created_timestamp_column="created"),
    )
    weather = FeatureView(
        name="weather",
        entities=[driver],
        ttl=WEATHER_TTL,
        schema=[
            Field(name="driver", dtype=Int64),
            Field(name="temperature", dtype=Float64),
            Field(name="rating", dtype=Float64),
        ],
        source=source("weather", field_mapping={"temp": "temperature", "who": "driver"}),
    )
    rates = FeatureView(
        name="rates",
        entities=[],
        ttl=timedelta(0),
        schema=[Field(name="rate", dtype=Float64)],
        source=source("rates"),
    )

    @on_demand_feature_view(sources=[trips], schema=[Field(name="double", dtype=Float64)], mode="pandas")
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"double": inputs["rating"] * 2})

    services = [
        FeatureService(name="whole", features=[trips, fares]),
        FeatureService(name="part", features=[trips[["rating"]], weather[["temperature"]]]),
        FeatureService(
            name="two_drivers",
            features=[
                trips.with_name("first").with_join_key_map({"driver": "first_driver"})[["trips"]],
                trips.with_name("second").with_join_key_map({"driver": "second_driver"}),
            ],
        ),
    ]
    return [driver, customer, trips, fares, weather, rates, doubled, *services]


def open_repository(kind: str, folder: Path, **options: Any) -> Repository:
    """Make the repository with that store, and apply its definitions."""
    folder.mkdir(parents=True)
    for name, rows in empty_files().items():
        rows.to_parquet(folder / f"{name}.parquet", index=False)
    store = FeatureStore(
        config=RepoConfig(
            project="contract",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store={"type": STORES[kind], **options},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Feast calls views on demand experimental
        store.apply(definitions(folder))
    return Repository(store=store, folder=folder)


def empty_files() -> dict[str, pd.DataFrame]:
    return {
        "trips": trips_rows([]),
        "fares": fares_rows([]),
        "weather": weather_rows([]),
        "rates": rates_rows([]),
    }


def trips_rows(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """driver, time, created, trips, rating."""
    types = {"driver": "int64", "event_timestamp": TIME, "created": TIME, "trips": "int64", "rating": "float64"}
    return frame(rows, types)


def fares_rows(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """driver, customer, time, created, fare."""
    types = {"driver": "int64", "customer": "object", "event_timestamp": TIME, "created": TIME, "fare": "float64"}
    return frame(rows, types)


def weather_rows(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """who, time, temp, rating."""
    return frame(rows, {"who": "int64", "event_timestamp": TIME, "temp": "float64", "rating": "float64"})


def rates_rows(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """time, rate."""
    return frame(rows, {"event_timestamp": TIME, "rate": "float64"})


TIME = "datetime64[us, UTC]"


def frame(rows: Sequence[Sequence[Any]], types: Mapping[str, str]) -> pd.DataFrame:
    columns = {
        name: pd.Series([row[position] for row in rows], dtype=kind)
        for position, (name, kind) in enumerate(types.items())
    }
    return pd.DataFrame(columns)
