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
NEW_SECONDS = 1.0  # for the first request of a connection that was made just before the server ends
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
RETRY = {"retry-after": "1"}


class Exchange:
    """The place of one answer. The first one counts; one that comes later, or after the client has gone, is dropped.

    Whoever answers may leave word: `count` is told the status that the exchange ended with, 499 for a client that went
    away (as in nginx), and `let_go` is called when nobody waits any more.
    """

    __slots__ = ("_connection", "_message", "count", "let_go")

    def __init__(self, connection: Connection, message: Message) -> None:
        self._connection: Connection | None = connection
        self._message = message
        self.count: Callable[[int], None] | None = None
        self.let_go: Callable[[], None] | None = None

    def respond(self, response: Response) -> None:
        connection = self._connection
        if connection is not None:
            self._end(response.status)
            connection.finish(response, self._message)

    def abandon(self) -> None:
        """The client has gone."""
        if self._connection is not None:
            self._end(499)

    def _end(self, status: int) -> None:
        self._connection = None
        if self.count is not None:
            self.count(status)
        if self.let_go is not None:
            self.let_go()


class Front(Protocol):
    """What all connections share."""

    draining: bool
    held: int  # bytes of bodies, of all connections

    @property
    def overfull(self) -> bool:
        """Say whether more bodies are held than the limit allows."""

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
        self._handing = False
        self._answering_bytes = 0  # of the body of the request that is answered
        self._held = 0  # what the front has been told
        self._made = monotonic()
        self.deadline = self._made + self._limits.idle_seconds

    @property
    def answering(self) -> bool:
        """Say whether a request waits for its answer."""
        return self._current is not None

    @property
    def ending(self) -> bool:
        """Say whether the connection is being closed already."""
        return self._lingering or self._transport.is_closing()

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
        self._reader.stop()
        current, self._current = self._current, None
        self._hold(0)
        self._front.left(self)
        if current is not None:
            current.abandon()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        reader = self._reader
        reader.feed(data)
        self._hold(self._answering_bytes + reader.held)
        if self._front.overfull and reader.in_body:
            self._refuse(refuse(503, "too many large bodies are held at once: come back in a second", RETRY))
        elif reader.messages and (self._current is not None or not self._writable):
            self._transport.pause_reading()
        elif reader.messages:
            self._next()
        elif self._current is None:
            self._await_more()

    def eof_received(self) -> bool:
        self._ended = True
        return bool(self._current or self._reader.messages)  # it may still read: what is whole is answered

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._lingering:
            self._set_linger()
        elif self._current is None:
            self._next()

    # --- what the front tells ----------------------------------------------------------------------------------

    def finish(self, response: Response, message: Message) -> None:
        """Write the answer to the message, and go on; an Exchange calls this once."""
        self._current = None
        self._answering_bytes = 0
        self._hold(self._reader.held)
        transport = self._transport
        if transport.is_closing() or self._lingering:
            return
        close = self._last or self._front.draining or not message.keep_alive
        transport.write(render(response, close=close, with_body=message.with_body))
        if close:
            self._linger()
        else:
            self._next()

    def expire(self) -> None:
        """The deadline has passed: an answer is overdue, a request is slow in coming, or nobody asks any more."""
        if self._lingering or not self._writable or self._transport.is_closing():
            self._transport.abort()
        elif self._current is not None:
            seconds = self._limits.request_seconds
            self._current.respond(refuse(503, f"no answer within {seconds:g} s, the limit: ask again later", RETRY))
        elif self._reader.reading:
            self._refuse(refuse(408, "the request was not whole in time: expected it without long pauses"))
        else:
            self.close()

    def close(self) -> None:
        """Close a connection where nothing is asked; what is not sent yet may take as long as an idle connection."""
        self.deadline = monotonic() + self._limits.idle_seconds
        self._transport.close()

    def part(self) -> None:
        """The server ends and nothing is asked here; the first request of a new connection may still be on its way."""
        if self._lingering:
            return
        self.deadline = self._made + NEW_SECONDS
        if self.deadline < monotonic():
            self._transport.close()

    def stop(self) -> None:
        """The server ends: a request that is not answered yet is told so."""
        self._last = True
        if self._current is not None:
            self._current.respond(refuse(503, "the server stops: ask again, another one answers", RETRY))
        elif not self._lingering:
            self.close()

    # --- inside ------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Hand on what has been read, as far as it can be answered now; an answer that comes at once ends up here."""
        if self._handing:
            return
        reader = self._reader
        self._handing = True
        while reader.messages and self._current is None and self._writable and not self._lingering:
            message = reader.take()
            if message.request is None:
                self._refuse(cast("Response", message.refusal))
                break
            self._answering_bytes = message.size
            exchange = self._current = Exchange(self, message)
            self.deadline = monotonic() + self._limits.request_seconds
            self._front.handle(message.request, exchange)
        self._handing = False
        if self._current is None and not reader.messages and not self._lingering:
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

    def _hold(self, size: int) -> None:
        """Tell the front how many bytes of bodies this connection holds."""
        self._front.held += size - self._held
        self._held = size

    def _refuse(self, response: Response) -> None:
        """Refuse what cannot be read on from."""
        self._front.refused(response.status)
        self._transport.write(render(response, close=True, with_body=True))
        self._linger()

    def _linger(self) -> None:
        """Close so that the client can read the answer: with unread bytes left behind, the system would drop it."""
        self._lingering = True
        self._reader.stop()
        self._hold(self._answering_bytes)
        self._set_linger()
        if self._ended:
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the client is gone already, and nobody has told us yet
            self._transport.abort()
        else:
            self._transport.resume_reading()

    def _set_linger(self) -> None:
        # An answer that is still being sent may take as long as an idle connection may last.
        sending = self._transport.get_write_buffer_size() > 0
        self.deadline = monotonic() + (self._limits.idle_seconds if sending else LINGER_SECONDS)
