"""What a connection reads is the same however its bytes arrive, and whether or not a head has been seen before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.http_target import read_chunks
from serving.options import Limits
from serving.reading import Reader

HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
OTHER = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-Id: 7\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
CLOSING = b"POST /last HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde"
OLD = b"POST /old HTTP/1.0\r\nContent-Length: 5\r\n\r\nabcde"
ASKING = b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nabcde"
LEAVING = b"POST /u HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nabcde"
NAMED = b"HEAD /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
OLD_KEPT = b"POST /old HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nabcde"
LOOKING = b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"
PIECES = (
    *(HEAD + body for body in (b"abcde", b"\r\n\r\n.", b"POST ", b"\r\n\r\n\r")),
    *(OTHER + b"abc", OTHER + b"\r\n\r", LOOKING, CHUNKED, CLOSING, OLD, ASKING, LEAVING, NAMED, OLD_KEPT),
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"x",
        HEAD,
        HEAD[:20],
        b"abcde",
        HEAD.replace(b"5", b"0"),
        HEAD.replace(b"5", b"+5") + b"abcde",
    ),
)


def read(chunks: list[bytes]) -> list[tuple[Any, ...]]:
    return read_chunks(chunks, Limits())


@given(st.lists(st.sampled_from(PIECES), max_size=6), st.integers(1, 40))
@example([HEAD + b"abcde", HEAD + b"fghij", LOOKING, HEAD + b"\r\n\r\n."], 1)
@example([b"\r\n" + HEAD + b"abcde", b"\r\n" + HEAD + b"abcde"], 7)
@example([HEAD + b"\r\n\r\n.\r\n", HEAD + b"\r\n\r\n.\r\n"], 3)
@example([CLOSING, CLOSING], 9)
@example([NAMED, NAMED, NAMED], 1)
@example([OLD_KEPT, OLD_KEPT], 1)
@example([LEAVING, LEAVING], 9)
def test_chunks_change_nothing(pieces: list[bytes], step: int) -> None:
    stream = b"".join(pieces)
    in_steps = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert read(pieces) == read(in_steps)


@pytest.mark.parametrize("body", [b"abc", b"abcdefg", b"", b"abcdeGET / HTTP/1.1\r\n"])
def test_a_head_seen_before_says_nothing_about_the_length_of_what_came_with_it(body: bytes) -> None:
    first, second = HEAD + b"abcde", HEAD + body
    assert read([first, second]) == read([first, *(bytes([byte]) for byte in second)])


def test_a_repeated_head_comes_with_its_own_body_and_its_own_time() -> None:
    reader = Reader(Limits())
    for body in (b"first", b"other"):
        reader.feed(HEAD + body)
    first, other = reader.take().request, reader.take().request
    assert first is not None
    assert other is not None
    assert (first.body, other.body) == (b"first", b"other")
    assert first.received < other.received
    assert reader.held == 0
