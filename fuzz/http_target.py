"""HTTP target: what a connection reads is the same however its bytes arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving.options import Limits
from serving.reading import Reader

MARK = b"\xff\xfe"  # where the fuzzer cuts; no byte of a good head
HEAD_FAULTS = {400, 413, 414, 431}
LIMITS = Limits(headers=1000, body_bytes=2000)  # no input has so long a head: where that is noticed may differ


def check_chunks(data: bytes, step: int) -> None:
    """Read the bytes cut at the marks, and the same bytes cut every `step`; AssertionError where these differ."""
    pieces = data.split(MARK)
    stream = b"".join(pieces)
    steps = [stream[at : at + step] for at in range(0, len(stream), step)]
    found, expected = (_read(chunks) for chunks in (pieces, steps))
    assert found == expected, (found, expected)


def _read(chunks: Sequence[bytes]) -> list[tuple[Any, ...]]:
    """What is read; which of two faults of one head is seen first is the chunks' matter, that it is refused is not."""
    return [("refused",) if said[0] in HEAD_FAULTS else said for said in read_chunks(chunks, LIMITS)]


def read_chunks(chunks: Sequence[bytes], limits: Limits) -> list[tuple[Any, ...]]:
    """All that a reader says of these chunks: method, path, headers and body, or the status of a refusal."""
    reader = Reader(limits)
    found: list[tuple[Any, ...]] = []
    for chunk in chunks:
        reader.feed(chunk)
        while reader.messages:
            message = reader.take()
            request, refusal = message.request, message.refusal
            about = (request.method, request.path, dict(request.headers), request.body) if request else ()
            status = refusal.status if refusal else 200
            found.append((*about, status, message.keep_alive, message.with_body, message.size))
        assert 0 <= reader.held <= limits.body_bytes, reader.held
    return found
