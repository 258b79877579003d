"""Batching: requests wait in a queue, and those that came while the last batch ran are run together next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import ServingError
from serving.metrics import Metrics
from serving.options import Limits

Features = Mapping[str, NDArray[Any]]
Predict = Callable[[dict[str, NDArray[Any]]], NDArray[np.float32]]


class OverloadError(ServingError):
    """More requests wait than the limit allows."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One request in the queue, and where its answer goes."""

    features: Features
    rows: int
    answer: asyncio.Future[NDArray[np.float32]]


class Batcher:
    """Runs one model on one thread of its own, off the event loop; an idle model starts at once.

    Everything but the model's run happens on the event loop, so that the queue needs no lock.
    """

    def __init__(self, predict: Predict, limits: Limits, metrics: Metrics) -> None:
        self._predict = predict
        self._limits = limits
        self._metrics = metrics
        self._queue: deque[Waiting] = deque()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._working: asyncio.Task[None] | None = None
        self._closed = False

    async def predict(self, features: Features, rows: int) -> NDArray[np.float32]:
        """Wait for a turn and return probabilities of shape (rows, classes); OverloadError if the queue is full."""
        if len(self._queue) >= self._limits.waiting_requests:
            raise OverloadError(
                f"{len(self._queue)} requests wait for the model, which is the limit: come back in a second"
            )
        waiting = Waiting(features=features, rows=rows, answer=asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._metrics.waiting.set(len(self._queue))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await waiting.answer

    def close(self) -> None:
        """Let go of the thread as soon as nothing waits any more; what waits is answered."""
        self._closed = True
        if self._working is None:
            self._worker.shutdown(wait=False)

    async def _work(self) -> None:
        while self._queue:
            await self._answer(self._take())
        self._working = None
        if self._closed:
            self._worker.shutdown(wait=False)

    def _take(self) -> list[Waiting]:
        """Take the longest waiting request, and as many after it as fit into the batch."""
        batch = [self._queue.popleft()]
        rows = batch[0].rows
        while self._queue and rows + self._queue[0].rows <= self._limits.batch_rows:
            batch.append(self._queue.popleft())
            rows += batch[-1].rows
        self._metrics.waiting.set(len(self._queue))
        self._metrics.batch_rows.observe(rows)
        return batch

    async def _answer(self, batch: Sequence[Waiting]) -> None:
        run = asyncio.get_running_loop().run_in_executor(self._worker, self._run, batch)
        await asyncio.wait([run])  # unlike `await run` it leaves a fault in the future, whatever its kind
        fault = run.exception()
        if fault is not None and len(batch) > 1:
            # Rows that the model fails on must not take their neighbours' answers along.
            for waiting in batch:
                await self._answer([waiting])
            return
        for place, waiting in enumerate(batch):
            if waiting.answer.done():  # cancelled: the server gave up on the request
                continue
            if fault is not None:
                waiting.answer.set_exception(fault)
            else:
                waiting.answer.set_result(run.result()[place])

    def _run(self, batch: Sequence[Waiting]) -> list[NDArray[np.float32]]:
        features = {name: np.concatenate([waiting.features[name] for waiting in batch]) for name in batch[0].features}
        ends = np.cumsum([waiting.rows for waiting in batch])
        return np.split(self._predict(features), ends[:-1])
