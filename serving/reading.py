"""Reading: bytes of HTTP/1.1 to whole requests, within limits, with llhttp's parser."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import httptools

from serving.exchange import Request, Response, refuse
from serving.options import Limits

# Two of these could mean two things to two programs in a row, which is how requests are smuggled.
ONCE = frozenset({b"host", b"content-length", b"content-encoding", b"inference-header-content-length"})
KEPT_HEAD = 4096  # bytes of a head that is remembered
PART = 65536  # bytes that a part of a body grows to, before the next one begins: nothing large is copied often
UPGRADING = frozenset({b"upgrade", b"http2-settings", b"connection"})


@dataclass(slots=True)
class Message:
    """A request, or the refusal of one that could not be read; after a refusal nothing more is read."""

    request: Request | None
    refusal: Response | None
    keep_alive: bool
    with_body: bool
    size: int  # bytes of the body


@dataclass(slots=True, frozen=True)
class Head:
    """Line and headers of a request that has been read: the next one on its connection is likely to repeat them."""

    raw: bytes
    size: int  # bytes of the body
    method: str
    path: str
    headers: Mapping[bytes, bytes]


class Reader:
    """Collects `messages` from what it is fed. Memory is bounded by the limits, whatever comes."""

    _last: Head | None  # of the request that was read last, if its bytes may be taken for the same again
    _size: int  # bytes of the body that is being read
    _unseen: int  # bytes since the parser has told anything of them

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self.messages: deque[Message] = deque()
        self.held = 0  # bytes of bodies, of the messages and of the request that is being read
        self.broken = False  # nothing more can be read
        self.wants_continue = False  # the client waits for leave to send its body
        self._begin()
        self.reading = False  # a request has begun and is not whole

    def feed(self, data: bytes) -> None:
        """Read on; what is whole or wrong by now stands in `messages`."""
        if not self.reading and not self.broken:
            last = self._last
            if last is not None and len(data) == len(last.raw) + last.size and data.startswith(last.raw):
                self._repeat(last, data)
                return
            data = self._feed_head(data)
        step = self._limits.head_bytes
        if len(data) <= step:
            self._feed(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), step):
            self._feed(view[start : start + step])

    def _repeat(self, head: Head, data: bytes) -> None:
        """Take a whole request whose head is, byte for byte, the last one's: the parser would find the same again."""
        request = Request(head.method, head.path, head.headers, data[len(head.raw) :], monotonic())
        self.messages.append(Message(request, None, keep_alive=True, with_body=True, size=head.size))
        self.held += head.size

    def _feed_head(self, data: bytes) -> bytes:
        """Read what seems to be the head of a request, and keep it if it proves to be one; returns what is left.

        Proof is that the parser, given these bytes alone, has come to the end of the headers, and to none of the body.
        """
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or end > KEPT_HEAD:
            return data
        self._feed(data[:end])
        if self.in_body and not self.broken and not self._size and not self.wants_continue:
            headers = self._headers
            size = int(headers.get(b"content-length", b"0"))
            method = self._parser.get_method().decode("ascii")
            plain = b"transfer-encoding" not in headers and b"upgrade" not in headers
            stays = self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"
            if size and plain and stays and method != "HEAD":
                self._last = Head(data[:end], size, method, _path_of(self._url), headers)
        return data[end:]

    def take(self) -> Message:
        """Hand out the oldest message."""
        message = self.messages.popleft()
        self.held -= message.size
        return message

    def stop(self) -> None:
        """Forget what has been read, and read no more."""
        self.broken = True
        self.reading = False
        self.messages.clear()
        self._parts.clear()
        self.held = 0

    @property
    def in_body(self) -> bool:
        """Say whether a request's headers are read, but not all of its body."""
        return self.reading and self._head_done

    def _feed(self, data: bytes | memoryview) -> None:
        if self.broken:
            return
        self._moved = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(bytes(data[upgrade.args[0] :]))
        except httptools.HttpParserError as error:
            self._refuse(400, f"found no valid HTTP/1.1 ({error}): expected a request by RFC 9112")
        if self.reading and not self._moved:
            # The parser keeps an unfinished header or trailer to itself, so what it may hold is counted out here.
            self._unseen += len(data)
            if self._unseen > self._limits.head_bytes:
                self._refuse_head()
        elif self._moved:
            self._unseen = 0

    # --- what the parser tells ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._moved = True
        self._url += url
        self._head_size += len(url)
        if self._head_size > self._limits.head_bytes:
            self._refuse(414, f"found an address of more than {self._limits.head_bytes:,} bytes: expected a short one")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._moved = True
        self._head_size += len(name) + len(value)
        self._count += 1
        if self._head_size > self._limits.head_bytes or self._count > self._limits.headers:
            self._refuse_head()
            return
        if self._head_done:
            return  # a trailer: what comes after a body changes nothing about it
        name = name.lower()
        if name in self._headers:
            if name in ONCE:
                self._refuse(400, f"found the header {name.decode()} twice: expected it once")
            value = self._headers[name] + b", " + value
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._head_done = self._moved = True
        version = self._parser.get_http_version()
        length = self._headers.get(b"content-length", b"0")
        if len(length) > 18 or int(length) > self._limits.body_bytes:
            self._refuse_body()
        elif version not in {"1.0", "1.1"}:
            self._refuse(400, f"found HTTP/{version}: expected HTTP/1.1")
        elif b"host" not in self._headers and version == "1.1":
            self._refuse(400, "found no Host header: HTTP/1.1 expects one")
        elif b"expect" in self._headers:
            self.wants_continue = True

    def on_body(self, body: bytes) -> None:
        self._moved = True
        if self.broken:
            return
        if self._size + len(body) > self._limits.body_bytes:
            self._refuse_body()
            return
        self._size += len(body)
        self.held += len(body)
        if not self._parts or len(self._parts[-1]) > PART:
            self._parts.append(bytearray(body))
        else:
            self._parts[-1] += body

    def on_message_complete(self) -> None:
        self._moved = True
        if self.broken:
            return
        method = self._parser.get_method()
        if self._stays(method):
            return
        self.reading = self.wants_continue = False
        keep_alive = self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"
        body = b"".join(self._parts)
        self._parts.clear()
        request = Request(method.decode("ascii"), _path_of(self._url), self._headers, body, self.started)
        self.messages.append(Message(request, None, keep_alive, method != b"HEAD", self._size))
        self._size = 0  # it is the message's now

    # --- other protocols ---------------------------------------------------------------------------------------

    def _stays(self, method: bytes) -> bool:
        """Say whether the body is still to come, of a request that asks for another protocol but gets this one."""
        body = self._headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self._headers
        return self._parser.should_upgrade() and method != b"CONNECT" and body

    def _stay(self, rest: bytes) -> None:
        """Go on in this protocol: the parser stops where another one would begin."""
        if not self.reading:  # the request is whole; it is answered as the connection's last
            self.messages[-1].keep_alive = False
            self.broken = True
            return
        kept = [(name, value) for name, value in self._headers.items() if name not in UPGRADING]
        head = b"%b %b HTTP/1.1\r\n" % (self._parser.get_method(), self._url)
        head += b"".join(b"%b: %b\r\n" % pair for pair in kept) + b"connection: close\r\n\r\n"
        self._parser = httptools.HttpRequestParser(self)
        self._feed(head)
        self._feed(rest)

    # --- beginnings and refusals -------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.started = monotonic()
        self.reading = self._moved = True
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytearray] = []
        self._size = self._head_size = self._count = self._unseen = 0
        self._head_done = False
        self._last = None

    def _refuse_head(self) -> None:
        most, bytes_ = self._limits.headers, self._limits.head_bytes
        self._refuse(431, f"found more than {most} headers or {bytes_:,} bytes of them: expected fewer")

    def _refuse_body(self) -> None:
        limit = self._limits.body_bytes
        self._refuse(413, f"found a body of more than {limit:,} bytes: expected at most that, so send it in parts")

    def _refuse(self, status: int, message: str) -> None:
        if self.broken:
            return
        self.broken = True
        self.reading = False
        self.held -= self._size
        self._parts.clear()
        refusal = refuse(status, message)
        self.messages.append(Message(None, refusal, keep_alive=False, with_body=True, size=0))


def _path_of(url: bytes) -> str:
    """The path of an address, which a proxy's client may give with its scheme and host."""
    if url[:7].lower() == b"http://":
        url = b"/" + url[7:].partition(b"/")[2]
    return url.partition(b"?")[0].decode("latin-1")
