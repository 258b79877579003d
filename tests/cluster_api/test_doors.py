"""Doors: what serves is reached by the name of its Service, whichever of the two ports there is."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from cluster.doors import Doors
from noria.errors import ServingError
from noria.steps.served import TIMEOUT_SECONDS


@pytest.fixture
def opened() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that stays taken, and takes no connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_it_is_the_predictors_service_by_port_80_and_else_by_the_containers() -> None:
    doors = Doors.of("fashion", "noria-serving")
    assert (doors.host, doors.ports) == ("fashion-predictor.noria-serving.svc", (80, 8080))


def test_a_headless_service_is_entered_by_the_containers_port_and_so_is_it_the_next_time(
    opened: int, closed: int
) -> None:
    doors = Doors(host="127.0.0.1", ports=(closed, opened))
    for _ in range(2):
        connection = doors.enter()
        assert connection.port == opened
        assert connection.sock.gettimeout() == connection.timeout == TIMEOUT_SECONDS
        connection.close()
        assert doors.ports == (opened, closed)


def test_an_error_says_all_that_was_tried(closed: int) -> None:
    with pytest.raises(ServingError, match="no port of what serves takes a connection") as told:
        Doors(host="127.0.0.1", ports=(closed, closed)).enter()
    assert str(told.value).count(f"http://127.0.0.1:{closed} (") == 2


def test_a_name_that_nobody_knows_is_such_an_error() -> None:
    with pytest.raises(ServingError, match=r"http://fashion-predictor\.nowhere\.invalid:80 "):
        Doors(host="fashion-predictor.nowhere.invalid").enter()
