"""Connection: one client's socket. Its requests are answered one at a time, in order, within deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol, cast

from serving.exchange import Request, Response, refuse, render
from serving.options import Limits
from serving.reading import Message, Reader

LINGER_SECONDS = 2.0  # for a client that is still sending when it has been refused, so that it reads why
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
RETRY = {"retry-after": "1"}


class Exchange:
    """The place of one answer. The first one counts; one that comes later, or after the client has gone, is dropped."""

    __slots__ = ("_connection", "_message")

    def __init__(self, connection: Connection, message: Message) -> None:
        self._connection: Connection | None = connection
        self._message = message

    def respond(self, response: Response) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finish(response, self._message)


class Front(Protocol):
    """What all connections share."""

    draining: bool

    @property
    def limits(self) -> Limits: ...

    @property
    def handle(self) -> Callable[[Request, Exchange], None]:
        """Who answers a request through `exchange.respond`, now or later, and never raises."""

    def refused(self, status: int) -> None:
        """Count a request that was refused before it could be handled."""

    def joined(self, connection: Connection) -> bool:
        """Take the connection in; False if there are too many."""

    def left(self, connection: Connection) -> None:
        """Forget the connection."""


class Connection(asyncio.Protocol):
    """Between a socket, a reader and the front. `deadline` is when the present phase must be over.

    While a request is answered nothing more is read once another one is whole, and nothing is handled while the client
    does not read its answers; so what one client can make us hold is bounded.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._limits = front.limits
        self._reader = Reader(front.limits)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._current: Exchange | None = None
        self._writable = True
        self._ended = False  # the client sends no more
        self._last = False  # the current answer is the connection's last
        self._lingering = False
        self.deadline = monotonic() + self._limits.idle_seconds

    @property
    def answering(self) -> bool:
        """Say whether a request waits for its answer."""
        return self._current is not None

    @property
    def busy(self) -> bool:
        """Say whether a request is being read or answered."""
        return self._current is not None or self._reader.reading

    # --- what asyncio tells ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._front.joined(self):
            most = self._limits.connections
            self._refuse(refuse(503, f"{most} connections are open, which is the limit: come back in a second", RETRY))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._reader.messages.clear()
        self._current = None
        self._front.left(self)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        reader = self._reader
        reader.feed(data)
        if self._current is None:
            if reader.messages:
                self._next()
            else:
                self._await_more()
        elif reader.messages:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._ended = True
        return self._current is not None  # it may still read: what is whole is answered

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._current is None and not self._lingering:
            self._next()

    # --- what the front tells ----------------------------------------------------------------------------------

    def finish(self, response: Response, message: Message) -> None:
        """Write the answer to the message, and go on; an Exchange calls this once."""
        transport = self._transport
        if transport.is_closing() or self._lingering:
            return
        self._current = None
        close = self._last or self._front.draining or not message.keep_alive
        transport.write(render(response, close=close, with_body=message.with_body))
        if close:
            self._linger()
            return
        if self._reader.messages:
            self._next()
        else:
            self._rest()

    def expire(self) -> None:
        """The deadline has passed: an answer is overdue, a request is slow in coming, or nobody asks any more."""
        if self._lingering or not self._writable:
            self._transport.abort()
        elif self._current is not None:
            seconds = self._limits.request_seconds
            self._current.respond(refuse(503, f"no answer within {seconds:g} s, the limit: ask again later", RETRY))
        elif self._reader.reading:
            self._refuse(refuse(408, "the request was not whole in time: expected it without long pauses"))
        else:
            self._transport.close()

    def stop(self) -> None:
        """The server ends: a request that is not answered yet is told so."""
        self._last = True
        if self._current is not None:
            self._current.respond(refuse(503, "the server stops: ask again, another one answers", RETRY))
        elif not self._lingering:
            self._transport.close()

    # --- inside ------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Hand on what has been read, as far as it can be answered now."""
        messages = self._reader.messages
        while messages and self._current is None and self._writable and not self._lingering:
            message = messages.popleft()
            if message.request is None:
                self._refuse(cast("Response", message.refusal))
                return
            self._current = Exchange(self, message)
            self.deadline = monotonic() + self._limits.request_seconds
            self._front.handle(message.request, self._current)
        if self._current is None and not messages and not self._lingering:
            self._rest()

    def _rest(self) -> None:
        """Nothing is left to answer: read on."""
        if self._ended or self._transport.is_closing():
            self._transport.close()
            return
        self.deadline = monotonic() + self._limits.idle_seconds
        self._transport.resume_reading()
        if self._reader.reading:
            self._await_more()

    def _await_more(self) -> None:
        """A request has begun: each of its parts must come soon, and its whole body before long."""
        reader = self._reader
        if not reader.reading:
            return
        limits = self._limits
        if reader.in_body:
            self.deadline = min(monotonic() + limits.head_seconds, reader.started + limits.body_seconds)
        else:
            self.deadline = reader.started + limits.head_seconds
        if reader.wants_continue:
            reader.wants_continue = False
            self._transport.write(CONTINUE)

    def _refuse(self, response: Response) -> None:
        """Refuse what cannot be read on from."""
        self._front.refused(response.status)
        self._transport.write(render(response, close=True, with_body=True))
        self._linger()

    def _linger(self) -> None:
        """Close so that the client can read the answer: with unread bytes left behind, the system would drop it."""
        self._lingering = True
        self._reader.messages.clear()
        self._reader.broken = True
        self.deadline = monotonic() + LINGER_SECONDS
        if self._ended:
            self._transport.close()
        else:
            self._transport.write_eof()
            self._transport.resume_reading()
