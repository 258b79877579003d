"""Load: requests that are sent when they are due, whatever became of the ones before, and what became of each."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import cast

MOST_CONNECTIONS = 512
LAST_SECONDS = 60.0  # for the answers that are still out when all has been sent

Check = Callable[[int, Mapping[bytes, bytes], bytes], str]


@dataclass(kw_only=True)
class Tally:
    """What became of the requests, in words where it was nothing good."""

    sent: int = 0
    waits: list[float] = field(default_factory=list)  # seconds from when one was due to its right answer
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Ask:
    place: int  # of the request
    due: float


class Load:
    """One client with as many connections as it needs, each with one request at a time. Event loop only."""

    def __init__(self, port: int, requests: Sequence[bytes], check: Check) -> None:
        self._port = port
        self._requests = requests
        self._check = check
        self._idle: list[Line] = []
        self._lines: set[Line] = set()
        self._opening: set[asyncio.Future[None]] = set()
        self._open = 0  # and being opened
        self._waiting: deque[Ask] = deque()
        self._out = 0
        self._ended: Callable[[], None] | None = None
        self.tally = Tally()

    @property
    def in_flight(self) -> int:
        return self._out

    async def keep_busy(self, connections: int, meanwhile: Awaitable[object]) -> float:
        """A closed loop for as long as that takes: each answer brings the next request. Right answers in a second."""
        started = monotonic()
        self._ended = lambda: self.ask(monotonic())
        for _ in range(connections):
            self.ask(monotonic())
        await meanwhile
        rate = len(self.tally.waits) / (monotonic() - started)
        self._ended = None
        await self._settle()
        return rate

    async def keep_rate(self, rate: float, going: Callable[[], bool]) -> float:
        """An open loop: a request is due every 1/rate seconds for as long as it goes on; returns those seconds."""
        started = monotonic()
        count = 0
        while going():
            due = started + count / rate
            if (early := due - monotonic()) > 0:
                await asyncio.sleep(early)
            self.ask(due)
            count += 1
            if count % 64 == 0:
                await asyncio.sleep(0)  # late or not, the answers are to be read
        taken = monotonic() - started
        await self._settle()
        return taken

    def ask(self, due: float) -> None:
        """Send the next request, over a new connection if all are taken."""
        ask = Ask(self.tally.sent % len(self._requests), due)
        self.tally.sent += 1
        self._out += 1
        if self._idle:
            self._idle.pop().ask(ask, self._requests[ask.place])
            return
        self._waiting.append(ask)
        self._add_line()

    def _add_line(self) -> None:
        if self._open < MOST_CONNECTIONS:
            self._open += 1
            task = asyncio.ensure_future(self._connect())
            self._opening.add(task)  # asyncio itself holds no task
            task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: Line(self), "127.0.0.1", self._port)
        except OSError as error:
            self._open -= 1
            if self._waiting:
                self._waiting.popleft()
                self.lose(f"no connection: {error}")

    async def _settle(self) -> None:
        """Wait for the answers that are out, and hang up; what does not come is lost."""
        deadline = monotonic() + LAST_SECONDS
        while self._out and monotonic() < deadline:
            await asyncio.sleep(0.01)
        self.tally.lost += ["no answer"] * self._out
        self._out = 0
        for line in self._lines:
            line.close()
        while self._lines:
            await asyncio.sleep(0)

    # --- what a line tells -------------------------------------------------------------------------------------

    def joined(self, line: Line) -> None:
        self._lines.add(line)
        self.rest(line)

    def rest(self, line: Line) -> None:
        """The line is free: it takes what waits for one."""
        if self._waiting:
            ask = self._waiting.popleft()
            line.ask(ask, self._requests[ask.place])
        else:
            self._idle.append(line)

    def gone(self, line: Line) -> None:
        self._open -= 1
        self._lines.discard(line)
        if line in self._idle:
            self._idle.remove(line)
        if self._waiting:
            self._add_line()

    def lose(self, why: str) -> None:
        self.tally.lost.append(why)
        self._end()

    def judge(self, ask: Ask, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Note an answer."""
        if status != 200:
            self.lose(f"{status}: {body[:200].decode(errors='replace')}")
            return
        try:
            version = self._check(ask.place, headers, body)
        except ValueError as error:
            self.tally.wrong.append(str(error))
        else:
            self.tally.versions[version] += 1
            self.tally.waits.append(monotonic() - ask.due)
        self._end()

    def _end(self) -> None:
        self._out -= 1
        if self._ended is not None:
            self._ended()


class Line(asyncio.Protocol):
    """One connection to the proxy."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._ask: Ask | None = None
        self._read = b""

    def ask(self, ask: Ask, request: bytes) -> None:
        self._ask = ask
        self._transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._load.joined(self)

    def close(self) -> None:
        self._ask = None
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.gone(self)
        if self._ask is not None:
            self._load.lose(f"the connection broke: {exc or 'closed without an answer'}")

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end or self._ask is None:
            return
        first, *lines = head.split(b"\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        if len(body) < int(headers[b"content-length"]):
            return
        ask, self._ask, self._read = self._ask, None, b""
        if headers.get(b"connection") == b"close":
            self._transport.close()
        else:
            self._load.rest(self)
        self._load.judge(ask, int(first.split(b" ")[1]), headers, body)
