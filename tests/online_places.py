"""Places of online stores: a file, and a database of a real Redis, which tests share and empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_server import RedisServer, running_redis

from noria.stores.online.store import OnlineStore, open_online

KINDS = ("sqlite", "redis")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=KINDS)
def online_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store is, once of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "online.db")
    server: RedisServer = request.getfixturevalue("redis_server")
    with server.client() as client:
        client.flushall()
    return server.address()


@pytest.fixture
def online(online_address: str) -> Iterator[OnlineStore]:
    store = open_online(online_address)
    yield store
    store.close()
