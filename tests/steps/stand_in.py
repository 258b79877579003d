"""A stand-in for the predictor, whose answers a test chooses."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from noria.schema import Column, ColumnType, Schema
from noria.steps.served import Client

Answering = Callable[[dict[str, Any]], tuple[int, bytes]]  # the request -> status and body


def sizes(kind: ColumnType) -> Schema:
    """A schema whose one feature is `size`."""
    return Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name="size", type=kind, role="feature"),
            Column(name="label", type="int64", role="label"),
        )
    )


@contextmanager
def stand_in(schema: Schema, answering: Answering, metrics: tuple[int, bytes] = (404, b"")) -> Iterator[Client]:
    """A client of a server that answers as it is told."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._say(*answering(json.loads(self.rfile.read(int(self.headers["content-length"])))))

        def do_GET(self) -> None:
            self._say(*(metrics if self.path == "/metrics" else (404, b"")))

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        try:
            yield Client(connection=connection, model="m", schema=schema)
        finally:
            connection.close()
            server.shutdown()
            thread.join()
