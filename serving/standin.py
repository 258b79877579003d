"""Stand-in: who answers a request in the model's place, where its task declares a fallback.

A request that the model fails on, or that it works on for too long, goes on to the next one: the last good model, then
the task's rule. While the model works on one batch for too long, requests go to the next one without waiting; once that
batch has ended, the model gets them again. Overload is told as such: a fallback must not hide that capacity is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from noria.errors import ServingError
from serving.batch import Arrays, Waiting
from serving.batching import Batcher, OverloadError
from serving.protocol import PredictionRequest

if TYPE_CHECKING:
    from serving.slot import Occupant

log = logging.getLogger("serving")

LAST_GOOD, RULE = "last-good", "rule"  # who stands in, as answers and metrics name it


class LateError(ServingError):
    """A batch has run for longer than a model may take where another one can answer."""


class Told(Protocol):
    """Who is told the outcome of a request, once, and who answered where it was not the one that was asked."""

    def __call__(self, outcome: Arrays | Exception, by: Occupant | None = None) -> None: ...


class Lookout:
    """Sees to it that nobody waits for a batch that runs for too long; one timer a batcher, however many requests."""

    def __init__(self, batcher: Batcher, seconds: float, name: str) -> None:
        self._batcher = batcher
        self._seconds = seconds
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.late = False  # a batch has run for too long; as it was seen last

    @property
    def takes(self) -> bool:
        """Say whether a request can be handed to the batcher: it has a thread, which does not hang."""
        if self.late:
            self.late = self._batcher.running_seconds >= self._seconds
        return not self.late and not self._batcher.closed

    def begin(self) -> None:
        """Look, from now on, until the batcher is idle."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        left = self._seconds - self._batcher.running_seconds
        if left <= 0:
            self.late = True
            log.warning("%s works on a batch for %g s: others answer until it has ended", self._name, self._seconds)
            self._batcher.give_up(LateError(f"{self._name} has not answered within {self._seconds:g} s"))
        elif not self._batcher.idle:
            # What runs now began at the last look at the earliest, so it is seen as soon as it is late.
            self._timer = self._loop.call_later(left, self._look)


class Passage:
    """One request on its way along those who may answer it; the first one is who was asked."""

    __slots__ = ("_at", "_done", "_fault", "_line", "_request", "_waiting", "gone")

    def __init__(self, line: Sequence[Occupant], request: PredictionRequest, done: Told) -> None:
        self._line = line
        self._request = request
        self._done = done
        self._at = 0
        self._waiting: Waiting | None = None
        self._fault: Exception | None = None  # of who was asked
        self.gone = False

    def start(self) -> Passage:
        """Hand the request to the first one who takes it; `admit` has seen to it that its queue is short enough."""
        self._hand_to(0)
        return self

    def leave(self) -> None:
        """Wait no more."""
        self.gone = True
        if self._waiting is not None:
            self._waiting.leave()

    def _hand_to(self, first: int) -> None:
        for place in range(first, len(self._line)):
            one = self._line[place]
            if not (one.takes and (place == 0 or one.gives(self._request))):
                continue
            if place:  # a whole queue may come at once, when it is given up
                try:
                    one.batcher.admit()
                except OverloadError as error:
                    self._fault = self._fault or error
                    continue
            if one.lookout is not None:
                one.lookout.begin()
            self._at = place
            self._waiting = one.batcher.submit(self._request.features, self._request.rows, partial(self._tell, place))
            return
        self._end(self._fault or ServingError("the model hangs, and nothing can answer in its place: ask again later"))

    def _tell(self, place: int, outcome: Arrays | Exception) -> None:
        if self.gone or place != self._at:
            return
        if not isinstance(outcome, Exception) or isinstance(outcome, OverloadError):
            self._end(outcome)
            return
        self._fault = self._fault or outcome
        if not isinstance(outcome, LateError):  # its lookout has told of it, once for all
            log.warning("%s failed: %s", self._line[place].title, outcome)
        self._hand_to(place + 1)

    def _end(self, outcome: Arrays | Exception) -> None:
        """Tell the outcome, and let go of the others: an idle batcher holds its last batch, and so this passage."""
        asked, one, done = self._line[0], self._line[self._at], self._done
        self.gone = True
        del self._line, self._done, self._request
        if one.fallback and not isinstance(outcome, Exception):
            (asked.asked or asked.metrics).fallbacks[one.fallback] += 1
        done(outcome, one)


def admit(line: Sequence[Occupant]) -> Batcher:
    """The queue that a request would join that comes now; OverloadError where it would not be answered in time."""
    batcher = next((one.batcher for one in line if one.takes), line[0].batcher)
    batcher.admit()
    return batcher
