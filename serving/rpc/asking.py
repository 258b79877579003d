"""Asking: one gRPC message asks a model, and one answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from time import monotonic

from serving.answering import choose, compose
from serving.batch import Arrays
from serving.batching import OverloadError
from serving.call import KINDS
from serving.hub import Hub
from serving.metrics import Metrics
from serving.options import Limits
from serving.protocol import PredictionRequest
from serving.refusal import RequestError
from serving.rpc.messages import parse, read_request, write_answer
from serving.rpc.schema import ModelInferRequest
from serving.rpc.status import CANCELLED, OK, Refusal, refuse
from serving.rpc.wire import check_size
from serving.slot import Occupant

PROTOCOL = "grpc"  # in metrics

Outcome = asyncio.Future[tuple[Arrays, Occupant]]  # and who gave them


class Inference:
    """Answers inference messages, alone or from a stream. Event loop only."""

    def __init__(self, hub: Hub, limits: Limits, metrics: Metrics) -> None:
        self._hub = hub
        self._limits = limits
        self._metrics = metrics
        self._waiting: set[Outcome] = set()

    @property
    def waiting(self) -> int:
        """Requests that wait for their model."""
        return len(self._waiting)

    async def answer(self, data: bytes, received: float, seconds: float | None) -> bytes | Refusal:
        """Answer one message; `seconds` is how long its client still waits, None for ever.

        Cancelled when the client has gone: nobody is told, but it is counted.
        """
        counted = _Count(self._metrics, received)
        try:
            check_size(data)
            message = parse(ModelInferRequest, data)
            counted.request = message.id
            occupant = counted.occupant = self._hub.find(message.model_name, message.model_version or None)
            self._admit(occupant, seconds)
            request = read_request(occupant.reader, message)
            outputs, by = await self._run(occupant, request)
            is_raw = bool(message.raw_input_contents)
            answer = write_answer(compose(by, request, outputs), choose(by, request), is_raw=is_raw)
        except asyncio.CancelledError:
            counted.note(CANCELLED)
            raise
        except Exception as fault:  # noqa: BLE001 - the outermost door: whatever happens, the client is told
            refusal = refuse(fault)
            counted.note(refusal.status, KINDS.get(refusal.status, "other") if isinstance(fault, RequestError) else "")
            return replace(refusal, request=counted.request)
        counted.note(OK)
        return answer

    def stop_waiting(self) -> None:
        """Tell all that still wait that the server stops."""
        for outcome in self._waiting:
            _refuse(outcome, OverloadError("the server stops: ask again, another one answers", 1))

    def _admit(self, occupant: Occupant, seconds: float | None) -> None:
        batcher = occupant.admit()
        if seconds is not None and not batcher.idle and (wait := batcher.expected_wait()) > seconds:
            raise OverloadError(
                f"{wait:.1f} s of work wait for the model, and the client for {seconds:.1f} s: expected more time, "
                "so come back later or ask another replica",
                max(1, round(wait)),
            )

    async def _run(self, occupant: Occupant, request: PredictionRequest) -> tuple[Arrays, Occupant]:
        """Let the model run, and wait for it within the limit; returns its outputs, and who gave them."""
        loop = asyncio.get_running_loop()
        outcome: Outcome = loop.create_future()
        limit = self._limits.request_seconds
        late = OverloadError(f"no answer within {limit:g} s, the limit: ask again later", 1)
        expiry = loop.call_later(limit, _refuse, outcome, late)
        self._waiting.add(outcome)
        waiting = occupant.submit(request, partial(_settle, outcome, occupant))
        try:
            return await outcome
        finally:
            waiting.leave()
            expiry.cancel()
            self._waiting.discard(outcome)


class _Count:
    """How one request is counted: under its model as soon as that is known."""

    __slots__ = ("_metrics", "_received", "occupant", "request")

    def __init__(self, metrics: Metrics, received: float) -> None:
        self._metrics = metrics
        self._received = received
        self.occupant: Occupant | None = None
        self.request = ""  # its id

    def note(self, status: int, kind: str = "") -> None:
        """Count the request with its outcome; `kind` is what was wrong with its input, if that was it."""
        if self.occupant is None:
            self._metrics.other_requests[PROTOCOL, status] += 1
            return
        self.occupant.metrics.answered(PROTOCOL, status, monotonic() - self._received)
        if kind:
            self.occupant.metrics.refused[kind] += 1


def _settle(outcome: Outcome, asked: Occupant, result: Arrays | Exception, by: Occupant | None = None) -> None:
    """Give the outcome; the first one counts, and none where nobody waits any more."""
    if isinstance(result, Exception):
        _refuse(outcome, result)
    elif not outcome.done():
        outcome.set_result((result, by or asked))


def _refuse(outcome: Outcome, fault: Exception) -> None:
    if not outcome.done():
        outcome.set_exception(fault)
