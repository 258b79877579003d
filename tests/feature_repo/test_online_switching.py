"""Switching: from tables to online values, on every kind of objects, online store and registry, with one outcome."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.infra.registry.sql import SqlRegistry
from postgres_server import PostgresServer, running_postgres

from feature_repo.definitions import define
from feature_repo.materialising import materialise
from feature_repo.opening import open_configured
from feature_repo.training import join_features
from noria.features import FeatureService, FeatureView, Stored
from noria.settings import Settings
from noria.stores.online.rows import Packer, row_key
from noria.stores.online.store import OnlineStore
from noria.stores.opening import open_store
from noria.tasks.fashion_statistics import SERVICE as FASHION
from noria.tasks.flights.service import SERVICE as FLIGHTS

pytestmark = pytest.mark.xdist_group("online")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = BEGIN + timedelta(days=30, microseconds=5)
INSTANT = pa.timestamp("us", tz="UTC")
TYPES = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
ENTITIES = {
    "carrier": ["UA", "B6"],
    "origin": ["JFK", "EWR"],
    "dest": ["LAX", "MIA"],
    "tailnum": ["N1", "N:2", "Ü"],
    "item": ["train-00000", "train-00001", "t10k:0"],
}


def write_tables(folder: Path, service: FeatureService, *, rows: int = 60) -> Path:
    """Rows at random, from a month before the moment to a day after it, some of them just at the edges."""
    folder.mkdir(parents=True)
    chance = random.Random(7)
    for view in service.views:
        edges = [AS_OF, AS_OF + timedelta(microseconds=1), AS_OF - timedelta(seconds=view.ttl_seconds)]
        moments = [BEGIN + chance.random() * timedelta(days=31) for _ in range(rows)] + edges
        columns = {key: [chance.choice(ENTITIES[key]) for _ in moments] for key in view.keys}
        table = {**columns, "event_timestamp": pa.array(moments, INSTANT)}
        for field in view.fields:
            values = [None if chance.random() < 0.2 else chance.randrange(99) for _ in moments]
            made = [str(value) if value is not None and field.type == "string" else value for value in values]
            table[field.name] = pa.array(made, TYPES[field.type])
        pq.write_table(pa.table(table), folder / f"{view.name}.parquet")
    return folder


def questions(service: FeatureService) -> pa.Table:
    """All entities there could be, asked about at the moment."""
    combined = list(product(*(ENTITIES[key] for key in service.keys)))
    table = {key: [each[place] for each in combined] for place, key in enumerate(service.keys)}
    moments = pa.array([AS_OF] * len(combined), INSTANT)
    return pa.table({**table, "event_timestamp": moments, "__row": np.arange(len(combined))})


def believed(store: OnlineStore, view: FeatureView, asked: dict[str, str]) -> tuple[Stored, ...]:
    """What a predictor takes from the store: a value that is older than its ttl is none."""
    (data,) = store.read([row_key(view.name, [asked[key] for key in view.keys])])
    row = Packer(view).unpack(data) if data is not None else None
    moment = (AS_OF - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if row is None or row.event < moment - view.ttl_seconds * 1_000_000:
        return (None,) * len(view.fields)
    return row.values


@pytest.fixture(params=[FLIGHTS, FASHION], ids=lambda service: service.name)
def service(request: pytest.FixtureRequest) -> FeatureService:
    found: FeatureService = request.param
    return found


@pytest.fixture(params=["folder", "s3"])
def tables(request: pytest.FixtureRequest, service: FeatureService, tmp_path: Path) -> tuple[Path, str]:
    """The tables in a folder, and where Feast is to find them."""
    folder = write_tables(tmp_path / "tables", service)
    if request.param == "folder":
        return folder, str(folder)
    address: str = request.getfixturevalue("s3_address")
    for path in folder.iterdir():
        open_store(address).put(path.name, path.read_bytes())
    return folder, address


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["file", "sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty registry is, once of each kind."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return server.new_database()
    places = {"file": str(tmp_path / "registry.db"), "sqlite": f"sqlite:///{tmp_path}/registry.sqlite"}
    return places[request.param]


def kept_in(registry: str) -> bool:
    """Whether the registry's own kind of place holds something by now."""
    if registry.startswith("postgresql"):
        with psycopg.connect(registry.replace("+psycopg", "")) as connection:
            found = connection.execute("select count(*) from feature_services").fetchone()
        return found == (1,)
    return Path(registry.removeprefix("sqlite:///")).exists()


@pytest.mark.parametrize("way", ["ours", "feast"])
def test_what_is_served_is_what_training_would_have_seen(
    service: FeatureService, tables: tuple[Path, str], online: OnlineStore, online_address: str, tmp_path: Path,
    registry: str, way: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder, address = tables
    settings = {"NORIA_HOME": str(tmp_path), "NORIA_ONLINE": online_address, "NORIA_REGISTRY": registry}
    monkeypatch.setenv("NORIA_HOME", str(tmp_path))
    made = define(service, address)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        feast = open_configured(Settings.from_environment(settings), tmp_path)
        feast.apply(made.objects())
        if way == "ours":
            materialise(online, service, address, AS_OF)
        else:
            feast.materialize(BEGIN - timedelta(days=1), AS_OF)
        expected = join_features(questions(service), folder, service).to_pydict()
        asked = questions(service).select(list(service.keys)).to_pylist()
        told = feast.get_online_features(features=feast.get_feature_service(service.name), entity_rows=asked).to_dict()
    for view in service.views:
        found = [believed(online, view, each) for each in asked]
        for place, field in enumerate(view.fields):
            assert [values[place] for values in found] == expected[field.name], field.name
            # Feast itself reads the same rows; its ttl is not applied to what is online.
            fresh = [value for value, own in zip(told[field.name], found, strict=True) if set(own) != {None}]
            assert fresh == [own[place] for own in found if set(own) != {None}]
    assert any(value is not None for name in expected if name != "__row" for value in expected[name])
    assert kept_in(registry)
    feast._get_provider().online_store._opened.close()
    if isinstance(feast.registry, SqlRegistry):
        feast.registry.write_engine.dispose()
