"""Front: all connections of the data port, their number, their deadlines and their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from serving.connection import Connection, Exchange
from serving.exchange import Request
from serving.metrics import Metrics
from serving.options import Limits

log = logging.getLogger("serving")

TICK_SECONDS = 0.05  # how late a deadline may be noticed
Handle = Callable[[Request, Exchange], None]


class Front:
    """Takes connections in, hands their requests to `handle`, and ends those whose time is over. Event loop only."""

    def __init__(self, limits: Limits, metrics: Metrics, make_handle: Callable[[Front], Handle]) -> None:
        self.limits = limits
        self.draining = False
        self.handle = make_handle(self)
        self._metrics = metrics
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        metrics.connections = lambda: len(self._connections)
        metrics.in_flight = lambda: sum(one.answering for one in self._connections)

    def connect(self) -> Connection:
        """Make the protocol of a new connection, as asyncio wants it."""
        return Connection(self)

    def refused(self, status: int) -> None:
        self._metrics.other_requests["http", status] += 1

    def joined(self, connection: Connection) -> bool:
        fits = len(self._connections) < self.limits.connections
        self._connections.add(connection)  # a refused one too: it lingers until its client has read why
        self._empty.clear()
        return fits

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def watch(self) -> None:
        """End what is overdue, for as long as the task lives."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = monotonic()
            for connection in [one for one in self._connections if one.deadline < now]:
                connection.expire()

    async def finish(self, seconds: float) -> None:
        """Close idle connections, let the others have their answers for so long, and tell those that still wait."""
        self.draining = True
        for connection in [one for one in self._connections if not one.busy]:
            connection.stop()
        if await self._all_gone(seconds):
            return
        log.warning(
            "%d connections are still busy after %g s: their requests are refused", len(self._connections), seconds
        )
        for connection in list(self._connections):
            connection.stop()
        await self._all_gone(1)

    async def _all_gone(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            return False
        return True
