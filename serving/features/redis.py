"""Redis: rows from a Redis, over one connection on the predictor's own loop.

Requests that come in the same turn of the loop share one MGET, and many of these may be under way. What is not there
within the deadline is told so; its answer is dropped when it comes, so that the others stay in their order.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from noria.errors import StoreError
from noria.stores.online.address import RedisAddress
from serving.features.redis_link import Link

KEYS_A_ROUND = 1000  # that requests of one turn share; a request of more has a round of its own
CONNECT_SECONDS = 2.0
SILENT_SECONDS = 5.0  # after which a connection that says nothing is given up: the machine may be gone

Tell = Callable[[Sequence[bytes | None] | StoreError], None]


class Round:
    """One MGET, and who waits for it."""

    __slots__ = ("asks", "keys", "made", "over", "timer")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.asks: list[tuple[int, Tell]] = []  # how many of the keys are whose
        self.made = monotonic()
        self.over = False
        self.timer: asyncio.TimerHandle | None = None

    def add(self, keys: Sequence[bytes], tell: Tell) -> None:
        self.keys += keys
        self.asks.append((len(keys), tell))

    def end(self, found: Sequence[bytes | None] | StoreError) -> None:
        """Tell all who wait; the first outcome counts."""
        if self.over:
            return
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
        if isinstance(found, StoreError):
            for _, tell in self.asks:
                tell(found)
            return
        start = 0
        for count, tell in self.asks:
            tell(found[start : start + count])
            start += count


class RedisReader:
    """Reads rows; it connects when it is asked, and again when the connection is gone."""

    def __init__(self, address: RedisAddress, password: str, seconds: float) -> None:
        self._address = address
        self._password = password
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._next: Round | None = None  # what comes in this turn of the loop
        self._unsent: list[Round] = []
        self._sent: deque[Round] = deque()
        self._link: Link | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._context: ssl.SSLContext | None = None

    def read(self, keys: Sequence[bytes], tell: Tell) -> None:
        """See StoreReader."""
        round_ = self._next
        if round_ is None or len(round_.keys) + len(keys) > KEYS_A_ROUND:
            if round_ is not None:
                self._send(round_)
            else:
                self._loop.call_soon(self._flush)
            round_ = self._next = Round()
            round_.timer = self._loop.call_later(self._seconds, self._late, round_)
        round_.add(keys, tell)

    def close(self) -> None:
        """See StoreReader."""
        if self._link is not None:
            self._link.abort()

    def _flush(self) -> None:
        round_, self._next = self._next, None
        if round_ is not None:
            self._send(round_)

    def _send(self, round_: Round) -> None:
        if self._sent and monotonic() - self._sent[0].made > SILENT_SECONDS:
            self.close()  # which ends what was sent
        if self._link is None:
            self._unsent.append(round_)
            if self._connecting is None:
                self._connecting = self._loop.create_task(self._connect())
        else:
            self._sent.append(round_)
            self._link.ask(round_.keys)

    def _late(self, round_: Round) -> None:
        round_.end(StoreError(f"{self._address} has not answered within {self._seconds:g} s: look at its load"))

    async def _connect(self) -> None:
        address = self._address
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, link = await self._loop.create_connection(
                    lambda: Link(address, self._password, self._answered, self._lost),
                    address.host,
                    address.port,
                    ssl=self._make_context() if address.tls else None,
                )
        except (OSError, ValueError) as error:  # TimeoutError and ssl's errors are among the OSErrors
            self._fail(StoreError(f"{address} cannot be reached ({error or 'no connection in time'}): is it running?"))
            return
        finally:
            self._connecting = None
        if link.fault is not None:
            self._fail(link.fault)
            return
        self._link = link
        unsent, self._unsent = self._unsent, []
        for round_ in unsent:
            if not round_.over:
                self._send(round_)

    def _make_context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context

    def _answered(self, answer: object) -> None:
        """The answer to the oldest round that was sent."""
        round_ = self._sent.popleft()
        if isinstance(answer, list) and len(answer) == len(round_.keys):
            round_.end([one if isinstance(one, bytes) else None for one in answer])
        else:
            round_.end(StoreError(f"{self._address} answers MGET by {str(answer)[:200]!r}: expected a list of rows"))

    def _lost(self, fault: StoreError) -> None:
        self._link = None
        self._fail(fault)

    def _fail(self, fault: StoreError) -> None:
        """End all rounds with the fault; there is no connection."""
        rounds = [*self._sent, *self._unsent]
        self._sent.clear()
        self._unsent.clear()
        for round_ in rounds:
            round_.end(fault)
