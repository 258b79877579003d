"""Load: many requests at once are counted one by one, whatever becomes of them, and end in time."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from noria.schema import Column, Schema
from noria.steps.load import put_load, resident_mib
from noria.steps.served import Client

SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="size", type="int64", role="feature"),
        Column(name="label", type="int64", role="label"),
    )
)
ROWS = {"size": np.arange(5)}
Answering = Callable[[int], tuple[int, bytes]]  # the row's size -> status and body


def right(size: int) -> tuple[int, bytes]:
    """An answer by which the row that was asked for is known."""
    shares = {"name": "probabilities", "datatype": "FP64", "shape": [1, 2], "data": [size / 8, 1 - size / 8]}
    label = {"name": "label", "datatype": "INT64", "shape": [1], "data": [0]}
    body = {"id": "x", "model_name": "m", "outputs": [shares, label], "parameters": {"bundle": "b" * 64}}
    return 200, json.dumps(body).encode()


@contextmanager
def predictor(answering: Answering, metrics: tuple[int, bytes] = (200, b"")) -> Iterator[Client]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._say(*answering(body["inputs"][0]["data"][0]))

        def do_GET(self) -> None:
            self._say(*(metrics if self.path == "/metrics" else (404, b"")))

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        try:
            yield Client(connection=connection, model="m", schema=SCHEMA)
        finally:
            connection.close()
            server.shutdown()
            thread.join()


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
