"""Load: many requests at once are counted one by one, whatever becomes of them, and end in time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from stand_in import sizes, stand_in

from noria.steps.load import put_load, resident_mib
from noria.steps.served import Client

SCHEMA = sizes("int64")
ROWS = {"size": np.arange(5)}


def right(size: int) -> tuple[int, bytes]:
    """An answer by which the row that was asked for is known."""
    shares = {"name": "probabilities", "datatype": "FP64", "shape": [1, 2], "data": [size / 8, 1 - size / 8]}
    label = {"name": "label", "datatype": "INT64", "shape": [1], "data": [0]}
    body = {"id": "x", "model_name": "m", "outputs": [shares, label], "parameters": {"bundle": "b" * 64}}
    return 200, json.dumps(body).encode()


@contextmanager
def predictor(
    answering: Callable[[int], tuple[int, bytes]], metrics: tuple[int, bytes] = (200, b"")
) -> Iterator[Client]:
    """A client of a server that answers a row by its size."""
    with stand_in(SCHEMA, lambda body: answering(body["inputs"][0]["data"][0]), metrics) as client:
        yield client


def test_every_request_is_made_once_and_the_rows_come_in_turn() -> None:
    with predictor(right) as client:
        load = put_load(client, ROWS, requests=13, connections=3, seconds=60)
    assert load.seconds > 0
    found = {number: answer.probabilities[0, 0] * 8 for number, answer in load.answers.items() if answer}
    assert found == {number: number % 5 for number in range(13)}


def test_so_many_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=30)

    def answer(size: int) -> tuple[int, bytes]:
        together.wait()  # broken, and so no answer, unless three requests are here at once
        return right(size)

    with predictor(answer) as client:
        load = put_load(client, ROWS, requests=6, connections=3, seconds=60)
    assert len(load.answers) == 6
    assert all(load.answers.values())


@pytest.mark.parametrize("spoilt", [(503, b"too busy"), (200, b"<html>welcome</html>"), (200, b"")])
def test_a_request_that_is_refused_or_answered_with_nonsense_is_none_and_the_rest_go_on(
    spoilt: tuple[int, bytes],
) -> None:
    with predictor(lambda size: spoilt if size == 2 else right(size)) as client:
        load = put_load(client, ROWS, requests=20, connections=2, seconds=60)
    assert sorted(load.answers) == list(range(20))
    assert {number for number, answer in load.answers.items() if answer is None} == {2, 7, 12, 17}


def test_after_its_time_no_further_request_begins() -> None:
    waited = threading.Event()

    def answer(size: int) -> tuple[int, bytes]:
        waited.wait(0.05)
        return right(size)

    with predictor(answer) as client:
        load = put_load(client, ROWS, requests=400, connections=2, seconds=0.2)
    assert 1 <= len(load.answers) <= 10
    assert 0.2 <= load.seconds < 5


def test_a_predictor_that_is_gone_answers_nothing() -> None:
    with predictor(right) as client:
        pass
    load = put_load(client, ROWS, requests=8, connections=2, seconds=60)
    assert load.answers == dict.fromkeys(range(8))
    assert resident_mib(client) is None


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ((200, b"# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 1.048576e+08\n"), 100.0),
        ((200, b"process_virtual_memory_bytes 7\n"), None),
        ((200, b"process_resident_memory_bytes much\n"), None),
        ((200, b"process_resident_memory_bytes \n"), None),
        ((503, b"process_resident_memory_bytes 7\n"), None),
    ],
)
def test_memory_is_what_the_predictor_tells_or_nothing(metrics: tuple[int, bytes], expected: float | None) -> None:
    with predictor(right, metrics) as client:
        assert resident_mib(client) == expected
