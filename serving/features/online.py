"""Online: the online store as all models of the process read it, within a deadline, with a breaker and a memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Protocol

from noria.errors import StoreError
from noria.stores.online.address import SqliteAddress, parse_address, read_password
from noria.stores.online.rows import PREFIX
from serving.features.breaker import Breaker
from serving.features.figures import StoreFigures
from serving.features.memory import Memory

log = logging.getLogger("serving")

PROBE = PREFIX + b"probe"  # a key that no row has: theirs go on with a digit

Rows = Sequence[bytes | None]


class StoreReader(Protocol):
    """A connection to a store, on the loop; it connects by itself, and again."""

    def read(self, keys: Sequence[bytes], tell: Callable[[Rows | StoreError], None]) -> None:
        """Ask for the rows under the keys; `tell` is called once, perhaps at once, and must not raise."""

    def close(self) -> None:
        """Ask no more."""


class Online:
    """Reads rows; never raises and never waits for longer than the store's deadline. Event loop only."""

    def __init__(self, reader: StoreReader, memory_rows: int, figures: StoreFigures) -> None:
        self.memory = Memory(memory_rows)
        self._reader = reader
        self._figures = figures
        self._breaker = Breaker(self._probe)
        figures.watch(lambda: self._breaker.open, lambda: len(self.memory))

    def read(self, keys: Sequence[bytes], tell: Callable[[Rows | None], None]) -> None:
        """Ask for the rows under the keys; `tell` gets None, at once, while the store is known to fail."""
        if self._breaker.open:
            self._figures.outcomes["refused"] += 1
            tell(None)
            return
        started = monotonic()
        self._reader.read(keys, lambda found: tell(self._note(found, started)))

    def warm_up(self) -> None:
        """Connect, so that the first request need not wait for that."""
        self._probe()

    def note_garbage(self, error: StoreError) -> None:
        """Count a row that cannot be used."""
        self._figures.garbage += 1
        log.warning("a row of the online store cannot be used: %s", error)

    def close(self) -> None:
        """Ask no more."""
        self._breaker.close()
        self._reader.close()

    def _note(self, found: Rows | StoreError, started: float) -> Rows | None:
        self._figures.seconds.observe(monotonic() - started)
        if isinstance(found, StoreError):
            self._figures.outcomes["failed"] += 1
            self._breaker.failed(found)
            return None
        self._figures.outcomes["answered"] += 1
        self._breaker.succeeded()
        return found

    def _probe(self) -> None:
        self._reader.read((PROBE,), self._judge)

    def _judge(self, found: Rows | StoreError) -> None:
        if isinstance(found, StoreError):
            self._breaker.failed(found)
        else:
            self._breaker.succeeded()


def open_reader(address: str, password_file: Path | None, seconds: float) -> Callable[[], StoreReader]:
    """How to read the store at the address, without a look at it yet; UsageError where there is no such address.

    What is returned makes the reader, on the loop that it is called in.
    """
    found = parse_address(address)
    if isinstance(found, SqliteAddress):
        path = found.path

        def open_file() -> StoreReader:
            from serving.features.sqlite import SqliteReader  # a model without a service wants none of this

            return SqliteReader(path)

        return open_file
    password = read_password(password_file)

    def connect() -> StoreReader:
        from serving.features.redis import RedisReader  # its parser is loaded where there is a Redis

        return RedisReader(found, password, seconds)

    return connect
