"""Body: the bytes of a request, within the limit that memory allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from serving.tensors import RequestError


async def read_body(
    headers: Mapping[bytes, bytes], receive: Callable[[], Awaitable[dict[str, Any]]], limit: int
) -> bytes:
    """Read the whole body; one that says or turns out to be over the limit is refused before it is held."""
    _check_headers(headers, limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # Nobody reads this answer; 499 is what the metrics show, as in nginx.
            raise RequestError("the client went away before its request was whole", 499)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(size, limit)
        if not message.get("more_body", False):
            return b"".join(parts)


def _check_headers(headers: Mapping[bytes, bytes], limit: int) -> None:
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > limit:
        raise _too_large(int(length[:20]), limit)
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding != b"identity":
        raise RequestError(f"found content-encoding {encoding.decode('latin-1')[:40]!r}: expected plain JSON", 415)
    if b"inference-header-content-length" in headers:
        raise RequestError("found binary tensors: expected all data in JSON")


def _too_large(size: int, limit: int) -> RequestError:
    return RequestError(f"found a body of {size:,} bytes or more: expected at most {limit:,}, so send it in parts", 413)
