"""A proxy in front of a real HTTP server that spoils chosen requests the way networks and servers do."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Kind = Literal["503", "reset", "lost answer", "truncated", "corrupted", "stalled", "unconditional"]
BUSY = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"


@dataclass
class Fault:
    kind: Kind
    method: str
    part: str  # of the path
    left: float  # how many requests it still spoils

    def takes(self, method: str, path: str) -> bool:
        if self.left <= 0 or self.method not in ("", method) or self.part not in path:
            return False
        self.left -= 1
        return True


class FaultProxy:
    """Passes requests on, other than those that a fault takes; use it as a context manager.

    503           answers that without asking the server
    reset         resets the connection without asking the server
    lost answer   lets the server do it, then resets the connection
    truncated     ends the connection after half of the body
    corrupted     flips a bit of the body
    stalled       never answers
    unconditional leaves out the header If-None-Match, as a server does that does not know it
    """

    def __init__(self, port: int) -> None:
        self.requests: list[tuple[str, str]] = []
        self.on_request: Callable[[int], None] = lambda _: None
        self.port, self.closing = port, threading.Event()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def inject(self, kind: Kind, *, times: float = 1, method: str = "", part: str = "") -> None:
        """Spoil the next requests of the method whose path holds the part; all for ever if `times` is infinite."""
        self._faults.append(Fault(kind, method, part, times))

    def heal(self) -> None:
        self._faults.clear()

    def take(self, method: str, path: str) -> str:
        """Note the request, and say which fault it gets, "" for none."""
        with self._lock:
            self.requests.append((method, path))
            self.on_request(len(self.requests))
            return next((fault.kind for fault in self._faults if fault.takes(method, path)), "")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.server.proxy.take(self.command, self.path)
        if kind == "503":
            self.reply(503, {"Content-Type": "application/xml"}, BUSY, len(BUSY))
        elif kind == "reset":
            self.reset()
        elif kind == "stalled":
            self.server.proxy.closing.wait()
            self.reset()
        else:
            self.ask(body, kind)

    def ask(self, body: bytes, kind: str) -> None:
        left_out = {"expect", "if-none-match"} if kind == "unconditional" else {"expect"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
        server = http.client.HTTPConnection("127.0.0.1", self.server.proxy.port, timeout=60)
        server.request(self.command, self.path, body, headers)
        response = server.getresponse()
        answer = response.read()
        server.close()
        length = int(response.headers.get("Content-Length", len(answer)))
        if kind == "lost answer":
            return self.reset()
        if kind == "truncated":
            self.reply(response.status, dict(response.headers), answer[: len(answer) // 2], length)
            return self.reset(hard=False)
        if kind == "corrupted" and answer:
            answer = bytes([answer[0] ^ 1]) + answer[1:]
        return self.reply(response.status, dict(response.headers), answer, length)

    def reply(self, status: int, headers: dict[str, str], body: bytes, length: int) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def reset(self, *, hard: bool = True) -> None:
        if hard:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.wfile.flush()
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on  # noqa: N815 - the names that the library calls
