"""Every case of the corpus over HTTP, to the real predictor."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path

import pytest
from corpus import ADDRESSES, BODIES, CUSTOMER, MAX_BODY, MAX_ROWS, PICTURE, RAW, Case, RawCase
from corpus.models import make_form_model
from predictor import PATIENCE, Predictor, predictor
from tiny_models import facts_of

from noria.ml.bundle import Facts

CASES = (*BODIES, *ADDRESSES)
GOOD = json.dumps(PICTURE.v2()).encode()


@pytest.fixture(scope="module")
def server(publish: Callable[[bytes, Facts], Path], home: Path) -> Iterator[Predictor]:
    picture, customer = (publish(make_form_model(form), facts_of(form.columns)) for form in (PICTURE, CUSTOMER))
    arguments = ["--bundle", picture, "--name", PICTURE.model, "--model", f"{CUSTOMER.model}={customer}"]
    with predictor([*arguments, "--max-rows", MAX_ROWS, "--max-body-bytes", MAX_BODY], home) as running:
        yield running


@pytest.fixture(scope="module")
def connection(server: Predictor) -> Iterator[HTTPConnection]:
    """One connection for all cases: each must leave it usable."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.connect()
    yield connection
    connection.close()


@pytest.fixture(autouse=True, scope="module")
def _the_server_is_well_afterwards(server: Predictor) -> Iterator[None]:
    yield
    assert server.client.get("/v2/health/live").status_code == 200
    assert "Traceback" not in server.log.read_text()


def check_words(text: bytes) -> str:
    content = json.loads(text)
    assert list(content) == ["error"]
    assert isinstance(content["error"], str)
    assert content["error"]
    assert "Traceback" not in content["error"]
    assert 'File "' not in content["error"]
    return str(content["error"])


def check_use(connection: HTTPConnection) -> None:
    connection.request("POST", PICTURE.infer, GOOD)
    response = connection.getresponse()
    assert (response.status, len(json.loads(response.read())["outputs"])) == (200, 2)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_malformed_request_is_refused_and_its_connection_lives_on(connection: HTTPConnection, case: Case):
    held = connection.sock
    connection.request(case.method, case.path, case.body, dict(case.headers))
    response = connection.getresponse()
    text = response.read()
    assert response.status == case.status, text
    assert response.headers["Content-Type"] == "application/json"
    assert case.says in check_words(text)
    if case.status == 405:
        assert response.headers["Allow"]
    check_use(connection)
    assert connection.sock is held


@pytest.mark.parametrize("case", RAW, ids=[case.name for case in RAW])
def test_what_is_no_proper_http_is_refused_and_harms_nobody_else(
    server: Predictor, connection: HTTPConnection, case: RawCase
):
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        status = _send(client, case)
        if case.ends:
            assert status is None or 400 <= status < 500
        else:
            assert status is not None
            assert 400 <= status < 500
        if case.status:
            assert status == case.status
        if case.keeps:
            client.sendall(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (_path(), len(GOOD)) + GOOD)
            assert _read(client) == 200
        elif not case.ends:
            assert client.recv(1) == b""  # closed
    check_use(connection)


def _path() -> bytes:
    return PICTURE.infer.encode()


def _send(client: socket.socket, case: RawCase) -> int | None:
    """Send the bytes, and return the status of the answer, or None where the connection is closed without one."""
    try:
        client.sendall(case.data)
        if case.ends:
            client.shutdown(socket.SHUT_WR)
    except ConnectionError:
        pass  # the server has refused already, and its answer waits to be read
    try:
        return _read(client)
    except (HTTPException, ConnectionError):
        return None


def _read(client: socket.socket) -> int:
    response = HTTPResponse(client)
    response.begin()
    text = response.read()
    if response.status >= 400:
        assert response.headers["Content-Type"] == "application/json"
        check_words(text)
    return response.status
