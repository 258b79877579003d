"""Two replicas behind a real proxy: restarts, swaps, and replicas that die, stop or hang, while requests come."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from predictor import PATIENCE, ROOT, Predictor, predictor, wait_until
from prometheus_client.parser import text_string_to_metric_families
from questions import rows_of_many, v2
from tiny_models import slow_rows

from bench.rolling.load import Load
from bench.rolling.nginx import MISSING, Terms, describe, find_nginx, proxy
from bench.rolling.replica import Replica
from bench.rolling.roll import Plan, Stage, roll, set_stage, until
from bench.serving.servers import free_ports
from serving.exchange import Response
from serving.front import BACKLOG, Front, admit_nobody
from serving.metrics import make_metrics
from serving.options import Limits
from serving.server import bind

RATE = 300.0
INFER = "/v2/models/wardrobe/infer"
TERMS = Terms(patience=5, idle=5)
needs_nginx = pytest.mark.skipif(find_nginx() is None, reason=MISSING)


@contextmanager
def two_replicas(folder: Path, request_seconds: float) -> Iterator[Stage]:
    with ExitStack() as stack:
        stage = set_stage(stack, folder, Plan(swaps=0, request_seconds=request_seconds))
        yield stage


def under_load(stage: Stage, story: Callable[[Load], Awaitable[None]]) -> Load:
    """Let the story happen while requests come, and go on until it is told."""
    load = stage.load()

    async def go() -> None:
        telling = asyncio.ensure_future(story(load))
        await load.keep_rate(RATE, lambda: not telling.done())
        await telling

    asyncio.run(go())
    return load


async def answers(load: Load, more: int) -> None:
    wanted = len(load.tally.waits) + more
    await until(lambda: len(load.tally.waits) >= wanted, f"{more} more answers came")


def answered_by(replica: Replica) -> float:
    """The right answers that the replica gave, by its own count."""
    text = httpx.get(f"http://127.0.0.1:{replica.port}/metrics", timeout=PATIENCE).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(s.value for s in samples if s.name == "noria_requests_total" and s.labels.get("code") == "200")


@needs_nginx
def test_restarts_and_swaps_lose_nothing_and_every_answer_is_that_of_the_bundle_it_names(tmp_path: Path):
    """The proxy sends nothing twice here, so the replicas themselves lose nothing."""
    plan = Plan(requests=2000, restarts=2, swaps=2, rate=RATE, drain_seconds=0.4, twice=False)
    outcome = asyncio.run(roll(tmp_path, plan))
    assert outcome.reasons == {}
    assert (outcome.lost, outcome.wrong) == (0, 0)
    assert outcome.answered == outcome.sent >= plan.requests
    assert (outcome.restarts, outcome.swaps, len(outcome.versions)) == (2, 2, 3)
    assert sum(outcome.versions.values()) == outcome.answered


@needs_nginx
def test_a_wrong_answer_would_be_noticed(tmp_path: Path):
    with two_replicas(tmp_path, request_seconds=10) as stage:
        (truth,) = stage.releases._truth.values()
        truth[3, 0] += 0.001
        load = under_load(stage, lambda load: answers(load, 32))
    assert {wrong.partition(":")[0] for wrong in load.tally.wrong} == {"picture 3"}


@needs_nginx
def test_what_is_in_flight_at_a_replica_that_is_killed_is_answered_by_the_other(tmp_path: Path):
    with two_replicas(tmp_path, request_seconds=30) as stage:

        async def story(load: Load) -> None:
            await answers(load, 100)
            # Stopped first, so that some requests are surely there when it is killed.
            stage.replicas[0].signal(signal.SIGSTOP)
            await answers(load, 100)
            assert load.in_flight
            stage.replicas[0].kill()
            await answers(load, 200)
            await asyncio.to_thread(stage.replicas[0].start)
            before = answered_by(stage.replicas[0])
            await answers(load, 100)
            assert answered_by(stage.replicas[0]) > before

        load = under_load(stage, story)
    assert load.tally.lost == []
    assert load.tally.wrong == []


@needs_nginx
def test_while_a_replica_is_stopped_the_other_answers_and_it_answers_again_when_it_goes_on(tmp_path: Path):
    with two_replicas(tmp_path, request_seconds=1) as stage:

        async def story(load: Load) -> None:
            await answers(load, 100)
            stage.replicas[0].signal(signal.SIGSTOP)
            await answers(load, 1000)
            stage.replicas[0].signal(signal.SIGCONT)
            before = await asyncio.to_thread(answered_by, stage.replicas[0])
            await answers(load, 200)
            assert await asyncio.to_thread(answered_by, stage.replicas[0]) > before

        load = under_load(stage, story)
    assert load.tally.lost == []
    assert load.tally.wrong == []
    assert max(load.tally.waits) > 1.5, "some were sent to the stopped one, and the proxy waited as long as it may"
    assert statistics.quantiles(load.tally.waits, n=10)[-1] < 1.5, "most were not"


def hang(running: Predictor) -> httpx.Response:
    with running.connect() as client:
        return client.post(INFER, json=slow_rows(10**9))


def test_a_model_that_hangs_costs_its_requests_their_time_and_nobody_else_any(slow_bundle: Path, home: Path):
    with predictor(["--bundle", slow_bundle, "--request-seconds", "1"], home) as running:
        body = json.dumps(slow_rows(10**9)).encode()
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as asking:
            running.client.get("/v2/health/live")
            asking.sendall(head.encode() + body)
            asked = time.monotonic()
            taken = [live(running) for _ in range(100)]
            answer = asking.makefile("rb").read()
        assert time.monotonic() - asked < 3
        again = running.client.post(INFER, json=slow_rows(1))
        taken += [live(running) for _ in range(100)]
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"no answer within 1 s" in answer
    assert again.status_code == 503
    assert "retry-after" in again.headers
    assert statistics.quantiles(taken, n=50)[-1] < 0.1, "the rest is left to a machine that does other things as well"


def live(running: Predictor) -> float:
    started = time.monotonic()
    assert running.client.get("/v2/health/live").status_code == 200
    return time.monotonic() - started


@contextmanager
def behind_proxy(folder: Path, replicas: tuple[Predictor, Predictor]) -> Iterator[httpx.Client]:
    with (
        proxy(folder / "nginx", free_ports()[0], [each.port for each in replicas], TERMS) as front,
        httpx.Client(base_url=f"http://127.0.0.1:{front.port}", timeout=PATIENCE) as client,
    ):
        yield client


@needs_nginx
def test_while_the_model_of_a_replica_hangs_the_other_answers(slow_bundle: Path, home: Path, tmp_path: Path):
    arguments = ["--bundle", slow_bundle, "--request-seconds", "0.5"]
    with (
        predictor(arguments, home) as first,
        predictor(arguments, home) as second,
        behind_proxy(tmp_path, (first, second)) as client,
    ):
        assert hang(first).status_code == 503
        found = [client.post(INFER, json=slow_rows(1)).status_code for _ in range(20)]
        assert first.client.post(INFER, json=slow_rows(1)).status_code == 503
    assert found == [200] * 20


@needs_nginx
def test_rows_on_which_the_model_fails_do_not_shut_out_the_others(many_bundle: Path, home: Path, tmp_path: Path):
    good, bad = rows_of_many(1), {**rows_of_many(1), "shelf": np.array([9])}
    arguments = ["--bundle", many_bundle]
    with (
        predictor(arguments, home) as first,
        predictor(arguments, home) as second,
        behind_proxy(tmp_path, (first, second)) as client,
    ):
        found = [client.post(INFER, json=v2(rows)).status_code for _ in range(20) for rows in (bad, good)]
    assert found == [503, 200] * 20


@pytest.mark.parametrize(("turns", "late"), [*((turns, False) for turns in range(5)), (0, True)])
def test_who_connected_before_the_end_is_answered(turns: int, *, late: bool):
    """However far asyncio is with taking the connections in, and when the request comes after all that, too."""
    request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"

    async def go(clients: Sequence[socket.socket]) -> None:
        front = Front(Limits(), make_metrics(), lambda _: lambda _, exchange: exchange.respond(Response(b"{}")))
        listener = bind("127.0.0.1", 0)
        server = await asyncio.get_running_loop().create_server(front.connect, sock=listener, backlog=BACKLOG)
        for client in clients:
            client.connect(listener.getsockname())
            client.sendall(b"" if late else request)
        for _ in range(turns):
            await asyncio.sleep(0)
        front.draining = True
        await front.stop_listening(server, listener)
        ending = asyncio.ensure_future(front.finish(PATIENCE))
        for client in clients:
            await asyncio.sleep(0)
            client.sendall(request if late else b"")
            answer = await asyncio.to_thread(client.recv, 1000)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\nconnection: close\r\n" in answer
            client.close()
        await ending

    with ExitStack() as stack:
        asyncio.run(go([stack.enter_context(socket.socket()) for _ in range(50)]))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can overlook connections")
def test_who_connects_while_the_listener_is_closed_is_overlooked_and_not_broken_off():
    with bind("127.0.0.1", 0) as listener, socket.socket() as client:
        listener.listen()
        admit_nobody(listener)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.connect(listener.getsockname())


def test_a_new_connection_that_asks_nothing_delays_the_end_for_a_moment_only(one_bundle: Path, home: Path):
    with predictor(["--bundle", one_bundle], home) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as silent:
            wait_until(lambda: running.metric("noria_connections") == 2, "it was taken in")
            running.terminate()
            assert silent.recv(1) == b""
        assert running.process.wait(10) == 0


def test_the_guide_shows_the_configuration_that_is_tested():
    guide = (ROOT / "docs" / "guides" / "serving.md").read_text()
    (shown,) = re.findall(r"```nginx\n(.*?)```", guide, re.DOTALL)
    assert shown == describe(port=8000, replicas=(8080, 8081), terms=Terms(patience=10.5, idle=5))
