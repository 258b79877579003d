"""HTTP/1.1 as clients speak it, well and badly: raw sockets against the real predictor."""

import json
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from predictor import PATIENCE, Predictor, predictor, wait_until
from questions import v2
from tiny_models import slow_rows

INFER = "/v2/models/shoes/infer"
BODY = json.dumps(v2({"pixels": np.zeros((1, 2, 2), np.uint8)})).encode()
SHORT = ["--head-seconds", "0.3", "--body-seconds", "0.6", "--idle-seconds", "0.5", "--max-connections", "4"]


@pytest.fixture(scope="module")
def hasty(one_bundle: Path, home: Path) -> Iterator[Predictor]:
    """A predictor with little patience and few connections."""
    with predictor(["--bundle", one_bundle, "--name", "shoes", *SHORT], home) as running:
        yield running


@contextmanager
def connect(running: Predictor) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as client:
        yield client


def request(method: str = "POST", path: str = INFER, body: bytes = BODY, headers: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


def read_answer(client: socket.socket, held: bytes = b"") -> tuple[int, dict[str, str], bytes, bytes]:
    """One answer: status, headers, body, and what came after it."""
    while b"\r\n\r\n" not in held:
        more = client.recv(65536)
        assert more, f"the connection ended after {held!r}"
        held += more
    head, _, rest = held.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    length = int(headers.get("content-length", "0"))
    while len(rest) < length:
        more = client.recv(65536)
        assert more, "the connection ended in a body"
        rest += more
    return int(first.split()[1]), headers, rest[:length], rest[length:]


def read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_requests_sent_at_once_are_answered_in_their_order(one: Predictor):
    with connect(one) as client:
        bodies = [json.dumps({**json.loads(BODY), "id": str(number)}).encode() for number in range(50)]
        client.sendall(b"".join(request(body=body) for body in bodies))
        held, ids = b"", []
        for _ in range(50):
            status, _, body, held = read_answer(client, held)
            assert status == 200
            ids.append(json.loads(body)["id"])
    assert ids == [str(n) for n in range(50)]


def test_a_request_in_single_bytes_is_read(one: Predictor):
    with connect(one) as client:
        for byte in request():
            client.sendall(bytes([byte]))
        assert read_answer(client)[0] == 200


def test_a_chunked_body_is_read_and_the_connection_lives_on(one: Predictor):
    with connect(one) as client:
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        parts = [BODY[:7], BODY[7:8], BODY[8:]]
        client.sendall(head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n")
        assert read_answer(client)[0] == 200
        client.sendall(request())
        assert read_answer(client)[0] == 200


def test_a_client_that_asks_for_leave_gets_it_and_one_that_asks_for_too_much_is_refused_instead(one: Predictor):
    with connect(one) as client:
        head, body = request(headers="expect: 100-continue\r\n").split(b"\r\n\r\n", 1)
        client.sendall(head + b"\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert read_answer(client)[0] == 200
        client.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 999999999\r\n\r\n")
        assert read_answer(client)[0] == 413


def test_a_client_that_has_said_all_still_gets_its_answer(one: Predictor):
    with connect(one) as client:
        client.sendall(request())
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).startswith(b"HTTP/1.1 200 ")


def test_the_answer_to_head_has_no_body(one: Predictor):
    with connect(one) as client:
        client.sendall(request("HEAD", "/v2/health/live", b"") + request("GET", "/v2/health/live", b""))
        head, _, held = read_all_until(client, b"\r\n\r\n")
        assert b"content-length: 13" in head
        assert read_answer(client, held)[2] == b'{"live":true}'


def read_all_until(client: socket.socket, end: bytes) -> tuple[bytes, bytes, bytes]:
    held = b""
    while end not in held:
        held += client.recv(65536)
    return held.partition(end)


def test_a_client_of_http_1_0_is_answered_and_let_go(one: Predictor):
    with connect(one) as client:
        client.sendall(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer


def test_a_request_to_speak_another_protocol_is_answered_in_this_one(one: Predictor):
    with connect(one) as client:
        client.sendall(request("GET", "/v2/health/live", b"", "connection: upgrade\r\nupgrade: h2c\r\n"))
        assert read_answer(client)[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nhost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nbad\x00name: y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5, 6\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 1000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 100_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a" * 100_000, 431),
    ],
    ids=lambda value: value[:60] if isinstance(value, bytes) else str(value),
)
def test_what_is_no_http_within_the_limits_is_refused_in_json_and_the_connection_ends(
    one: Predictor, sent: bytes, status: int
):
    with connect(one) as client:
        client.sendall(sent)
        found, headers, body, _ = read_answer(client)
        assert (found, headers["connection"]) == (status, "close")
        assert list(json.loads(body)) == ["error"]
        assert read_all(client) == b""


def test_what_comes_after_a_good_request_is_refused_after_its_answer(one: Predictor):
    with connect(one) as client:
        client.sendall(request() + b"nonsense\r\n\r\n")
        status, _, _, held = read_answer(client)
        assert status == 200
        assert read_answer(client, held)[0] == 400
        assert read_all(client) == b""


def test_slow_headers_and_slow_bodies_are_given_up(hasty: Predictor):
    for sent in (b"POST / HT", request()[:-5]):
        with connect(hasty) as client:
            client.sendall(sent)
            assert read_answer(client)[0] == 408
            assert read_all(client) == b""


def test_a_body_that_trickles_is_given_up_in_the_end(hasty: Predictor):
    with connect(hasty) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n".encode())
        started = time.monotonic()
        while not select.select([client], [], [], 0.05)[0]:
            client.sendall(b" ")
            assert time.monotonic() - started < PATIENCE
        assert read_answer(client)[0] == 408


def test_an_idle_connection_is_closed_without_a_word(hasty: Predictor):
    with connect(hasty) as client:
        client.sendall(request())
        assert read_answer(client)[0] == 200
        assert read_all(client) == b""


def test_more_connections_than_the_limit_are_told_so_and_there_is_room_again(hasty: Predictor):
    with connect(hasty) as one, connect(hasty) as two, connect(hasty) as three, connect(hasty) as four:
        for client in (one, two, three, four):
            client.sendall(request()[:-1])
        with connect(hasty) as fifth:
            status, headers, _, _ = read_answer(fifth)
            assert (status, headers["retry-after"]) == (503, "1")

    def has_room() -> bool:
        with connect(hasty) as client:
            client.sendall(request())
            return read_answer(client)[0] == 200

    wait_until(has_room, "there is room again")


def test_a_client_that_does_not_read_its_answers_is_not_answered_without_end(one: Predictor):
    many = request("GET", "/metrics", b"") * 100
    with connect(one) as client:
        client.settimeout(0)
        sent = 0
        while sent < 50_000_000 and select.select([], [client], [], 0.5)[1]:
            try:
                sent += client.send(many)
            except BlockingIOError:
                continue
        assert sent < 50_000_000, "the predictor reads on and on"
    assert one.client.get("/v2/health/live").status_code == 200


def test_a_request_that_the_model_does_not_answer_in_time_gets_503_while_the_rest_lives(slow_bundle: Path, home: Path):
    with predictor(["--bundle", slow_bundle, "--request-seconds", "0.3", "--grace-seconds", "1"], home) as running:
        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(running.connect().post, "/v2/models/wardrobe/infer", json=slow_rows(10**9))
            wait_until(lambda: running.metric("noria_in_flight_requests") == 2, "the model is at work")
            assert running.client.get("/v2/health/live").status_code == 200
            refused = late.result(PATIENCE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        next_one = running.client.post("/v2/models/wardrobe/infer", json=slow_rows(1))
        assert next_one.status_code == 503, "the model still hangs"
        assert running.client.get("/v2/health/live").status_code == 200
