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
            client.sendall(request(headers="expect: 100-continue\r\n")[: -len(BODY)])
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")  # so that it is busy by now
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
        with ThreadPoolExecutor(1) as pool, running.connect() as client:
            late = pool.submit(client.post, "/v2/models/wardrobe/infer", json=slow_rows(10**9))
            wait_until(lambda: running.metric("noria_in_flight_requests") == 2, "the model is at work")
            assert running.client.get("/v2/health/live").status_code == 200
            refused = late.result(PATIENCE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        next_one = running.client.post("/v2/models/wardrobe/infer", json=slow_rows(1))
        assert next_one.status_code == 503, "the model still hangs"
        assert running.client.get("/v2/health/live").status_code == 200


def test_a_place_is_made_for_a_new_client_by_closing_the_connection_that_has_been_idle_for_longest(hasty: Predictor):
    with connect(hasty) as one, connect(hasty) as two, connect(hasty) as three, connect(hasty) as four:
        for client in (two, one, three, four):
            client.sendall(request())
            assert read_answer(client)[0] == 200
        with connect(hasty) as fifth:
            fifth.sendall(request())
            assert read_answer(fifth)[0] == 200
        assert two.recv(100) == b""


def test_hundreds_of_requests_at_once_that_are_answered_at_once_are_all_answered(one: Predictor):
    with connect(one) as client:
        client.sendall(request("GET", "/v2/health/live", b"") * 2000)
        held = b""
        for _ in range(2000):
            status, _, _, held = read_answer(client, held)
            assert status == 200
        client.sendall(request())
        assert read_answer(client, held)[0] == 200
    assert "Traceback" not in one.log.read_text()


def test_a_client_that_reads_late_gets_all_that_it_has_asked_for(one: Predictor):
    with connect(one) as client, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(client.sendall, request("GET", "/metrics", b"") * 700)
        select.select([], [], [], 0.3)
        held = b""
        for _ in range(700):
            status, _, _, held = read_answer(client, held)
            assert status == 200
        sending.result(PATIENCE)


def test_what_a_client_asked_before_its_end_is_answered_though_it_reads_late(one: Predictor):
    with connect(one) as client, ThreadPoolExecutor(1) as pool:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def ask() -> None:
            client.sendall(request("GET", "/metrics", b"") * 30)
            client.shutdown(socket.SHUT_WR)

        asking = pool.submit(ask)
        answers = read_all(client)
        asking.result(PATIENCE)
    assert answers.count(b"HTTP/1.1 200 OK") == 30


def test_clients_that_vanish_at_any_moment_harm_nobody(one: Predictor, slow_bundle: Path, home: Path):
    late = ["--request-seconds", "0.3", "--head-seconds", "0.3", "--idle-seconds", "0.5"]
    with predictor(["--bundle", slow_bundle, *late], home) as running:
        body = json.dumps(slow_rows(3000)).encode()
        for _ in range(20):
            for sent in (
                b"GET / HTTP/1.0\r\n\r\n",
                request("POST", "/v2/models/wardrobe/infer", body, "connection: close\r\n") + b"G",
            ):
                with connect(running) as client:
                    client.sendall(sent)
        with connect(running) as client:
            client.sendall(request()[:-5])
            assert read_answer(client)[0] == 408, "the deadlines are watched no more"
        wait_until(lambda: running.metric("noria_in_flight_requests") == 1, "nothing is left behind")
        ask = lambda: running.client.post("/v2/models/wardrobe/infer", json=slow_rows(1)).status_code  # noqa: E731
        wait_until(lambda: ask() == 200, "the model answers again")
        assert "Traceback" not in running.log.read_text().replace('"traceback"', "Traceback")


def test_connections_whose_clients_read_nothing_are_ended(hasty: Predictor):
    with connect(hasty) as one, connect(hasty) as two:
        for client in (one, two):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.sendall(request("GET", "/metrics", b"") * 50)
        assert hasty.metric("noria_connections") == 3, "they are not there in the first place"
        wait_until(lambda: hasty.metric("noria_connections") == 1, "only the one that asks is left")
        assert hasty.client.get("/v2/health/live").status_code == 200


def test_an_endless_trailer_is_refused_and_one_with_headers_changes_nothing(one: Predictor):
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    chunk = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
    with connect(one) as client:
        client.sendall(head + chunk + b"content-encoding: gzip\r\n\r\n")
        assert read_answer(client)[0] == 200
        client.sendall(head + chunk + b"x: " + b"a" * 100_000)
        assert read_answer(client)[0] == 431


def test_a_long_row_of_requests_that_ends_in_the_middle_of_one_is_read_on(one: Predictor):
    with connect(one) as client:
        client.sendall(request() * 150 + b"POST /v2")
        held = b""
        for _ in range(150):
            status, _, _, held = read_answer(client, held)
            assert status == 200
        client.sendall(request()[len(b"POST /v2") :])
        assert read_answer(client, held)[0] == 200


def test_a_body_with_a_request_to_speak_another_protocol_is_read(one: Predictor):
    with connect(one) as client:
        client.sendall(
            request(headers="connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n")
        )
        status, headers, body, _ = read_answer(client)
        assert (status, headers["connection"]) == (200, "close")
        assert json.loads(body)["outputs"]


def test_an_address_with_its_scheme_and_host_is_understood(one: Predictor):
    with connect(one) as client:
        client.sendall(request("GET", "http://shoes.example:80/v2/health/live?x=1", b""))
        assert read_answer(client)[2] == b'{"live":true}'


def test_bodies_that_are_too_much_together_are_refused_and_memory_stays(one_bundle: Path, home: Path):
    limits = ["--max-held-bytes", "3000000", "--max-body-bytes", "2000000"]
    with predictor(["--bundle", one_bundle, "--name", "shoes", *limits], home) as running:
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 1900000\r\n\r\n".encode()
        with connect(running) as first, connect(running) as second:
            first.sendall(head + b" " * 1_800_000)
            second.sendall(head + b" " * 1_800_000)
            ready = select.select([first, second], [], [], PATIENCE)[0]
            assert len(ready) == 1
            assert read_answer(ready[0])[0] == 503
        with connect(running) as client:
            client.sendall(request())
            assert read_answer(client)[0] == 200


def test_a_timeout_is_counted_as_one(slow_bundle: Path, home: Path):
    with predictor(["--bundle", slow_bundle, "--request-seconds", "0.2", "--grace-seconds", "1"], home) as running:
        assert running.client.post("/v2/models/wardrobe/infer", json=slow_rows(10**9)).status_code == 503
        assert running.metric("noria_requests_total", protocol="v2", code="503") == 1
        wait_until(lambda: running.client.get("/v2/health/ready").status_code == 503, "a model that hangs is not ready")
        assert running.client.get("/v2/models/wardrobe/ready").status_code == 503
        assert running.client.get("/v2/health/live").status_code == 200
