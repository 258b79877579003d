"""An online store that is gone, stopped, slow, emptied or torn: answers come in time, are marked, and it mends."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from airline import (
    ASKED,
    EVENT,
    FACTS,
    FOUND,
    INFER,
    NAME,
    NOON,
    NOTHING,
    at,
    full,
    make_airline_model,
    one_row,
    pack,
    rows_of,
    v2,
)
from online_stores import Detour, Redis, free_port, redis
from predictor import Predictor, predictor, wait_until
from questions import outputs

from noria.ml.bundle import Facts
from noria.stores.online.rows import row_key
from noria.stores.online.store import open_online

DEADLINE = 0.05
# What an answer may take on a busy machine, beyond the deadline of the store.
MARGIN = 0.25
ROW = {**one_row(ASKED), **at(NOON, 1)}
STRANGER = {**ROW, "tailnum": np.array(["N404"], object)}
FRESH: dict[str, Any] = {}
LAST = {view: {"last known": 1} for view in ("weather", "aircraft", "routes")}


@pytest.fixture(scope="module")
def bundle(publish: Callable[[bytes, Facts], Path]) -> Path:
    return publish(make_airline_model(), FACTS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with redis(tmp_path) as server:
        fill(server.address)
        yield server


@contextmanager
def serve(bundle: Path, home: Path, address: object, *more: object) -> Iterator[Predictor]:
    with predictor(["--bundle", bundle, "--online", address, *more], home) as running:
        yield running


def fill(address: str, **more: Any) -> None:
    store = open_online(address, **more)
    try:
        store.write(rows_of())
    finally:
        store.close()


def ask(running: Predictor, rows: Any = ROW) -> tuple[dict[str, Any], float, Any]:
    """The views that are not fresh, the seconds that the answer took, and the probabilities."""
    started = time.monotonic()
    answer = running.client.post(INFER, json=v2(rows))
    seconds = time.monotonic() - started
    assert answer.status_code == 200, answer.text
    said = answer.json()["parameters"]
    return json.loads(said.get("feature_views", "{}")), seconds, outputs(answer.json())["probabilities"]


def until(running: Predictor, views: dict[str, Any], rows: Any = ROW) -> None:
    wait_until(lambda: ask(running, rows)[0] == views, f"the features are {views}")


def is_open(running: Predictor) -> bool:
    return running.metric("noria_online_breaker_open") == 1


def expected(running: Predictor, **changes: Any) -> Any:
    rows = {**one_row(full()), **changes}
    return outputs(running.client.post(INFER, json=v2(rows)).json())["probabilities"]


def test_a_stopped_redis_costs_its_deadline_for_less_than_a_second_and_mends_by_itself(
    bundle: Path, home: Path, server: Redis
):
    with serve(bundle, home, server.address, "--online-seconds", DEADLINE) as running:
        until(running, FRESH)
        fresh = ask(running)[2]
        server.send(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            while not is_open(running):
                views, seconds, found = ask(running)
                assert views == LAST
                assert seconds < DEADLINE + MARGIN
                np.testing.assert_array_equal(found, fresh)
                assert time.monotonic() - stopped < 1 + MARGIN
            for _ in range(20):
                views, seconds, _ = ask(running)
                assert (views, seconds < DEADLINE) == (LAST, True)
            assert ask(running, STRANGER)[0] == {**LAST, "aircraft": {"unread": 1}}
            assert running.client.get("/v2/health/live").status_code == 200
            assert running.client.get("/v2/health/ready").status_code == 200
            assert running.metric("noria_degraded_answers_total", model=NAME) > 20
            assert running.metric("noria_feature_rows_total", model=NAME, view="aircraft", status="unread") == 1
        finally:
            server.send(signal.SIGCONT)
        wait_until(lambda: not is_open(running), "the breaker closes")
        assert ask(running)[0] == FRESH


def test_it_opens_and_closes_without_a_single_request(bundle: Path, home: Path, server: Redis):
    with serve(bundle, home, server.address) as running:
        until(running, FRESH)
        server.send(signal.SIGSTOP)
        try:
            assert ask(running)[0] == LAST
            wait_until(lambda: is_open(running), "the breaker opens by its own probes")
        finally:
            server.send(signal.SIGCONT)
        wait_until(lambda: not is_open(running), "the breaker closes by its own probes")


def test_a_killed_redis_that_comes_back_empty_is_believed_once_it_has_rows_again(
    bundle: Path, home: Path, server: Redis
):
    with serve(bundle, home, server.address) as running:
        until(running, FRESH)
        server.kill()
        assert ask(running)[0] == LAST
        wait_until(lambda: is_open(running), "the breaker opens")
        assert ask(running)[1] < DEADLINE + MARGIN
        server.start()
        wait_until(lambda: not is_open(running), "the breaker closes")
        # What the store has lost is not unlearnt, and is marked; what nobody has ever read is unknown.
        assert ask(running)[0] == LAST
        assert ask(running, STRANGER)[0] == {**LAST, "aircraft": {"unknown": 1}}
        fill(server.address)
        until(running, FRESH)


def test_a_redis_that_is_not_there_at_the_start_is_found_later(bundle: Path, home: Path, tmp_path: Path):
    with redis(tmp_path) as server:
        server.kill()
        with serve(bundle, home, server.address) as running:
            assert running.client.get("/v2/health/ready").status_code == 200
            views, seconds, found = ask(running)
            assert views == {view: {"unread": 1} for view in LAST}
            assert seconds < DEADLINE + MARGIN
            np.testing.assert_allclose(found, expected(running, **NOTHING), atol=1e-7)
            server.start()
            fill(server.address)
            until(running, FRESH)


def test_a_password_is_read_from_its_file_and_a_wrong_one_is_a_store_that_fails(
    bundle: Path, home: Path, tmp_path: Path
):
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("open sesame\n")
    wrong.write_text("open barley\n")
    with redis(tmp_path, "--requirepass", "open sesame", "--databases", "4") as server:
        address = f"redis://127.0.0.1:{server.port}/3"
        fill(address, password_file=right)
        with serve(bundle, home, address, "--online-password-file", right) as running:
            until(running, FRESH)
        with serve(bundle, home, address, "--online-password-file", wrong) as running:
            assert ask(running)[0] == {view: {"unread": 1} for view in LAST}
            wait_until(lambda: is_open(running), "the breaker opens")
            wait_until(lambda: "refuses AUTH" in running.log.read_text(), "the log says why")
            log = running.log.read_text()
            assert "sesame" not in log
            assert "barley" not in log
        with serve(bundle, home, address) as running:
            assert ask(running)[0] == {view: {"unread": 1} for view in LAST}
            wait_until(lambda: "NOAUTH" in running.log.read_text(), "the log says why")


def test_a_slow_store_costs_no_more_than_the_deadline_and_late_answers_reach_nobody_else(
    bundle: Path, home: Path, server: Redis
):
    detour = Detour(server.port)
    try:
        with serve(bundle, home, detour.address, "--online-seconds", DEADLINE) as running:
            until(running, FRESH)
            fresh = ask(running)[2]
            other = {**{name: values[1:] for name, values in ASKED.items()}, **at(NOON, 1)}
            until(running, FRESH, other)
            detour.pause = 4 * DEADLINE
            views, seconds, _ = ask(running)
            assert (views, DEADLINE / 2 < seconds < DEADLINE + MARGIN) == (LAST, True)
            wait_until(lambda: is_open(running), "the breaker opens")
            detour.pause = 0.0
            wait_until(lambda: not is_open(running), "the breaker closes")
            for _ in range(20):
                views, _, found = ask(running)
                assert views == FRESH
                np.testing.assert_array_equal(found, fresh)
                assert ask(running, other)[0] == FRESH
    finally:
        detour.close()


def test_a_connection_that_breaks_in_the_middle_of_an_answer_is_replaced(bundle: Path, home: Path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with serve(bundle, home, f"redis://127.0.0.1:{port}/0") as running:
            for words in (b"*3\r\n$5\r\nab", b"+PONG\r\n", b"!nonsense\r\n", b"*1\r\n$-1\r\n", b""):
                client, _ = listener.accept()
                client.recv(65536)
                client.sendall(words)
                client.close()
                assert set(ask(running)[0]) == set(LAST)
            assert running.client.get("/v2/health/live").status_code == 200
            assert "Traceback" not in running.log.read_text()


def test_rows_that_the_store_has_lost_are_answered_as_last_known_while_they_are_young_enough(
    bundle: Path, home: Path, server: Redis
):
    store = open_online(server.address)
    try:
        with serve(bundle, home, server.address) as running:
            until(running, FRESH)
            fresh = ask(running)[2]
            store.remove("aircraft")
            views, _, found = ask(running)
            assert views == {"aircraft": {"last known": 1}}
            np.testing.assert_array_equal(found, fresh)
            old = {**ROW, **at(EVENT + 48 * 3600 * 10**6 + 1, 1)}
            assert ask(running, old)[0]["aircraft"] == {"unknown": 1}
    finally:
        store.close()


@pytest.mark.parametrize("known", [True, False], ids=["known before", "never read"])
def test_a_row_that_is_garbage_degrades_its_view_and_no_other(bundle: Path, home: Path, server: Redis, known: bool):
    good = dict(rows_of())[row_key("aircraft", ["N1"])]
    garbage = [b"", b"x", b"\x00" * 40, good[:-1], good + b"x", good[:30] + bytes([good[30] ^ 1]) + good[31:]]
    garbage.append(dict(rows_of())[row_key("weather", ["EWR"])])  # another view's row
    garbage.append(pack("aircraft", ["N1"], ("jet", 5000, None))[1])  # more seats than the schema has
    garbage.append(pack("aircraft", ["N1"], ("jet", 5, float("inf")))[1])
    status = "last known" if known else "unread"
    with serve(bundle, home, server.address) as running, socket.create_connection(("127.0.0.1", server.port)) as raw:
        if known:
            until(running, FRESH)
        for count, row in enumerate(garbage, 1):
            put(raw, row_key("aircraft", ["N1"]), row)
            assert ask(running)[0] == {"aircraft": {status: 1}}, row
            assert running.metric("noria_online_unusable_rows_total") == count
        assert not is_open(running)
        put(raw, row_key("aircraft", ["N1"]), good)
        assert ask(running)[0] == FRESH


def request() -> bytes:
    body = json.dumps(v2(ROW)).encode()
    return f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def put(raw: socket.socket, key: bytes, row: bytes) -> None:
    raw.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(row), row))
    assert raw.recv(100) == b"+OK\r\n"


def test_a_key_of_another_kind_is_no_row(bundle: Path, home: Path, server: Redis):
    with serve(bundle, home, server.address) as running, socket.create_connection(("127.0.0.1", server.port)) as raw:
        key = row_key("aircraft", ["N9"])
        raw.sendall(b"*3\r\n$5\r\nRPUSH\r\n$%d\r\n%b\r\n$1\r\nx\r\n" % (len(key), key))
        assert raw.recv(100) == b":1\r\n"
        assert ask(running, {**ROW, "tailnum": np.array(["N9"], object)})[0] == {"aircraft": {"unknown": 1}}


def test_a_file_that_is_not_there_holds_no_values_yet(bundle: Path, home: Path, tmp_path: Path):
    path = tmp_path / "later" / "online.db"
    with serve(bundle, home, path) as running:
        assert ask(running)[0] == {view: {"unknown": 1} for view in LAST}
        assert not is_open(running)
        fill(str(path))
        assert ask(running)[0] == FRESH
        for file in path.parent.iterdir():
            file.unlink()
        until(running, LAST)
        fill(str(path))
        until(running, FRESH)


def test_writers_keep_no_reader_out_and_a_locked_file_is_a_store_that_fails(bundle: Path, home: Path, tmp_path: Path):
    path = tmp_path / "online.db"
    fill(str(path))
    other = sqlite3.connect(path, isolation_level=None)
    with serve(bundle, home, path) as running:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM rows")
        assert ask(running)[0] == FRESH
        other.execute("ROLLBACK")
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE marks SET until = until")
    other.execute("COMMIT")  # in this mode the lock is kept
    with serve(bundle, home, path) as running:
        assert ask(running)[0] == {view: {"unread": 1} for view in LAST}
        wait_until(lambda: is_open(running), "the breaker opens")
        other.close()
        until(running, FRESH)


def test_a_torn_file_is_a_store_that_fails(bundle: Path, home: Path, tmp_path: Path):
    path = tmp_path / "online.db"
    path.write_bytes(b"no database at all " * 1000)
    with serve(bundle, home, path) as running:
        assert ask(running)[0] == {view: {"unread": 1} for view in LAST}
        wait_until(lambda: is_open(running), "the breaker opens")
        path.unlink()
        fill(str(path))
        until(running, FRESH)


def test_overload_is_refused_before_the_store_is_asked(bundle: Path, home: Path, server: Redis):
    """Requests that wait for a store that says nothing count as waiting ones."""
    limits = ["--max-waiting", "2", "--online-seconds", "5", "--request-seconds", "20"]
    with serve(bundle, home, server.address, *limits) as running:
        until(running, FRESH)
        before = running.metric("noria_online_reads_total", outcome="answered")
        server.send(signal.SIGSTOP)
        try:
            waiting = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
            for client in waiting:
                client.sendall(request())
            wait_until(lambda: running.metric("noria_in_flight_requests") == 3, "both wait, as does who asks")
            refused = running.client.post(INFER, json=v2(ROW))
            assert refused.status_code == 503
            assert "2 requests wait for features" in refused.json()["error"]
            assert refused.headers["retry-after"] == "1"
        finally:
            server.send(signal.SIGCONT)
        for client in waiting:
            assert client.recv(12) == b"HTTP/1.1 200"
            client.close()
        assert running.metric("noria_online_reads_total", outcome="answered") == before + 2


def test_a_client_that_goes_away_while_the_store_is_asked_is_forgotten(bundle: Path, home: Path, server: Redis):
    with serve(bundle, home, server.address, "--online-seconds", "5") as running:
        until(running, FRESH)
        server.send(signal.SIGSTOP)
        try:
            hasty = socket.create_connection(("127.0.0.1", running.port))
            hasty.sendall(request())
            wait_until(lambda: running.metric("noria_in_flight_requests") == 2, "it waits")
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            hasty.close()  # with a reset
            wait_until(lambda: running.metric("noria_in_flight_requests") == 1, "it is forgotten")
        finally:
            server.send(signal.SIGCONT)
        until(running, FRESH)
        assert running.metric("noria_requests_total", protocol="v2", code="499") == 1
        assert "Traceback" not in running.log.read_text()


def test_the_server_ends_in_time_while_the_store_says_nothing(bundle: Path, home: Path, server: Redis):
    with serve(bundle, home, server.address) as running:
        until(running, FRESH)
        server.send(signal.SIGSTOP)
        try:
            ask(running)
            running.terminate()
            assert running.process.wait(10) == 0
        finally:
            server.send(signal.SIGCONT)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--online", "redis://:secret@127.0.0.1/0"], "holds a password"),
        (["--online", "http://127.0.0.1"], "no online store is known"),
        (["--online", "redis://127.0.0.1", "--online-password-file", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--features-log", "x"], "found no --online"),
        (["--online", "x", "--features-log", "/nowhere/at/all"], "--features-log /nowhere/at/all cannot be written"),
        (["--online", "x", "--features-log-share", "2"], "expected 0 to 1"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_at_the_start(
    bundle: Path, home: Path, tmp_path: Path, arguments: list[str], said: str
):
    from predictor import PATIENCE, start

    log = tmp_path / "log"
    process = start(["--bundle", bundle, *arguments], home, log)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert said in log.read_text()
    assert "secret" not in log.read_text()


def test_the_parser_of_redis_is_loaded_only_for_a_redis(bundle: Path, home: Path, tmp_path: Path):
    import subprocess
    import sys

    from predictor import ROOT

    program = (
        "import sys, serving.__main__, serving.server, serving.features.source, serving.features.occupant, "
        "serving.features.sqlite; print({'hiredis', 'redis', 'feast'} & {n.partition('.')[0] for n in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_an_address_where_nobody_listens_is_told_in_the_log(bundle: Path, home: Path):
    with serve(bundle, home, f"redis://127.0.0.1:{free_port()}/0") as running:
        ask(running)
        wait_until(lambda: "cannot be reached" in running.log.read_text(), "the log says so")


def test_the_store_is_looked_at_for_all_rows_at_once(bundle: Path, home: Path, server: Redis):
    assert len(FOUND) == 6
    with serve(bundle, home, server.address) as running:
        until(running, FRESH)
        before = asked_of(server)
        ask(running, {**ASKED, **at(NOON)})
        assert asked_of(server) == before + 1


def asked_of(server: Redis) -> int:
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"INFO commandstats\r\n")
        text = raw.recv(65536).decode()
    line = next(line for line in text.splitlines() if line.startswith("cmdstat_mget"))
    return int(line.partition("calls=")[2].partition(",")[0])
