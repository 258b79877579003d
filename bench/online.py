"""F2: the features of one entity and of a hundred, read online by Feast's SDK on four stores and by the predictor."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.figure import Figure, Quantity, divide, quantity, tell
from bench.online_tables import AS_OF, BEGIN, make_questions, write_tables
from bench.serving.models import facts_of

if TYPE_CHECKING:
    from serving.features.completer import Completed
    from serving.features.plan import Plan

GOAL = 5.0
ENTITIES = (1, 100)
STORES = ("SQLite", "Redis")
PEERS = ("Feast", "Feast with our plug-in")
Times = dict[tuple[str, str, int], list[float]]  # (program, store, entities) -> µs a call, by round
DEADLINE, MEMORY = 5.0, 10_000  # seconds to wait for a read; rows that the predictor remembers
BLOCKS = (5_000, 100_000)  # rows of one write
HOW = (
    "All {views} views of flights_v1, {fields} values an entity, over tables of random rows as many as a year of "
    "flights has ({rows:,} keys). The same tables are materialised into each store. Feast: "
    "`get_online_features(service, rows).to_dict()` of its SDK in this process, on the store that it brings and on our "
    "plug-in. Noria: what the predictor does with a request's keys, in this process: one read of the store (for Redis "
    "one MGET, on its loop), each row checked against the schema and its view's ttl, ages worked out, and all of it as "
    "the arrays that the model takes. The programs take turns, {calls} calls a turn for one entity and a tenth of that "
    "for a hundred; the question changes with every call. Every program's values are compared with those of the others "
    "first: a difference voids the run. Redis is Debian's, on loopback. Below, how long EXEC keeps Redis from all "
    "others when that many packed rows are written in one transaction."
)


@dataclass(frozen=True, kw_only=True)
class Program:
    """Something that reads: question rows in, the values of each feature by name out, keys and others beside them."""

    name: str
    store: str
    ask: Callable[[Sequence[Mapping[str, str]]], Mapping[str, Any]]


@contextmanager
def running_redis(folder: Path) -> Iterator[int | None]:
    """The port of a Redis of its own; None where none is installed."""
    binary = shutil.which("redis-server")
    if binary is None:
        yield None
        return
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def open_feast(name: str, online: dict[str, Any], folder: Path) -> Any:
    """A Feast on that online store, with the tables' views applied and materialised."""
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

    from feature_repo.definitions import define
    from noria.tasks.flights.service import SERVICE

    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / f"{name}.registry"),
            offline_store={"type": "feature_repo.asof_store.AsofOfflineStore"},
            online_store=online,
            entity_key_serialization_version=3,
        )
    )
    store.apply(define(SERVICE, folder / "tables").objects())
    store.materialize(BEGIN, AS_OF, disable_event_timestamp=False)
    return store


def feast_program(name: str, store: str, online: dict[str, Any], folder: Path) -> Program:
    from noria.tasks.flights.service import SERVICE

    opened = open_feast(f"{name}-{store}", online, folder)
    service = opened.get_feature_service(SERVICE.name)

    def ask(rows: Sequence[Mapping[str, str]]) -> Mapping[str, Any]:
        found: dict[str, Any] = opened.get_online_features(features=service, entity_rows=list(rows)).to_dict()
        return found

    return Program(name=name, store=store, ask=ask)


def own_program(store: str, address: str, loop: asyncio.AbstractEventLoop) -> Program:
    """The predictor's own completer on its reader of that store; turning the loop for a read is part of the time."""
    from serving.features.completer import Completer
    from serving.features.figures import StoreFigures
    from serving.features.online import Online, open_reader

    plan = flights_plan()
    fields = {field.name for field in plan.service.fields()}
    names = [column.name for column in plan.supplied if column.name in fields]

    async def make() -> Completer:
        return Completer(plan, Online(open_reader(address, None, DEADLINE)(), MEMORY, StoreFigures()))

    completer, moment = loop.run_until_complete(make()), int(AS_OF.timestamp() * 1e6)

    def ask(rows: Sequence[Mapping[str, str]]) -> Mapping[str, Any]:
        answer: asyncio.Future[Completed] = loop.create_future()
        entities = {key: [row[key] for row in rows] for key in plan.service.keys}
        completer.find(entities, np.full(len(rows), moment), len(rows), answer.set_result)
        found = answer.result() if answer.done() else loop.run_until_complete(answer)
        if found.note is not None:
            raise SystemExit(f"the predictor did not find all rows on {store}: {found.note}; the run is void")
        return {name: found.features[name] for name in names}

    return Program(name="Noria", store=store, ask=ask)


def flights_plan() -> Plan:
    """What the predictor plans to read for a model of flights."""
    from noria.tasks.flights.schema import ROWS
    from noria.tasks.flights.service import SERVICE
    from serving.features.plan import make_plan

    plan = make_plan(replace(facts_of("nothing"), schema=ROWS, service=SERVICE))
    if plan is None:
        raise SystemExit("flights has no features to be read: the run is void")
    return plan


def open_programs(folder: Path, port: int | None, loop: asyncio.AbstractEventLoop) -> list[Program]:
    plug_in = "feature_repo.online_store.NoriaOnlineStore"
    path = folder / "noria.db"
    made = [
        feast_program("Feast", "SQLite", {"type": "sqlite", "path": str(folder / "feast.db")}, folder),
        feast_program("Feast with our plug-in", "SQLite", {"type": plug_in, "address": str(path)}, folder),
        own_program("SQLite", str(path), loop),
    ]
    if port is not None:
        theirs = {"type": "redis", "connection_string": f"127.0.0.1:{port},db=1"}
        ours = {"type": plug_in, "address": f"redis://127.0.0.1:{port}/0"}
        made += [
            feast_program("Feast", "Redis", theirs, folder),
            feast_program("Feast with our plug-in", "Redis", ours, folder),
            own_program("Redis", ours["address"], loop),
        ]
    return made


def check_equal(programs: Sequence[Program], rows: Sequence[Mapping[str, str]]) -> int:
    """How many values were compared; SystemExit where two programs differ."""
    expected = programs[-1].ask(rows)
    for program in programs[:-1]:
        found = program.ask(rows)
        for name, values in expected.items():
            for one, other in zip(found[name], values, strict=True):
                if _known(one) != _known(other):
                    raise SystemExit(
                        f"{program.name} on {program.store}: {name} is {one}, not {other}; the run is void"
                    )
    return sum(map(len, expected.values()))


def _known(value: Any) -> Any:
    """The value; None for one that is missing, which a model is told as NaN or an empty text."""
    return None if value is None or value == "" or value != value else value


def take_turn(program: Program, questions: Sequence[Mapping[str, str]], entities: int, calls: int) -> float:
    """Microseconds a call."""
    parts = [questions[place : place + entities] for place in range(len(questions) - entities + 1)]
    asked = [parts[number % len(parts)] for number in range(calls)]
    begun = time.perf_counter()
    for rows in asked:
        program.ask(rows)
    return (time.perf_counter() - begun) / calls * 1e6


def measure_blocking(port: int, rounds: int, rows: int) -> list[float]:
    """Milliseconds for which EXEC alone has the server, as it counts itself."""
    import redis

    from noria.stores.online.rows import OnlineRow, Packer, row_key
    from noria.stores.online.store import open_online
    from noria.tasks.flights.service import SERVICE

    view = next(each for each in SERVICE.views if each.name == "route")
    packer, found = Packer(view), []
    with redis.Redis(port=port) as client:
        for turn in range(rounds):
            row = packer.pack(OnlineRow(event=turn, created=0, values=(1, 0.5, 2.5) * (len(view.fields) // 3)))
            store = open_online(f"redis://127.0.0.1:{port}/2")
            client.config_resetstat()
            store.write((row_key("route", (f"entity {number}",)), row) for number in range(rows))
            store.close()
            found.append(client.info("commandstats")["cmdstat_exec"]["usec"] / 1e3)
    return found


def measure(*, quick: bool) -> Figure:
    from noria.tasks.flights.service import SERVICE

    rounds, calls = (2, 20) if quick else (7, 1000)
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as name, running_redis(Path(name)) as port:
        folder = Path(name)
        keys = write_tables(folder / "tables")
        programs = open_programs(folder, port, loop)
        questions = make_questions(1000)
        compared = check_equal(programs, questions[:200])
        times = measure_turns(programs, questions, rounds, calls)
        blocks = {rows: measure_blocking(port, rounds, rows) for rows in BLOCKS} if port else {}
    loop.close()
    ratios = [ratio for store in STORES for n in ENTITIES for peer in PEERS for ratio in _ratios(times, peer, store, n)]
    one = [ratio for ratio in ratios if ratio.name.startswith("Feast ÷") and ratio.name.endswith("1 entity")]
    read = [quantity(f"{name} on {store}, {_entities(n)}", "µs", found) for (name, store, n), found in times.items()]
    return Figure(
        id="F2",
        title="Features read online",
        goal=f"one entity {GOAL:.0f} × as fast as Feast's SDK on the same kind of store",
        met=None if quick else all(ratio.median >= GOAL for ratio in one),
        how=HOW.format(views=len(SERVICE.views), fields=len(list(SERVICE.fields())), rows=keys, calls=calls),
        rounds=rounds,
        ratios=tuple(ratios),
        quantities=(*read, *(quantity(f"EXEC of {rows:,} rows", "ms", found) for rows, found in blocks.items())),
        facts={"values compared": f"{compared:,} a program, all equal"},
        versions={name: version(name) for name in ("feast", "redis", "hiredis")},
    )


def measure_turns(programs: Sequence[Program], questions: list[dict[str, str]], rounds: int, calls: int) -> Times:
    times: Times = {}
    for _ in range(rounds):
        for entities in ENTITIES:
            for each in programs:
                turn = take_turn(each, questions, entities, max(calls // (10 if entities > 1 else 1), 2))
                times.setdefault((each.name, each.store, entities), []).append(turn)
    return times


def _entities(number: int) -> str:
    return "1 entity" if number == 1 else f"{number} entities"


def _ratios(times: Times, peer: str, store: str, number: int) -> list[Quantity]:
    """The one ratio, or none where the store was not there."""
    if (peer, store, number) not in times:
        return []
    name = f"{peer} ÷ Noria, {store}, {_entities(number)}"
    return [divide(name, times[peer, store, number], times["Noria", store, number])]


if __name__ == "__main__":
    warnings.showwarning = lambda *_, **__: None  # Feast warns of what it deprecates, over any filter
    with redirect_stdout(sys.stderr):  # it also tells of what it materialises, on the output that is ours
        figure = measure(quick="--quick" in sys.argv)
    tell([figure])
