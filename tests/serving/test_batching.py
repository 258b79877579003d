import asyncio
import threading
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from noria.errors import ServingError
from serving.batching import Batcher, OverloadError
from serving.metrics import Metrics
from serving.options import Limits

PATIENCE = 30.0


class Doubler:
    """A model that waits at a gate, remembers its batches, and fails on a 13."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.batches: list[list[float]] = []
        self.threads: set[threading.Thread] = set()

    def __call__(self, features: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        self.started.set()
        assert self.gate.wait(PATIENCE)
        values = features["x"]
        self.batches.append(values.tolist())
        self.threads.add(threading.current_thread())
        if 13 in values:
            raise ServingError("unlucky")
        return np.stack([values, values * 2], axis=1)


def features(*values: float) -> dict[str, NDArray[np.float32]]:
    return {"x": np.array(values, np.float32)}


def run(test: Callable[[Batcher, Doubler], Awaitable[None]], limits: Limits | None = None) -> Doubler:
    model = Doubler()

    async def main() -> None:
        batcher = Batcher(model, limits or Limits(), Metrics(CollectorRegistry()))
        try:
            async with asyncio.timeout(PATIENCE):
                await test(batcher, model)
        finally:
            model.gate.set()
            batcher.close()

    asyncio.run(main())
    return model


async def start_first(batcher: Batcher, model: Doubler, *values: float) -> asyncio.Task[NDArray[np.float32]]:
    """Ask, and return when the model is at work on it."""
    task = asyncio.create_task(batcher.predict(features(*values), len(values)))
    await asyncio.to_thread(model.started.wait, PATIENCE)
    return task


async def queue(batcher: Batcher, *requests: tuple[float, ...]) -> list[asyncio.Task[NDArray[np.float32]]]:
    tasks = [asyncio.create_task(batcher.predict(features(*values), len(values))) for values in requests]
    await asyncio.sleep(0)  # each task runs up to its place in the queue
    return tasks


def test_what_waits_while_a_batch_runs_goes_next_together_and_each_gets_its_own_rows():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        others = await queue(batcher, (2, 3), (4,), (5, 6, 7))
        model.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [answer[:, 1].tolist() for answer in answers] == [[2], [4, 6], [8], [10, 12, 14]]

    model = run(test)
    assert model.batches == [[1], [2, 3, 4, 5, 6, 7]]
    assert threading.current_thread() not in model.threads
    assert len(model.threads) == 1


def test_a_batch_holds_no_more_rows_than_its_limit_unless_one_request_does():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 0)
        others = await queue(batcher, (1, 2), (3,), (4,), (5, 6, 7, 8, 9), (10,))
        model.gate.set()
        await asyncio.gather(first, *others)

    assert run(test, Limits(batch_rows=3)).batches == [[0], [1, 2, 3], [4], [5, 6, 7, 8, 9], [10]]


def test_rows_that_the_model_fails_on_take_no_neighbours_along():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        good, bad, late = await queue(batcher, (2,), (13,), (3,))
        model.gate.set()
        await first
        assert (await good).tolist() == [[2, 4]]
        assert (await late).tolist() == [[3, 6]]
        with pytest.raises(ServingError, match="unlucky"):
            await bad
        assert (await batcher.predict(features(4), 1)).tolist() == [[4, 8]]

    run(test)


def test_a_full_queue_turns_away_and_takes_again_when_there_is_room():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        others = await queue(batcher, (2,), (3,))
        with pytest.raises(OverloadError, match="2 requests wait"):
            await batcher.predict(features(4), 1)
        model.gate.set()
        await asyncio.gather(first, *others)
        await batcher.predict(features(5), 1)

    run(test, Limits(waiting_requests=2))


def test_a_request_that_was_given_up_harms_nobody():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        second, third = await queue(batcher, (2,), (3,))
        first.cancel()
        second.cancel()
        model.gate.set()
        assert (await third).tolist() == [[3, 6]]

    run(test)


def test_a_closed_batcher_answers_what_waits_and_lets_its_thread_go():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        (second,) = await queue(batcher, (2,))
        batcher.close()
        model.gate.set()
        await asyncio.gather(first, second)
        (thread,) = model.threads
        await asyncio.to_thread(thread.join, PATIENCE)
        assert not thread.is_alive()

    run(test)
