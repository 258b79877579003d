"""Bytes on a connection that are no proper HTTP request, or one that must not be believed."""

from __future__ import annotations

from collections.abc import Iterator

from corpus.case import RawCase
from corpus.forms import MAX_BODY, PICTURE, dump

GOOD = dump(PICTURE.v2())


def request(*headers: bytes, body: bytes = b"", line: bytes = b"", host: bytes = b"Host: x\r\n") -> bytes:
    line = line or b"POST %b HTTP/1.1" % PICTURE.infer.encode()
    return line + b"\r\n" + host + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def raw_cases() -> Iterator[RawCase]:
    for name, data in _lines():
        yield RawCase(name=f"request line: {name}", data=data)
    for name, data in _headers():
        yield RawCase(name=f"headers: {name}", data=data)
    for name, data in _lengths():
        yield RawCase(name=f"length: {name}", data=data)
    for name, data in _chunks():
        yield RawCase(name=f"chunks: {name}", data=data)
    yield from _bodies()
    yield from _ends()


def _lines() -> Iterator[tuple[str, bytes]]:
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500
    yield "zeros", b"\0" * 1000
    yield "words", b"hello world, how are you\r\n\r\n"
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "HTTP/3.0", request(line=b"GET /v2 HTTP/3.0")
    yield "HTTP/0.9", b"GET /v2\r\n\r\n"
    yield "another protocol", request(line=b"GET /v2 SIP/2.0")
    yield "no path", request(line=b"GET  HTTP/1.1")
    yield "no version", request(line=b"GET /v2 ")
    yield "an unknown method", request(line=b"BREW /v2 HTTP/1.1")
    yield "a method in small letters", request(line=b"get /v2 HTTP/1.1")
    yield "a method of 50,000 letters", request(line=b"G" * 50_000 + b" /v2 HTTP/1.1")
    yield "a path of a million letters", request(line=b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1")
    yield "a query of a million letters", request(line=b"GET /v2?" + b"x" * 1_000_000 + b" HTTP/1.1")
    yield "a zero byte in the path", request(line=b"GET /v2\0 HTTP/1.1")
    yield "CONNECT", request(line=b"CONNECT example:443 HTTP/1.1")


def _headers() -> Iterator[tuple[str, bytes]]:
    many = [b"X-%d: %d" % (place, place) for place in range(10_000)]
    yield "ten thousand", request(*many)
    yield "the same one ten thousand times", request(*[b"X: 1"] * 10_000)
    yield "ten thousand empty ones", request(*[b"X%d:" % place for place in range(10_000)])
    yield "one of a million bytes", request(b"X: " + b"x" * 1_000_000)
    yield "a name of a million bytes", request(b"X" * 1_000_000 + b": x")
    yield "a million bytes that never end", request()[:-2] + b"X: " + b"x" * 1_000_000
    yield "a name with a space", request(b"X Y: 1")
    yield "a space before the colon", request(b"Content-Length : 2", body=b"{}")
    yield "no name", request(b": 1")
    yield "no colon", request(b"hello")
    yield "a zero byte in a name", request(b"X\0: 1")
    yield "a zero byte in a value", request(b"X: a\0b")
    yield "no host", request(host=b"")
    yield "two hosts", request(b"Host: y")
    yield "folded", request(b"X: a\r\n b\r\n\tc\r\n d: e\0")
    yield "a bare line feed in a name", request(b"X\nY: 1")


def _lengths() -> Iterator[tuple[str, bytes]]:
    def of(value: bytes) -> bytes:
        return request(b"Content-Length: " + value, body=GOOD)

    yield "negative", of(b"-1")
    yield "a word", of(b"all")
    yield "a fraction", of(b"1.5")
    yield "hexadecimal", of(b"0x10")
    yield "a plus", of(b"+10")
    yield "a list", of(b"10, 20")
    yield "an exponent", of(b"1e3")
    yield "empty", of(b"")
    yield "beyond 64 bits", of(b"9" * 30)
    yield "of a thousand digits", of(b"9" * 1000)
    yield "of 63 bits", of(str(2**63).encode())
    yield "two that differ", request(b"Content-Length: 2", b"Content-Length: 3", body=b"{}1")
    yield "with chunks", request(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n")
    yield "after chunks", request(b"Transfer-Encoding: chunked", b"Content-Length: 2", body=b"2\r\n{}\r\n0\r\n\r\n")


def _chunks() -> Iterator[tuple[str, bytes]]:
    def of(body: bytes) -> bytes:
        return request(b"Transfer-Encoding: chunked", body=body)

    yield "no size", of(b"\r\n{}\r\n")
    yield "words", of(GOOD)
    yield "a negative size", of(b"-2\r\n{}\r\n0\r\n\r\n")
    yield "a size with 0x", of(b"0x2\r\n{}\r\n0\r\n\r\n")
    yield "a size beyond 64 bits", of(b"f" * 17 + b"\r\n{}\r\n")
    yield "a size of a thousand digits", of(b"1" * 1000 + b"\r\n{}\r\n")
    yield "a chunk longer than its size", of(b"2\r\n{}   \r\n0\r\n\r\n")
    yield "a size of the limit and more", of(b"%x\r\n" % (MAX_BODY + 1) + b" " * (MAX_BODY + 1))
    yield "a million extensions", of(b"2;" + b"a=b;" * 250_000 + b"\r\n{}\r\n0\r\n\r\n")
    yield "an unknown coding", request(b"Transfer-Encoding: rot13", body=GOOD)
    yield "chunked not last", request(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n")
    yield "chunked twice", request(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")


def _bodies() -> Iterator[RawCase]:
    """Proper HTTP around what must be refused."""
    length = b"Content-Length: %d"
    yield RawCase(name="body: none", data=request(), status=400, keeps=True)
    yield RawCase(name="body: of length 0", data=request(length % 0), status=400, keeps=True)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in b"[[[[[1, 2") + b"0\r\n\r\n"
    data = request(b"Transfer-Encoding: chunked", body=chunks)
    yield RawCase(name="body: malformed, in chunks of a byte", data=data, status=400, keeps=True)
    data = request(b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\nX: 1\r\n\r\n")
    yield RawCase(name="body: incomplete, in chunks with a trailer", data=data, status=400, keeps=True)
    data = request(length % 1, b"Inference-Header-Content-Length: 1", b"Inference-Header-Content-Length: 2", body=b"{")
    yield RawCase(name="body: two lengths of the JSON", data=data, status=400)
    data = request(length % (MAX_BODY + 1))
    yield RawCase(name="body: over the limit, refused before it is sent", data=data, status=413)
    data = request(length % (MAX_BODY + 1), b"Expect: 100-continue")
    yield RawCase(name="body: over the limit, and it waits to be asked", data=data, status=413)
    data = request(length % 10**15)
    yield RawCase(name="body: of a petabyte", data=data, status=413)
    old = request(length % 2, line=b"POST %b HTTP/1.0" % PICTURE.infer.encode(), body=b"{}")
    yield RawCase(name="body: over HTTP/1.0", data=old, status=400)
    data = request(length % 2, b"Connection: close", body=b"{}")
    yield RawCase(name="body: and the client wants no more", data=data, status=400)
    get = b"GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    yield RawCase(name="body: of a GET", data=get, status=404, keeps=True)


def _ends() -> Iterator[RawCase]:
    """The client closes its half too early."""
    whole = request(b"Content-Length: %d" % len(GOOD), body=GOOD)
    head = len(whole) - len(GOOD)
    for name, data in {
        "nothing": b"",
        "a line end": b"\r\n",
        "half a request line": whole[:7],
        "half the headers": whole[: head - 10],
        "the headers alone": whole[:head],
        "half the body": whole[: head + 100],
        "all but a byte": whole[:-1],
        "half a chunk": request(b"Transfer-Encoding: chunked", body=b"100\r\nhello"),
        "chunks without an end": request(b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\n"),
    }.items():
        yield RawCase(name=f"ends after {name}", data=data, ends=True)
