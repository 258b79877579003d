import asyncio
import threading
from collections.abc import Awaitable, Callable
from time import monotonic

import numpy as np
import pytest
from numpy.typing import NDArray

from noria.errors import ServingError
from serving.batch import Arrays
from serving.batching import Batcher, OverloadError
from serving.options import Limits
from serving.pace import PaceTable

PATIENCE = 30.0


class Quiet:
    """Nobody watches."""

    def waited(self, seconds: float) -> None:
        pass

    def ran(self, outputs: Arrays, rows: int, seconds: float) -> None:
        pass


class Doubler:
    """A model that waits at a gate, remembers its batches, and fails on a 13."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.batches: list[list[float]] = []
        self.threads: set[threading.Thread] = set()

    def __call__(self, features: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self.started.set()
        assert self.gate.wait(PATIENCE)
        values = features["x"]
        self.batches.append(values.tolist())
        self.threads.add(threading.current_thread())
        if 13 in values:
            raise ServingError("unlucky")
        return {"y": np.stack([values, values * 2], axis=1)}


def features(*values: float) -> dict[str, NDArray[np.float32]]:
    return {"x": np.array(values, np.float32)}


def run(
    test: Callable[[Batcher, Doubler], Awaitable[None]], limits: Limits | None = None, pace: float = 0.0
) -> Doubler:
    model = Doubler()

    async def main() -> None:
        batcher = Batcher(model, limits or Limits(), Quiet(), pace=pace)
        try:
            async with asyncio.timeout(PATIENCE):
                await test(batcher, model)
        finally:
            model.gate.set()
            batcher.close()

    asyncio.run(main())
    return model


Answer = asyncio.Future[NDArray[np.float32]]


def submit(batcher: Batcher, *values: float) -> Answer:
    """Ask as a handler does; OverloadError if the batcher admits no more."""
    answer: Answer = asyncio.get_running_loop().create_future()

    def done(outcome: Arrays | Exception) -> None:
        assert not answer.done()
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome["y"])

    batcher.admit()
    batcher.submit(features(*values), len(values), done)
    return answer


async def start_first(batcher: Batcher, model: Doubler, *values: float) -> Answer:
    """Ask, and return when the model is at work on it."""
    answer = submit(batcher, *values)
    await asyncio.to_thread(model.started.wait, PATIENCE)
    return answer


async def queue(batcher: Batcher, *requests: tuple[float, ...]) -> list[Answer]:
    return [submit(batcher, *values) for values in requests]


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
        assert (await submit(batcher, 4)).tolist() == [[4, 8]]

    run(test)


def test_full_batches_are_run_while_the_loop_is_busy_with_other_things():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 0)
        others = await queue(batcher, (1,), (2,), (3,), (13,), (5, 6), (7,))
        model.gate.set()
        ended = monotonic() + PATIENCE
        while len(model.batches) < 4 and monotonic() < ended:  # the loop does nothing else meanwhile
            threading.Event().wait(0.001)
        assert model.batches == [[0], [1, 2], [3, 13], [5, 6]]
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        assert [answer if isinstance(answer, Exception) else answer[:, 1].tolist() for answer in answers] == [
            *([0], [2], [4], [6]),
            answers[4],
            *([10, 12], [14]),
        ]
        assert isinstance(answers[4], ServingError)
        assert batcher.idle
        assert (await submit(batcher, 8)).tolist() == [[8, 16]]

    model = run(test, Limits(batch_rows=2))
    assert model.batches[4:] == [[3], [13], [7], [8]]


def test_those_who_waited_too_long_are_told_so_when_the_thread_finds_them():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 0)
        others = await queue(batcher, (1,), (2,), (3,))
        started = monotonic()
        while monotonic() - started < 0.06:
            threading.Event().wait(0.001)
        model.gate.set()
        outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes[1:]] == [OverloadError] * 3
        assert batcher.idle

    assert run(test, Limits(batch_rows=2, request_seconds=0.05)).batches == [[0]]


def test_what_is_given_up_is_told_and_kept_no_longer():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 0)
        others = await queue(batcher, (1,), (2, 3))
        batcher.give_up(ServingError("late"))
        assert batcher.depth == 0
        assert not batcher.idle
        outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["late"] * 3
        model.gate.set()
        assert (await submit(batcher, 8)).tolist() == [[8, 16]]

    assert run(test).batches == [[0], [8]]


def test_a_queue_is_as_long_as_it_may_be_before_its_first_batch_has_begun_too():
    async def test(batcher: Batcher, model: Doubler) -> None:
        assert batcher.idle
        waiting = [submit(batcher, 1), submit(batcher, 2)]
        assert not batcher.idle
        with pytest.raises(OverloadError, match="2 requests wait"):
            submit(batcher, 3)
        model.gate.set()
        await asyncio.gather(*waiting)

    run(test, Limits(waiting_requests=2))


def test_a_full_queue_turns_away_and_takes_again_when_there_is_room():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        others = await queue(batcher, (2,), (3,))
        with pytest.raises(OverloadError, match="2 requests wait"):
            submit(batcher, 4)
        model.gate.set()
        await asyncio.gather(first, *others)
        await submit(batcher, 5)

    run(test, Limits(waiting_requests=2))


def test_a_request_that_has_waited_too_long_is_told_so_and_costs_the_model_nothing():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        (second,) = await queue(batcher, (2,))
        started = monotonic()
        while monotonic() - started < 0.06:
            await asyncio.sleep(0.01)
        model.gate.set()
        await first
        with pytest.raises(OverloadError, match="waited too long"):
            await second
        assert (await submit(batcher, 3)).tolist() == [[3, 6]]

    assert run(test, Limits(request_seconds=0.05)).batches == [[1], [3]]


def test_a_request_that_nobody_waits_for_is_not_run():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        batcher.submit(features(2), 1, lambda _: None).gone = True
        model.gate.set()
        await first
        assert (await submit(batcher, 3)).tolist() == [[3, 6]]

    assert run(test).batches == [[1], [3]]


def test_a_request_whose_turn_would_come_too_late_is_turned_away_at_once():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        (waiting,) = await queue(batcher, tuple(range(20, 120)))
        with pytest.raises(OverloadError, match="1 requests wait"):
            submit(batcher, 4)
        model.gate.set()
        await asyncio.wait([first, waiting])
        assert (await submit(batcher, 4)).tolist() == [[4, 8]]

    run(test, Limits(request_seconds=10), pace=1.0)


def test_a_model_whose_batches_take_longer_than_the_bearable_wait_is_still_asked():
    async def test(batcher: Batcher, model: Doubler) -> None:
        first = await start_first(batcher, model, 1)
        others = await queue(batcher, (2,), (3,))
        with pytest.raises(OverloadError, match=r"2 requests wait .* 4\.\d s of work"):
            submit(batcher, 4)
        model.gate.set()
        await asyncio.gather(first, *others)

    run(test, Limits(request_seconds=10, wait_seconds=0.1, batch_rows=1), pace=1.5)


def test_a_large_batch_is_not_taken_for_many_small_ones():
    table = PaceTable(1.0)
    assert (table.seconds_for(0), table.seconds_for(3)) == (0, 3)
    for _ in range(50):
        table.learn(1, 0.020)
    assert table.seconds_for(1) == pytest.approx(0.020)
    table.learn(1024, 0.030)
    assert table.seconds_for(1024) == pytest.approx(0.030)
    assert table.seconds_for(100) == pytest.approx(0.030)
    assert table.seconds_for(1) == pytest.approx(0.020)
    assert table.seconds_for(4096) == pytest.approx(0.120)


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


def test_a_batcher_that_gives_up_tells_all_that_run_or_wait_once_and_goes_on_with_what_comes_next():
    async def test(batcher: Batcher, model: Doubler) -> None:
        told: list[object] = []
        for value in (1, 2, 3):
            batcher.submit(features(value), 1, told.append)
            await asyncio.to_thread(model.started.wait, PATIENCE)
        fault = ServingError("too late")
        batcher.give_up(fault)
        assert told == [fault] * 3
        assert (batcher.running_seconds > 0, batcher.proven) == (True, False)
        model.gate.set()
        assert (await submit(batcher, 4)).tolist() == [[4, 8]]
        assert batcher.proven
        assert len(told) == 3

    assert run(test).batches == [[1], [4]]


def test_a_batcher_that_only_failed_is_not_proven():
    async def test(batcher: Batcher, model: Doubler) -> None:
        model.gate.set()
        with pytest.raises(ServingError, match="unlucky"):
            await submit(batcher, 13)
        assert not batcher.proven
        assert batcher.running_seconds == 0

    run(test)
