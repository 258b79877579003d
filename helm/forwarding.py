"""Forwarding: ways from this machine to Services of the cluster, kept open until they are closed."""

from __future__ import annotations

import http.client
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from helm.kubectl import told
from noria.errors import ClusterError

PATIENCE = 60.0  # seconds until a way has to be open
PAUSE = 0.2
HERE = "127.0.0.1"
OPEN, ASKED = "Forwarding from", "Handling connection"  # how kubectl begins what it says of a way that is open


@dataclass(frozen=True, kw_only=True)
class Service:
    """A Service and its port in the cluster, `path` to ask it at, and the port here that people know it by."""

    namespace: str
    name: str
    port: int
    usual: int
    path: str = "/"


@contextmanager
def forwarded(
    command: Sequence[str], services: Sequence[Service], *, patience: float = PATIENCE
) -> Iterator[list[int]]:
    """The ports of this machine that lead to the services, each once it answers; ClusterError where one does not."""
    with ExitStack() as stack:
        ways = [stack.enter_context(_opened(command, service)) for service in services]
        deadline = time.monotonic() + patience
        for way in ways:
            way.wait(deadline)
        yield [way.port for way in ways]


@contextmanager
def _opened(command: Sequence[str], service: Service) -> Iterator[_Way]:
    way = _Way(command, service)
    thread = threading.Thread(target=way.keep_open)
    thread.start()
    try:
        yield way
    finally:
        way.close()
        thread.join()


class _Way:
    """A `kubectl port-forward` that is begun anew when it ends: one that has lost its pod never heals.

    Its port here is found anew until it was open once, since another program may take it in between.
    """

    def __init__(self, command: Sequence[str], service: Service) -> None:
        self.port = 0
        self._command, self._service = command, service
        self._ending, self._open = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._said = "kubectl says nothing"

    def keep_open(self) -> None:
        opened = False
        while not self._ending.is_set():
            self.port = self.port if opened else _free_port(self._service.usual)
            process = self._start()
            if process is None:
                return
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    if line.startswith(OPEN):
                        self._open.set()
                        opened = True
                    elif not line.startswith(ASKED):
                        self._said = told(line)
            process.wait()
            self._open.clear()
            self._ending.wait(PAUSE)

    def _start(self) -> subprocess.Popen[str] | None:
        service = self._service
        where = [f"--namespace={service.namespace}", f"--address={HERE}"]
        words = [*self._command, "port-forward", *where, f"service/{service.name}", f"{self.port}:{service.port}"]
        with self._lock:
            if self._ending.is_set():
                return None
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            return self._process

    def close(self) -> None:
        self._ending.set()
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()

    def wait(self, deadline: float) -> None:
        """Until the service answers, whatever it says."""
        while not (self._open.is_set() and self._answers()):
            if time.monotonic() > deadline:
                service = self._service
                raise ClusterError(
                    f"service {service.name} in namespace {service.namespace} does not answer through `kubectl "
                    f"port-forward` ({self._said}): expected it to be ready; `kubectl get pods --namespace "
                    f"{service.namespace}` says what it waits for"
                )
            time.sleep(PAUSE)

    def _answers(self) -> bool:
        # The port may be open while nobody is behind it, so an answer of HTTP is asked for.
        connection = http.client.HTTPConnection(HERE, self.port, timeout=5)
        try:
            connection.request("GET", self._service.path)
            return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _free_port(usual: int) -> int:
    """The usual port, or any other where that is taken."""
    for port in (usual, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HERE, port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise ClusterError("this machine has no free port: end what holds them, and run this again")
