"""Load: what a predictor bears, asked over several connections at once, and the memory that it then holds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from noria.errors import ServingError
from noria.steps.served import Answer, Client

CONNECTIONS = 4
SECONDS = 2.0  # after these no further request begins: a slow predictor shows soon enough that it is
MEMORY = "process_resident_memory_bytes"


@dataclass(frozen=True, kw_only=True)
class Load:
    """`answers` are by the number of the request, None where none came; `seconds` went by until the last."""

    answers: Mapping[int, Answer | None]
    seconds: float


def put_load(
    client: Client,
    rows: Mapping[str, NDArray[Any]],
    *,
    requests: int,
    connections: int = CONNECTIONS,
    seconds: float = SECONDS,
) -> Load:
    """Ask `requests` times for one row, over and over for the same ones in turn; none begins after `seconds`.

    What is measured is the predictor beside this client, which takes its share of the cores: it bears this at least.
    """
    count = min(requests, len(rows[client.schema.features[0].name]))
    # Writing requests and reading answers is the client's work, and so done before and after the clock runs.
    bodies = [client.encode({name: values[at : at + 1] for name, values in rows.items()}) for at in range(count)]
    clients = [client.connect() for _ in range(connections)]
    start = time.perf_counter()

    def ask(first: int) -> dict[int, bytes | None]:
        return _post_all(clients[first], bodies, range(first, requests, connections), start + seconds)

    try:
        with ThreadPoolExecutor(connections) as pool:
            parts = list(pool.map(ask, range(connections)))
        taken = time.perf_counter() - start
    finally:
        for one in clients:
            one.connection.close()
    replies = {number: text for part in parts for number, text in part.items()}
    return Load(answers={number: _read(client, replies[number]) for number in sorted(replies)}, seconds=taken)


def resident_mib(client: Client) -> float | None:
    """The resident memory that the predictor tells of itself; None where it tells none."""
    try:
        told = [line.split() for line in client.metrics().splitlines() if line.startswith(f"{MEMORY} ")]
        return float(told[0][1]) / 2**20
    except (ServingError, IndexError, ValueError):
        return None


def _post_all(client: Client, bodies: Sequence[bytes], numbers: range, deadline: float) -> dict[int, bytes | None]:
    replies: dict[int, bytes | None] = {}
    for number in numbers:
        if time.perf_counter() >= deadline:
            break
        try:
            replies[number] = client.post(bodies[number % len(bodies)])[0]
        except ServingError:
            replies[number] = None
    return replies


def _read(client: Client, text: bytes | None) -> Answer | None:
    try:
        return None if text is None else client.read(text, 1, 0.0)
    except ServingError:
        return None
