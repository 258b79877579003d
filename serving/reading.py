"""Reading: bytes of HTTP/1.1 to whole requests, within limits, with llhttp's parser."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic

import httptools

from serving.exchange import Request, Response, refuse
from serving.options import Limits

# Two of these could mean two things to two programs in a row, which is how requests are smuggled.
ONCE = frozenset({b"host", b"content-length", b"content-encoding", b"inference-header-content-length"})


@dataclass(slots=True)
class Message:
    """A request, or the refusal of one that could not be read; after a refusal nothing more is read."""

    request: Request | None
    refusal: Response | None
    keep_alive: bool
    with_body: bool


class Reader:
    """Collects `messages` from what it is fed. Memory is bounded by the limits, whatever comes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self.messages: deque[Message] = deque()
        self.reading = False  # a request has begun and is not whole
        self.broken = False  # nothing more can be read
        self.wants_continue = False  # the client waits for leave to send its body
        self.on_message_begin()
        self.reading = False

    def feed(self, data: bytes) -> None:
        """Read on; what is whole or wrong by now stands in `messages`."""
        if self.broken:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end_after_last()
        except httptools.HttpParserError as error:
            self._refuse(400, f"found no valid HTTP/1.1 ({error}): expected a request by RFC 9112")
        if self.reading and not self._head_done:
            # The parser keeps an unfinished header to itself, so what it may hold is counted out here.
            self._unseen += len(data)
            if self._unseen > self._limits.head_bytes:
                self._refuse_head()

    def _end_after_last(self) -> None:
        """The last request is whole but asked for another protocol: it is answered in this one, as the last."""
        self.broken = True
        if self.messages:
            self.messages[-1].keep_alive = False

    @property
    def in_body(self) -> bool:
        """Say whether a request's headers are read, but not all of its body."""
        return self.reading and self._head_done

    # --- what the parser tells ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.started = monotonic()
        self.reading = True
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._size = self._head_size = self._count = self._unseen = 0
        self._head_done = False

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._head_size += len(url)
        if self._head_size > self._limits.head_bytes:
            self._refuse(414, f"found an address of more than {self._limits.head_bytes:,} bytes: expected a short one")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        self._count += 1
        if self._head_size > self._limits.head_bytes or self._count > self._limits.headers:
            self._refuse_head()
            return
        name = name.lower()
        if name in self._headers:
            if name in ONCE:
                self._refuse(400, f"found the header {name.decode()} twice: expected it once")
            value = self._headers[name] + b", " + value
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._head_done = True
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
        self._size += len(body)
        if self._size > self._limits.body_bytes:
            self._parts.clear()
            self._refuse_body()
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self.broken:
            return
        self.reading = self.wants_continue = False
        method = self._parser.get_method().decode("ascii")
        keep_alive = self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        path = self._url.partition(b"?")[0].decode("latin-1")
        request = Request(method, path, self._headers, body, self.started)
        self.messages.append(Message(request, None, keep_alive, method != "HEAD"))

    # --- refusals ----------------------------------------------------------------------------------------------

    def _refuse_head(self) -> None:
        most, bytes_ = self._limits.headers, self._limits.head_bytes
        self._refuse(431, f"found more than {most} headers or {bytes_:,} bytes of them: expected fewer")

    def _refuse_body(self) -> None:
        limit = self._limits.body_bytes
        self._refuse(413, f"found a body of more than {limit:,} bytes: expected at most that, so send it in parts")

    def _refuse(self, status: int, message: str) -> None:
        if not self.broken:
            self.broken = True
            self.reading = False
            self.messages.append(Message(None, refuse(status, message), keep_alive=False, with_body=True))
