"""Exchange: one request and its answer, as handlers see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

JSON = b"application/json"


@dataclass(slots=True)  # not frozen: one is made for each request, and freezing triples what that costs
class Request:
    """A whole request; header names are in lower case, `received` is when its first byte came (monotonic seconds)."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    body: bytes
    received: float


@dataclass(slots=True)
class Response:
    """What goes back to the client."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = JSON


Respond = Callable[[Response], None]


def refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Say in JSON why there is no other answer."""
    pairs = tuple((name.encode(), value.encode()) for name, value in (headers or {}).items())
    return Response(msgspec.json.encode({"error": message}), status, pairs)


_START = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: ".encode() for status in HTTPStatus}
_LENGTH, _END, _CLOSE = b"\r\ncontent-length: ", b"\r\n\r\n", b"\r\nconnection: close"


def render(response: Response, *, close: bool, with_body: bool) -> bytes:
    """The answer as it goes over the wire; the answer to HEAD tells the length of a body that it does not have."""
    parts = [_START[response.status], response.content_type, _LENGTH, b"%d" % len(response.body)]
    for name, value in response.headers:
        parts += (b"\r\n", name, b": ", value)
    if close:
        parts.append(_CLOSE)
    parts.append(_END)
    if with_body:
        parts.append(response.body)
    return b"".join(parts)
