"""Front: all connections of the data port, their number, their deadlines and their end."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic

from serving.connection import Connection, Exchange
from serving.exchange import Request
from serving.metrics import Metrics
from serving.options import Limits

log = logging.getLogger("serving")

BACKLOG = 1024  # connections that the system holds until they are taken in
TICK_SECONDS = 0.05  # how late a deadline may be noticed
TURNS = 3  # of the loop, that asyncio takes at most from a connection's acceptance until it tells of it
SO_ATTACH_FILTER = 26  # Linux's number, which Python does not name
DROP = struct.pack("HBBI", 0x06, 0, 0, 0)  # a program for its packet filter: keep 0 bytes
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
        self.held = 0

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    @property
    def in_flight(self) -> int:
        """How many requests wait for their answer."""
        return sum(one.answering for one in self._connections)

    @property
    def overfull(self) -> bool:
        """Say whether more bytes of bodies are held than the limit allows."""
        return self.held > self.limits.held_bytes

    def connect(self) -> Connection:
        """Make the protocol of a new connection, as asyncio wants it."""
        return Connection(self)

    def refused(self, status: int) -> None:
        self._metrics.other_requests["http", status] += 1

    def joined(self, connection: Connection) -> bool:
        fits = len(self._connections) < self.limits.connections or self._make_room()
        self._connections.add(connection)  # a refused one too: it lingers until its client has read why
        self._empty.clear()
        return fits

    def _make_room(self) -> bool:
        """Close the connection that has been idle for longest; False if all are busy."""
        idle = [one for one in self._connections if not one.busy and not one.ending]
        if idle:
            min(idle, key=lambda one: one.deadline).close()
        return bool(idle)

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def watch(self) -> None:
        """End what is overdue, for as long as the task lives."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = monotonic()
            for connection in [one for one in self._connections if one.deadline < now]:
                # As a turn of its own: a fault there is logged by the loop, and does not end the watch over the others.
                loop.call_soon(connection.expire)

    async def stop_listening(self, server: asyncio.Server, listener: socket.socket) -> None:
        """Close the server at this socket; who connected before that is taken in, as the system would reset it."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        for _ in range(TURNS):  # asyncio forgets a connection that it is still taking in when its server is closed
            await asyncio.sleep(0)
        held = list(_accept_all(listener))
        admit_nobody(listener)  # after most are taken in, as those that come meanwhile lose a second
        held += _accept_all(listener)
        server.close()
        taken = (loop.connect_accepted_socket(self.connect, each) for each in held)
        await asyncio.gather(*taken, return_exceptions=True)  # one that has been reset must not stop the others

    async def finish(self, seconds: float) -> None:
        """Close idle connections, let the others have their answers for so long, and tell those that still wait."""
        self.draining = True
        for connection in [one for one in self._connections if not one.busy]:
            connection.part()
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


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    """Take the connections that the system holds."""
    with suppress(OSError):  # there are no more
        for _ in range(BACKLOG):
            yield listener.accept()[0]


def admit_nobody(listener: socket.socket) -> None:
    """Have Linux overlook who connects from here on, so that closing the listener breaks no connection off.

    Clients try again by themselves after a second; by then they are refused, or meet the next process at this port.
    """
    program = ctypes.create_string_buffer(DROP, len(DROP))
    if sys.platform == "linux":
        with suppress(OSError):  # forbidden here: a connection may be lost in the moment between two calls
            place = struct.pack("HP", 1, ctypes.addressof(program))
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, place)
