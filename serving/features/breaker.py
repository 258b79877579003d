"""Breaker: after a second of failures at most nobody waits for the store any more, until it answers a probe."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

log = logging.getLogger("serving")

PROBE_SECONDS = 0.2  # between two probes, from the first failure on until the store answers
OPEN_SECONDS = 0.2  # of nothing but failures until it opens
OPEN_FAILURES = 3  # at least: a single pause of the server, or of us, is none to tell of


class Breaker:
    """Open while the store fails. `probe` asks the store something, whose outcome is told here like any other."""

    def __init__(self, probe: Callable[[], None], clock: Callable[[], float] = monotonic) -> None:
        self.open = False
        self._probe = probe
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._failures = 0
        self._first = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def succeeded(self) -> None:
        """The store has answered in time."""
        self._failures = 0
        if self.open:
            self.open = False
            log.info("the online store answers again")

    def failed(self, fault: Exception) -> None:
        """The store has not answered, or not in time."""
        now = self._clock()
        self._failures += 1
        if self._failures == 1:
            self._first = now
            log.warning("no features from the online store: %s", fault)
        if not self.open and self._failures >= OPEN_FAILURES and now - self._first >= OPEN_SECONDS:
            self.open = True
            log.error("the online store is not asked until it answers a probe: %s", fault)
        if self._timer is None:
            self._timer = self._loop.call_later(PROBE_SECONDS, self._look)

    def close(self) -> None:
        """Probe no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._failures:
            self._probe()
