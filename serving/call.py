"""Call: a request on its way to an answer, with what its address says, and how its answer is counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from time import monotonic

import msgspec

from noria.errors import ServingError
from serving.batching import OverloadError
from serving.connection import Exchange
from serving.exchange import Request, Response, refuse
from serving.metrics import Metrics
from serving.refusal import RequestError
from serving.slot import Occupant

log = logging.getLogger("serving")

KINDS = {400: "malformed", 413: "too_large", 415: "encoding"}  # what metrics call an input that is refused


@cache
def _retry_after(seconds: int) -> tuple[tuple[bytes, bytes], ...]:
    """The header, made once: under overload a refusal must cost as little as it can."""
    return ((b"retry-after", b"%d" % seconds),)


@dataclass(slots=True)
class Call:
    """One request; `occupant` is who answers it, as soon as that is known."""

    request: Request
    exchange: Exchange
    metrics: Metrics
    endpoint: str = "unknown"
    named: Mapping[str, str] = field(default_factory=dict)  # what the address names
    occupant: Occupant | None = None

    def __post_init__(self) -> None:
        self.exchange.count = self._count

    def _count(self, status: int) -> None:
        if self.occupant is not None:
            self.occupant.metrics.answered(self.endpoint, status, monotonic() - self.request.received)
        else:
            self.metrics.other_requests[self.endpoint, status] += 1

    def answer(self, response: Response) -> None:
        """Send the answer; it is counted unless another one came first."""
        self.exchange.respond(response)

    def attempt(self, action: Callable[[], None]) -> None:
        """Do what should end in an answer; the outermost door of every call, at once or when its model has answered."""
        try:
            action()
        except ServingError as error:
            self.refuse(error)
        except Exception:  # whatever it is, the client is told, and nobody else's answer is lost by it
            log.exception("fault while answering %s", self.endpoint)
            self.refuse_for_fault()

    def say(self, content: object, status: int = 200) -> None:
        """Answer with JSON."""
        self.answer(Response(msgspec.json.encode(content), status))

    def refuse(self, fault: Exception) -> None:
        """Answer with what went wrong: the client's mistake, too much work, the model's fault, or ours."""
        if isinstance(fault, RequestError):
            if self.occupant is not None:
                self.occupant.metrics.refused[KINDS.get(fault.status, "other")] += 1
            self.answer(refuse(fault.status, str(fault), fault.headers))
        elif isinstance(fault, OverloadError):
            self.answer(Response(msgspec.json.encode({"error": str(fault)}), 503, _retry_after(fault.seconds)))
        elif isinstance(fault, ServingError):
            log.warning("%s: %s", self.endpoint, fault)
            self.answer(refuse(503, str(fault)))
        else:
            log.error("fault while answering %s", self.endpoint, exc_info=fault)
            self.refuse_for_fault()

    def refuse_for_fault(self) -> None:
        """Tell the client that the fault is ours, and nothing of what it was."""
        self.answer(refuse(500, "a fault in the predictor: its log says where; report it with that log"))
