"""Rounds: one turn of each server: rates, added latency, and latency under a steady load."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.serving.asking import WrongAnswerError
from bench.serving.load import Load, Tools, measure_peak
from bench.serving.models import SHAPES, Model
from bench.serving.notes import Key, Notes, Point
from bench.serving.plan import Plan
from bench.serving.questions import Protocol, make_question
from bench.serving.servers import Cores, Server, serving

BARE_CALLS = 3000
JSON_VALUES = 2**19  # above, JSON is left out: nobody sends several such pictures as text
WAITING_VALUES = 128 * 3 * 224 * 224  # of all requests together; above, one round of them would take minutes
VALUES_PER_SECOND = 8 * 3 * 224 * 224  # a large request needs a longer look, to be counted often enough


@dataclass(frozen=True, kw_only=True)
class Bench:
    """All that a round needs."""

    plan: Plan
    tools: Tools
    cores: Cores
    models: dict[str, Model]


def warm(bench: Bench, server: Server) -> None:
    """Load the server with all its protocols, and look at nothing but whether it answers rightly."""
    each = max(1, bench.plan.warm_seconds // len(server.peer.paths))
    for protocol in server.peer.paths:
        measure_peak(bench.tools, server, server.question(protocol, 1), connections=16, seconds=each)


def note_peak(bench: Bench, notes: Notes, server: Server, point: Point, seconds: int, what: str = "") -> None:
    """One point of the closed loop: its rate, and the processor time of a request."""
    question = server.question(point.protocol, point.rows)
    peak = measure_peak(bench.tools, server, question, connections=point.connections, seconds=seconds)
    key = Key(server=server.peer.name, model=server.model.name, **vars(point))
    notes.add(key.told(f"{what}rate"), peak.per_second)
    notes.add(key.told(f"{what}cpu"), peak.cpu_us)


def measure_rates(bench: Bench, notes: Notes, rates: Mapping[float, float]) -> None:
    """S1, S2 and S5: one picture of the fashion model, at each number of connections; then the open loop at the rates.

    The rates are those that both servers can keep up with, by their share of the slower one's peak.
    """
    note_floor(bench, notes)
    for peer in bench.plan.servers:
        with serving(peer, bench.models["fashion"], bench.cores) as server:
            warm(bench, server)
            for protocol in peer.paths:
                for connections in bench.plan.connections:
                    point = Point(protocol=protocol, connections=connections)
                    note_peak(bench, notes, server, point, bench.plan.seconds)
                load = keep_loading(bench, server, protocol, rate=0, connections=1)
                key = Key(what="one", server=peer.name, protocol=protocol, connections=1)
                notes.add(key, load.answered.p50)
            note_latency(bench, notes, server, rates)


def note_latency(bench: Bench, notes: Notes, server: Server, rates: Mapping[float, float]) -> None:
    """The open loop at each of the rates."""
    for share, rate in rates.items():
        load = keep_loading(bench, server, "V2 binary", rate=rate, connections=256)
        for name in ("p50", "p99"):
            key = Key(what=f"{name} at {share:.0%}", server=server.peer.name, protocol="V2 binary")
            notes.add(key, getattr(load.answered, name))
        notes.add(Key(what="late", server=server.peer.name), load.late.p99)


def measure_nothing(bench: Bench, notes: Notes) -> None:
    """S1 with the model that does nothing, at 16 connections."""
    for peer in bench.plan.servers:
        with serving(peer, bench.models["nothing"], bench.cores) as server:
            warm(bench, server)
            for protocol in peer.paths:
                note_peak(bench, notes, server, Point(protocol=protocol), bench.plan.seconds)


def measure_table(bench: Bench, notes: Notes) -> None:
    """Every model, batch, number of connections and protocol."""
    for name in bench.plan.models:
        for peer in bench.plan.servers:
            with serving(peer, bench.models[name], bench.cores) as server:
                warm(bench, server)
                for point, seconds in table_points(server, bench.plan):
                    note_peak(bench, notes, server, point, seconds, "table ")


def table_points(server: Server, plan: Plan) -> Iterator[tuple[Point, int]]:
    """The points that this model can be asked at, and for how long."""
    picture = math.prod(SHAPES[server.model.name][1])
    for protocol, rows, connections in itertools.product(server.peer.paths, plan.batches, plan.connections):
        waiting = picture * rows * connections
        if waiting <= WAITING_VALUES and (protocol == "V2 binary" or picture * rows <= JSON_VALUES):
            point = Point(protocol=protocol, rows=rows, connections=connections)
            yield point, plan.table_seconds + waiting // VALUES_PER_SECOND


def keep_loading(bench: Bench, server: Server, protocol: Protocol, *, rate: float, connections: int) -> Load:
    """Our own client on the server; whatever is not answered with success voids the round."""
    question = server.question(protocol, 1)
    load = bench.tools.load(
        server.port, question, rate=rate, seconds=float(bench.plan.seconds), connections=connections
    )
    failed = load.refused.count + load.faults + load.strange + load.unanswered + load.not_connected
    if failed or not load.answered.count:
        raise WrongAnswerError(
            f"{server.peer.title}, {protocol}, {rate:.0f} requests/s: {failed} of {load.asked} were not answered "
            f"with success: this round is void ({load})"
        )
    return load


def note_floor(bench: Bench, notes: Notes) -> None:
    """What no server gets below or above: the bare call, a request that does nothing, and the client's own ceiling."""
    model = bench.models["fashion"]
    command = [
        sys.executable,
        "-m",
        "bench.serving.bare",
        str(model.file),
        str(100 if bench.plan.quick else BARE_CALLS),
    ]
    pinned = ["taskset", "-c", str(bench.cores.server), *command]
    notes.add(Key(what="bare"), float(subprocess.run(pinned, capture_output=True, text=True, check=True).stdout))
    with bench.tools.echo() as port:
        for protocol in ("V2 binary", "V2 JSON"):
            question = make_question(protocol, "/", model, model.rows(1))
            rate = bench.tools.wrk(port, question, connections=16, seconds=1)
            notes.add(Key(what="ceiling", protocol=protocol), rate.per_second)
        question = make_question("V2 binary", "/", model, model.rows(1))
        load = bench.tools.load(port, question, rate=0, seconds=1.0, connections=1)
        notes.add(Key(what="echo", protocol="V2 binary", connections=1), load.answered.p50)
