"""A request on its way along those who may answer it, with models that wait at a gate."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from test_batching import PATIENCE, Doubler, Quiet, features

from noria.errors import ServingError
from serving.batch import Arrays
from serving.batching import Batcher, OverloadError
from serving.metrics import ModelMetrics
from serving.options import Limits
from serving.protocol import PredictionRequest, RequestedOutput
from serving.slot import Occupant
from serving.standin import Lookout, Passage

Test = Callable[["Line"], Awaitable[None]]


class Line:
    """A model and who stands in for it, each at a gate of its own."""

    def __init__(self, limits: Limits) -> None:
        self.first, self.second = Doubler(), Doubler()
        self.metrics = ModelMetrics("m", "1", "b", ("a",))
        self.batchers = [Batcher(model, limits, Quiet()) for model in (self.first, self.second)]
        lookout = Lookout(self.batchers[0], limits.fallback_seconds, "m")
        self.occupants = [self._seat(0, "", lookout), self._seat(1, "rule", None)]

    def _seat(self, place: int, fallback: str, lookout: Lookout | None) -> Occupant:
        model: Any = SimpleNamespace(name="m", version="1", outputs=[SimpleNamespace(name="y")])
        reader: Any = None
        return Occupant(
            model=model,
            reader=reader,
            batcher=self.batchers[place],
            metrics=self.metrics,
            digest=b"",
            classes="",
            fallback=fallback,
            lookout=lookout,
        )

    def ask(self, value: float) -> "asyncio.Future[tuple[list[list[float]], str]]":
        answer: asyncio.Future[tuple[list[list[float]], str]] = asyncio.get_running_loop().create_future()

        def done(outcome: Arrays | Exception, by: Occupant | None = None) -> None:
            assert not answer.done()
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result((outcome["y"].tolist(), by.fallback if by else ""))

        request = PredictionRequest(
            id="", features=dict(features(value)), rows=1, outputs=(RequestedOutput(name="y", binary=False),)
        )
        Passage(self.occupants, request, done).start()
        return answer


def run(test: Test, limits: Limits) -> Line:
    lines: list[Line] = []

    async def main() -> None:
        line = Line(limits)
        lines.append(line)
        try:
            async with asyncio.timeout(PATIENCE):
                await test(line)
        finally:
            for model, batcher in zip((line.first, line.second), line.batchers, strict=True):
                model.gate.set()
                batcher.close()

    asyncio.run(main())
    return lines[0]


def test_a_request_that_waited_too_long_in_the_queue_is_told_so_and_not_passed_on():
    async def test(line: Line) -> None:
        line.second.gate.set()
        first = line.ask(1)
        await asyncio.to_thread(line.first.started.wait, PATIENCE)
        waiting = line.ask(2)
        while line.batchers[0].running_seconds < 0.1:
            await asyncio.sleep(0)
        line.first.gate.set()
        assert await first == ([[1, 2]], "")
        with pytest.raises(OverloadError, match="waited too long"):
            await waiting

    line = run(test, Limits(request_seconds=0.05, fallback_seconds=PATIENCE))
    assert line.second.batches == []


def test_where_the_stand_in_has_too_much_to_do_the_models_own_fault_is_told():
    async def test(line: Line) -> None:
        line.first.gate.set()
        busy = line.ask(13)
        await asyncio.to_thread(line.second.started.wait, PATIENCE)
        with pytest.raises(ServingError, match="unlucky"):
            await line.ask(13)
        assert await line.ask(3) == ([[3, 6]], "")
        line.second.gate.set()
        with pytest.raises(ServingError, match="unlucky"):
            await busy

    line = run(test, Limits(waiting_requests=0))
    assert line.second.batches == [[13]]


def test_what_the_model_answers_after_the_stand_in_did_is_dropped():
    async def test(line: Line) -> None:
        line.second.gate.set()
        answers = [line.ask(1), line.ask(2)]
        assert await asyncio.gather(*answers) == [([[1, 2]], "rule"), ([[2, 4]], "rule")]
        assert await line.ask(3) == ([[3, 6]], "rule")
        line.first.gate.set()
        while not line.batchers[0].idle:
            await asyncio.sleep(0)
        assert await line.ask(4) == ([[4, 8]], "")

    line = run(test, Limits(fallback_seconds=0.05))
    assert line.first.batches == [[1, 2], [4]]
    assert line.metrics.fallbacks == {"rule": 3}


def test_a_client_that_has_gone_while_the_model_was_slow_is_not_passed_on():
    async def test(line: Line) -> None:
        line.second.gate.set()
        kept = line.ask(1)
        await asyncio.to_thread(line.first.started.wait, PATIENCE)
        request = PredictionRequest(id="", features=dict(features(7)), rows=1, outputs=())
        passage = Passage(line.occupants, request, lambda *_: pytest.fail("nobody waits any more"))
        passage.start().leave()
        assert await kept == ([[1, 2]], "rule")

    line = run(test, Limits(fallback_seconds=0.05))
    assert line.second.batches == [[1]]
