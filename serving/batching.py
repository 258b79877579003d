"""Batching: requests wait in a queue, and those that came while the last batch ran are run together next."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from time import monotonic
from typing import Any, Protocol

from numpy.typing import NDArray

from noria.errors import ServingError
from serving.batch import Arrays, Done, Finished, Waiting, join, part
from serving.options import Limits
from serving.pace import PaceTable

Run = Callable[[dict[str, NDArray[Any]]], Arrays]
STUCK = 3  # times the limit of a request: a batch that runs for longer will hardly end


class OverloadError(ServingError):
    """The queue is full, or the wait would be longer than a request may take; `seconds` is when to come back."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class Watch(Protocol):
    """Who wants to know how the batches go."""

    def waited(self, seconds: float) -> None:
        """Say how long a request waited for its turn."""

    def ran(self, outputs: Arrays, rows: int, seconds: float) -> None:
        """Tell of a batch; on the worker's thread, after its answers are on their way."""


class Batcher:
    """Runs one model on one thread of its own, off the event loop; an idle model starts at once.

    The event loop hands over each batch, so that what its sockets hold by then comes along. Where a full batch waits
    already there is nothing to wait for, and the thread takes it by itself: a loop that has a thousand sockets to read
    comes back late. `batch_rows` is how many rows run together at most, `pace` the seconds that a row takes at first;
    later it is learnt from each batch.
    """

    def __init__(
        self, run: Run, limits: Limits, watch: Watch, *, batch_rows: int | None = None, pace: float = 0.0
    ) -> None:
        self._run_model = run
        self._limits = limits
        self._watch = watch
        self._batch_rows = batch_rows or limits.batch_rows
        self._pace = PaceTable(pace)
        self._lock = threading.Lock()  # of the queue, and of who has been taken from it
        self._queue: deque[Waiting] = deque()
        self._queued_rows = 0
        self._late: list[Waiting] = []  # taken, but too late to run; they are told so
        self._running: Sequence[Waiting] = ()  # what the thread runs, or ran last
        self._busy = False  # the thread has a batch, or has run one that the loop does not know of yet
        self._running_rows = 0
        self._started = 0.0
        self._closed = False
        self._woken = False
        self.proven = False  # it has answered a batch
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[Sequence[Waiting] | None] = SimpleQueue()
        threading.Thread(target=self._serve, name="model", daemon=True).start()

    @property
    def depth(self) -> int:
        """Requests that wait for a turn."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Say whether nothing runs and nothing waits."""
        return not self._busy and not self._queue

    @property
    def closed(self) -> bool:
        """Say whether its thread ends: what came before is answered, and nothing more."""
        return self._closed

    @property
    def running_seconds(self) -> float:
        """For how long the present batch runs; 0 while none does."""
        return monotonic() - self._started if self._busy else 0.0

    def admit(self) -> None:
        """Raise OverloadError where a request that comes now would not be answered in time; costs next to nothing."""
        if self.idle:
            return
        now = monotonic()
        wait = self._wait_at(now)
        if wait > self._bearable_wait(now) or len(self._queue) >= self._limits.waiting_requests:
            raise OverloadError(
                f"{len(self._queue)} requests wait for the model, {wait:.1f} s of work: expected a shorter queue, "
                "so come back later or ask another replica",
                max(1, round(wait)),
            )

    def expected_wait(self) -> float:
        """Seconds until a request that comes now would get its turn, by the pace of the last batches."""
        return self._wait_at(monotonic())

    def _wait_at(self, now: float) -> float:
        running = now - self._started if self._busy else 0.0
        # What has run for longer than its pace foretold is expected to need as much again.
        expected = self._pace.seconds_for(self._running_rows) if self._busy else 0.0
        batches, rest = divmod(self._queued_rows, self._batch_rows)
        queued = batches * self._pace.seconds_for(self._batch_rows) + self._pace.seconds_for(rest)
        return queued + abs(expected - running)

    def _bearable_wait(self, now: float) -> float:
        """Seconds that a request may wait: as the limit says, and two batches where those take longer than it."""
        batch = max(self._pace.seconds_for(self._batch_rows), now - self._started)
        return min(self._limits.request_seconds, max(self._limits.wait_seconds, 2 * batch))

    def stuck(self) -> bool:
        """Say whether a batch runs for so long that its model hangs."""
        return self.running_seconds > STUCK * self._limits.request_seconds

    def submit(self, features: Arrays, rows: int, done: Done) -> Waiting:
        """Queue rows for a run; `done` is called once, on the event loop, with the outputs or with what went wrong. It
        must not raise: the rest of its batch would go without an answer.

        Whoever no longer wants the outcome sets `gone` on what is returned; then `done` may never be called.
        """
        waiting = Waiting(features, rows, monotonic(), done)
        with self._lock:
            self._queue.append(waiting)
            self._queued_rows += rows
        if not self._busy and not self._woken:
            # At the end of this turn of the loop, so that what other sockets hold by now comes along.
            self._woken = True
            self._loop.call_soon(self._wake)
        return waiting

    def give_up(self, fault: Exception) -> None:
        """Tell this fault to all that run or wait; what still comes of them is dropped."""
        with self._lock:
            present = (*self._running, *self._queue) if self._busy else tuple(self._queue)
            self._queue.clear()
            self._queued_rows = 0
        for waiting in present:
            if not waiting.gone:
                waiting.gone = True
                waiting.done(fault)

    def close(self) -> None:
        """Let go of the thread as soon as nothing waits any more; what waits is answered."""
        self._closed = True
        if not self._busy and not self._woken:
            self._work.put(None)

    def _wake(self) -> None:
        self._woken = False
        if not self._busy:
            self._start_next()

    def _start_next(self) -> None:
        """Hand the thread, which waits, what is queued by now."""
        with self._lock:
            batch = self._take()
        self._busy = bool(batch)
        if batch:
            self._work.put(batch)
        elif self._closed:
            self._work.put(None)
        self._tell_late()

    def _take_full(self) -> Sequence[Waiting]:
        """Take a batch if a full one waits. On the thread, which then runs it without a word from the loop."""
        with self._lock:
            return self._take() if self._queued_rows >= self._batch_rows else ()

    def _take(self) -> Sequence[Waiting]:
        """Take the longest waiting request, and as many after it as fit, to run now; under the lock.

        Those that nobody waits for are dropped.
        """
        now = monotonic()
        batch: list[Waiting] = []
        rows = 0
        while self._queue and self._fits(batch, rows, self._queue[0]):
            waiting = self._queue.popleft()
            self._queued_rows -= waiting.rows
            if waiting.gone:
                continue
            if now - waiting.came > self._limits.request_seconds:
                self._late.append(waiting)
                continue
            batch.append(waiting)
            rows += waiting.rows
        self._started, self._running, self._running_rows = now, batch, rows
        return batch

    def _fits(self, batch: Sequence[Waiting], rows: int, next_one: Waiting) -> bool:
        if not batch:
            return True
        return rows + next_one.rows <= self._batch_rows and not next_one.alone and not batch[0].alone

    def _finish(self, run: Finished) -> None:
        """Tell the outcome of a batch; the next one starts first, so that the model is never idle meanwhile."""
        batch, result = run.batch, run.result
        self._pace.learn(run.rows, run.seconds)
        splits = isinstance(result, Exception) and len(batch) > 1
        if splits:
            # Rows that the model fails on must not take their neighbours' answers along: each has a run of its own.
            for waiting in batch:
                waiting.alone = True
            with self._lock:
                self._queue.extendleft(reversed(batch))
                self._queued_rows += run.rows
        if run.last:
            self._start_next()
        self.proven = self.proven or not isinstance(result, Exception)
        for place, waiting in enumerate(batch):
            self._watch.waited(run.started - waiting.came)
            if not splits and not waiting.gone:
                waiting.done(result if isinstance(result, Exception) else result[place])
        self._tell_late()

    def _tell_late(self) -> None:
        """Tell those whose turn came too late that it did."""
        if self._late:
            with self._lock:
                late, self._late = self._late, []
            for waiting in late:
                if waiting.gone:
                    continue
                waiting.done(OverloadError("the request waited too long for the model: ask again later", 1))

    def _serve(self) -> None:
        """The worker thread: run batch after batch until told to end."""
        while (batch := self._work.get()) is not None:
            while batch:
                batch = self._run(batch)

    def _run(self, batch: Sequence[Waiting]) -> Sequence[Waiting]:
        """Run a batch, and tell the loop; returns the batch to run next, none for the loop to choose."""
        started = monotonic()
        outputs: Arrays = {}
        result: Sequence[Arrays] | Exception
        try:
            outputs = self._run_model(join(batch))
            result = part(outputs, batch)
        except Exception as error:  # noqa: BLE001 - whatever a model does, its thread lives on, and its clients are told
            result = error
        seconds = monotonic() - started
        rows = sum(waiting.rows for waiting in batch)
        following = self._take_full()
        finished = Finished(batch, result, rows, started, seconds, last=not following)
        try:
            self._loop.call_soon_threadsafe(self._finish, finished)
        except RuntimeError:  # the loop is closed: nobody waits for an answer any more
            return ()
        if outputs:
            self._watch.ran(outputs, rows, seconds)
        return following
