"""Fixtures of the feature repository: one of each store, made once a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("feast", reason="feast is not installed: pip install 'noria[features]'")

from feasts import STORES, Repository, empty_files, open_repository
from online_places import online, online_address, redis_server

__all__ = ["online", "online_address", "redis_server"]


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Repository]:
    made: dict[str, Repository] = {}

    def repository(kind: str) -> Repository:
        if kind not in made:
            made[kind] = open_repository(kind, tmp_path_factory.mktemp("feast") / kind)
        for name, rows in empty_files().items():
            made[kind].write(name, rows)
        return made[kind]

    return repository


@pytest.fixture(params=list(STORES))
def any_store(request: pytest.FixtureRequest, repositories: Callable[[str], Repository]) -> Repository:
    return repositories(request.param)


@pytest.fixture
def asof(repositories: Callable[[str], Repository]) -> Repository:
    return repositories("asof")
