"""Request cost: where the time of one small request to the predictor goes, each part measured alone.

`python -m bench.request_cost` prints the table. All is measured on one core, and the fastest of many rounds is told, so
that other programs on the machine change little.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from bench.serving.models import INPUT, Model, load_once, make_models
from bench.serving.peers import NORIA
from bench.serving.questions import make_question
from noria.settings import Settings
from serving.app import App
from serving.batch import Arrays, Waiting
from serving.batching import Batcher
from serving.connection import Connection
from serving.front import Front
from serving.hub import Hub
from serving.metrics import make_metrics
from serving.options import Options, parse_options
from serving.slot import Slot
from serving.source import load_folder

ROUNDS, TIMES = 40, 250


class Wire:
    """A transport to nowhere."""

    def write(self, data: bytes) -> None:
        """Take the answer."""

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None:
        """Read on."""


def fastest(action: Callable[[], Any]) -> float:
    """Microseconds of one action, in the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = perf_counter()
        for _ in range(TIMES):
            action()
        best = min(best, (perf_counter() - started) / TIMES)
    return best * 1e6


def measure_model(model: Model, rows: int) -> float:
    """ONNX Runtime's own call, per row."""
    session, values = load_once(model.file), {INPUT: model.rows(rows)}
    return fastest(lambda: session.run(values)) / rows


def measure_code(model: Model, options: Options, *, refuses: bool) -> float:
    """The predictor's own code for one request, from the bytes of its socket to those of the answer: no model, no
    thread, no system call. With `refuses`, of a request that finds the queue full.
    """
    metrics, hub = make_metrics(), Hub()
    served = load_folder(model.bundle, model.name, options, Settings.from_environment())
    outputs = served.predict({INPUT: model.rows(1)})
    limits = replace(options.limits, waiting_requests=0) if refuses else options.limits
    slot = Slot(served, limits, metrics)
    hub.add(slot)
    front = Front(limits, metrics, lambda front: App(hub, limits, metrics, front).handle)
    connection = Connection(front)
    connection.connection_made(Wire())  # type: ignore[arg-type]
    request = make_question(
        "V2 binary", NORIA.paths["V2 binary"].format(name=model.name), model, model.rows(1)
    ).encode()
    if refuses:
        slot.occupant.batcher.submit({INPUT: model.rows(1)}, 1, lambda _: None)
        return fastest(lambda: connection.data_received(request))

    def answer(_: Batcher, features: Arrays, rows: int, done: Callable[[Arrays | Exception], None]) -> Waiting:
        waiting = Waiting(features, rows, 0.0, done)
        done(outputs)
        return waiting

    submit, Batcher.submit = Batcher.submit, answer  # type: ignore[method-assign]
    try:
        return fastest(lambda: connection.data_received(request))
    finally:
        Batcher.submit = submit  # type: ignore[method-assign]


async def measure_hop() -> float:
    """To another thread and back to the loop, with nothing done there."""
    loop, work = asyncio.get_running_loop(), SimpleQueue[asyncio.Future[None] | None]()

    def serve() -> None:
        while (future := work.get()) is not None:
            loop.call_soon_threadsafe(future.set_result, None)

    threading.Thread(target=serve, daemon=True).start()
    best = float("inf")
    for _ in range(ROUNDS):
        started = perf_counter()
        for _ in range(TIMES):
            future: asyncio.Future[None] = loop.create_future()
            work.put(future)
            await future
        best = min(best, (perf_counter() - started) / TIMES)
    work.put(None)
    return best * 1e6


def measure_socket() -> float:
    """One send and one receive of 1,000 bytes over loopback TCP, both ends here: the system's part, without a wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = socket.create_connection(listener.getsockname())
        second, _ = listener.accept()
        with first, second:
            data = bytes(1000)

            def pass_on() -> None:
                first.send(data)
                second.recv(65536)

            return fastest(pass_on)


async def measure_codes(model: Model, options: Options) -> tuple[float, float]:
    return measure_code(model, options, refuses=False), measure_code(model, options, refuses=True)


def main() -> None:
    """Measure every part, and print the table."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        models = make_models(Path(folder), ("fashion", "nothing"))
        os.environ["NORIA_HOME"] = folder
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        options = parse_options(["--bundle", folder])
        whole, refusal = asyncio.run(measure_codes(models["nothing"], options))
        parts = {
            "ONNX Runtime, fashion model, one picture": measure_model(models["fashion"], 1),
            "ONNX Runtime, fashion model, each of 16 pictures": measure_model(models["fashion"], 16),
            "ONNX Runtime, model that does nothing": measure_model(models["nothing"], 1),
            "the predictor's own code, V2 binary": whole,
            "the same, refused because the queue is full": refusal,
            "to the model's thread and back": asyncio.run(measure_hop()),
            "send and receive of 1,000 bytes over loopback": measure_socket(),
        }
    print("| part of a request | µs |\n|---|---:|")
    for name, microseconds in parts.items():
        print(f"| {name} | {microseconds:.1f} |")


if __name__ == "__main__":
    main()
