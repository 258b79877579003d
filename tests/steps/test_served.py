"""The client of a predictor: an answer is what it should be, or a ServingError says what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from stand_in import sizes, stand_in

from noria.errors import ServingError
from noria.steps.served import Client

SCHEMA = sizes("float32")
ROWS = {"size": np.array([1.0, 2.0], np.float32)}
SHARES = {"name": "probabilities", "datatype": "FP32", "shape": [2, 3], "data": [0.5, 0.25, 0.25, 0.0, 0.0, 1.0]}
LABEL = {"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 2]}
GOOD: dict[str, Any] = {"id": "x", "model_name": "m", "outputs": [SHARES, LABEL], "parameters": {"bundle": "b" * 64}}


@contextmanager
def predictor(status: int, body: bytes) -> Iterator[Client]:
    """A client of a server that always says the same."""
    with stand_in(SCHEMA, lambda _: (status, body)) as client:
        yield client


def answer(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in {**GOOD, **changes}.items() if value is not None}).encode()


def test_a_whole_answer_is_read() -> None:
    with predictor(200, answer()) as client:
        for _ in range(2):
            found = client.ask(ROWS)
            assert (found.id, found.bundle, found.labels.tolist()) == ("x", "b" * 64, [0, 2])
            assert found.probabilities.tolist() == [[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]
            assert found.seconds > 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>welcome</html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        answer()[:-9],
        answer(id=None),
        answer(id=7),
        answer(outputs=None),
        answer(outputs=[SHARES]),
        answer(outputs=[LABEL]),
        answer(outputs=[{"name": "probabilities"}, LABEL]),
        answer(outputs=[{**SHARES, "shape": [3, 2]}, LABEL]),
        answer(outputs=[{**SHARES, "shape": [2, 2]}, LABEL]),
        answer(outputs=[{**SHARES, "shape": [6]}, LABEL]),
        answer(outputs=[{**SHARES, "shape": [2, -2]}, LABEL]),
        answer(outputs=[{**SHARES, "shape": [2, 0], "data": []}, LABEL]),
        answer(outputs=[{**SHARES, "data": ["a"] * 6}, LABEL]),
        answer(outputs=[{**SHARES, "data": [None] * 6}, LABEL]),
        answer(outputs=[SHARES, {**LABEL, "shape": [1], "data": [0]}]),
        answer(outputs=[SHARES, {**LABEL, "data": [0, 3]}]),
        answer(outputs=[SHARES, {**LABEL, "data": [0, -1]}]),
        answer(outputs=[SHARES, {**LABEL, "data": [0, 0.5]}]),
        answer(parameters=None),
        answer(parameters={}),
    ],
)
def test_an_answer_that_is_none_is_a_serving_error(body: bytes) -> None:
    with predictor(200, body) as client, pytest.raises(ServingError, match="answered 200 with what is no answer"):
        client.ask(ROWS)


def test_another_status_is_told_with_what_the_predictor_said() -> None:
    with predictor(503, b"too busy") as client, pytest.raises(ServingError, match=r"answered 503 \(too busy\)"):
        client.ask(ROWS)


def test_a_connection_that_nobody_answers_is_a_serving_error() -> None:
    with predictor(200, answer()) as client:
        pass
    with pytest.raises(ServingError, match="gave no answer"):
        client.ask(ROWS)


def test_a_missing_number_or_text_is_asked_as_null() -> None:
    with predictor(200, answer()) as client:
        asked = json.loads(client.encode({"size": np.array([1.5, np.nan], np.float32)}))
    assert asked["inputs"][0]["data"] == [1.5, None]
    with stand_in(sizes("string"), lambda _: (200, answer())) as client:
        asked = json.loads(client.encode({"size": np.array(["M", None], object)}))
    assert asked["inputs"][0]["data"] == ["M", None]
