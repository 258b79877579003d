"""Status: how a gRPC client is told that there is no answer, and the HTTP status under which metrics count it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from grpc import StatusCode

from noria.errors import ServingError
from serving.batching import OverloadError
from serving.refusal import RequestError

log = logging.getLogger("serving")

OK, CANCELLED = 200, 499  # 499 is nginx' number for a client that has gone, by its deadline too
# HTTP status -> gRPC code, both from one refusal. UNAVAILABLE is the code that clients and proxies may try elsewhere or
# again, so overload has it; RESOURCE_EXHAUSTED says of this very call that it will never fit.
CODES: Mapping[int, StatusCode] = {
    400: StatusCode.INVALID_ARGUMENT,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    413: StatusCode.RESOURCE_EXHAUSTED,
    500: StatusCode.INTERNAL,
    501: StatusCode.UNIMPLEMENTED,
    503: StatusCode.UNAVAILABLE,
}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why there is no answer; `status` is HTTP's, `request` the id of the request, if it had one."""

    status: int
    message: str
    trailers: tuple[tuple[str, str], ...] = ()
    request: str = ""

    @property
    def code(self) -> StatusCode:
        return CODES.get(self.status, StatusCode.INVALID_ARGUMENT)


def refuse(fault: Exception) -> Refusal:
    """Say what went wrong: the client's mistake, too much work, the model's fault, or ours."""
    if isinstance(fault, RequestError):
        return Refusal(status=fault.status, message=str(fault))
    if isinstance(fault, OverloadError):
        # The second one is gRPC's own (proposal A6): a client with a retry policy waits for so long.
        trailers = (("retry-after", str(fault.seconds)), ("grpc-retry-pushback-ms", str(fault.seconds * 1000)))
        return Refusal(status=503, message=str(fault), trailers=trailers)
    if isinstance(fault, ServingError):
        log.warning("grpc: %s", fault)
        return Refusal(status=503, message=str(fault))
    log.error("fault while answering grpc", exc_info=fault)
    return Refusal(status=500, message="a fault in the predictor: its log says where; report it with that log")
