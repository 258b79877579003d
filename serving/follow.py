"""Follow: watch who is champion in the release ledger, and seat each new one without a pause."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from noria.errors import LedgerError, StoreError
from serving.metrics import Metrics
from serving.model import ServedModel
from serving.slot import Slot

T = TypeVar("T")

log = logging.getLogger("serving")

RETRY_SECONDS = 60.0  # a refused bundle may become good: its key is trusted by now, or its files were mended


class Follower:
    """Keeps the slot's model equal to the champion; whatever goes wrong leaves the model that answers in its place.

    `champion` names the champion's digest, None where there is none; `load` makes it ready. Both may block, so they
    run on a thread.
    """

    def __init__(
        self,
        slot: Slot,
        champion: Callable[[], str | None],
        load: Callable[[str], ServedModel],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slot = slot
        self._champion = champion
        self._load = load
        self._metrics = metrics
        self._clock = clock
        self._refused = ""
        self._refused_at = 0.0
        self._outage = ""  # as it was told last

    async def run(self, pause: float) -> None:
        """Look at the ledger for as long as the task lives, with a pause between two looks."""
        while True:
            await asyncio.sleep(pause)
            await self.look()

    async def look(self) -> None:
        """Look once, and swap if there is a new champion that can be served."""
        digest, fault = await _attempt(self._champion)
        if fault is not None:
            self._note_outage("no look at the ledger", fault)
        elif not digest:
            self._settle()
        elif digest == self._slot.occupant.model.digest:
            self._slot.vouch()  # a rollback can make the one that stands in champion
            self._settle()
        elif not self._rests(digest):
            await self._replace(digest)

    async def _replace(self, digest: str) -> None:
        model, fault = await _attempt(lambda: self._load(digest))
        if isinstance(fault, StoreError | LedgerError):
            self._metrics.stale = True
            self._slot.stand_in_for(digest)
            self._note_outage(f"champion {digest} cannot be had", fault)
        elif model is None:
            self._slot.stand_in_for(digest)
            self._refuse(digest, fault)
        else:
            self._slot.swap(model)
            self._settle()
            log.info("bundle %s answers now", digest)

    def _rests(self, digest: str) -> bool:
        return digest == self._refused and self._clock() - self._refused_at < RETRY_SECONDS

    def _settle(self) -> None:
        self._refused = self._outage = ""
        self._metrics.stale = False

    def _note_outage(self, what: str, fault: BaseException) -> None:
        """Count it at every look, and tell it at the first one and when it is another one."""
        self._metrics.ledger_faults += 1
        outage = f"{what}: {fault}"
        if outage != self._outage:
            self._outage = outage
            log.warning("%s, %s keeps answering: %s", what, self._slot.occupant.model.version, fault)

    def _refuse(self, digest: str, fault: BaseException | None) -> None:
        self._refused, self._refused_at, self._outage = digest, self._clock(), ""
        self._metrics.stale = True
        self._metrics.count_load("refused")
        log.error("champion %s is refused, %s keeps answering: %s", digest, self._slot.occupant.model.version, fault)


async def _attempt(call: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """Run the call on a thread; its fault is handed over, whatever its kind, because none may end the watch."""
    run = asyncio.get_running_loop().run_in_executor(None, call)
    await asyncio.wait([run])
    fault = run.exception()
    return (None, fault) if fault is not None else (run.result(), None)
