"""Redis link: one connection to a Redis, in its protocol (RESP 2), with hiredis to take the answers apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import hiredis

from noria.errors import StoreError
from noria.stores.online.address import RedisAddress

_NOTHING = object()


class Link(asyncio.Protocol):
    """Says who we are and which database we mean, then passes on each answer, in order, and the connection's end."""

    def __init__(
        self,
        address: RedisAddress,
        password: str,
        answered: Callable[[object], None],
        lost: Callable[[StoreError], None],
    ) -> None:
        self._address = address
        self._answered = answered
        self._lost = lost
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._greetings: list[tuple[bytes, ...]] = []
        if password:
            user = (address.user.encode(),) if address.user else ()
            self._greetings.append((b"AUTH", *user, password.encode()))
        if address.database:
            self._greetings.append((b"SELECT", b"%d" % address.database))
        self.fault: StoreError | None = None  # why it has ended

    def ask(self, keys: Sequence[bytes]) -> None:
        """Send one MGET."""
        self._transport.write(write_command((b"MGET", *keys)))

    def abort(self) -> None:
        """End the connection at once; `lost` is told now."""
        self._end(StoreError(f"the connection to {self._address} was given up: it answered nothing any more"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        for words in self._greetings:
            self._transport.write(write_command(words))

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._reader.feed(data)
        while self.fault is None:
            try:
                answer = self._reader.gets()
            except hiredis.ProtocolError as error:
                self._end(StoreError(f"{self._address} does not speak Redis' protocol ({error}): what listens there?"))
                return
            if answer is _NOTHING:
                return
            if self._greetings:
                self._greet(answer)
            else:
                self._answered(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._end(StoreError(f"{self._address} has ended the connection ({exc or 'no reason given'}): is it running?"))

    def _greet(self, answer: object) -> None:
        command = self._greetings.pop(0)[0].decode()
        if isinstance(answer, hiredis.ReplyError):
            self._end(
                StoreError(f"{self._address} refuses {command} ({answer}): look at the password and the database")
            )

    def _end(self, fault: StoreError) -> None:
        if self.fault is None:
            self.fault = fault
            self._transport.abort()
            self._lost(fault)


def write_command(words: Sequence[bytes]) -> bytes:
    """A command in RESP: how many words, then each behind its length."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts += (b"$%d\r\n" % len(word), word, b"\r\n")
    return b"".join(parts)
