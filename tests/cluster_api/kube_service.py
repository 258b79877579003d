"""A Service of Kubernetes: one port that stays, and leads each new connection to whatever serves at that moment."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from socketserver import BaseRequestHandler, ThreadingTCPServer


class Service:
    """Leads to the port that `target` says, 0 for nowhere; `entered` is called first, with each connection."""

    def __init__(self, target: Callable[[], int]) -> None:
        self.target = target
        self.entered: Callable[[], None] = lambda: None
        self._server = _Server(self)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, service: Service) -> None:
        self.service = service
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        service = self.server.service
        service.entered()
        port = service.target()
        if not port:
            return
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as other:
                _pass_on(self.request, other)
        except OSError:
            return


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            (other if ready is one else one).sendall(data)
