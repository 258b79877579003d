"""Server: uvicorn around the app, from the first free port to the last answered request."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from noria.errors import ServingError
from serving.app import App
from serving.options import Options
from serving.slot import Slot

log = logging.getLogger("serving")


class Server(uvicorn.Server):
    """uvicorn that says when it is ready, and leaves signals to us: its own handling ends the process by the signal."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def bind(host: str, port: int) -> socket.socket:
    """Take the port, or any free one for 0; ServingError if it is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it an answer can take 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ServingError(
            f"cannot listen on {host}:{port} ({error}): choose another --http-port, 0 takes any free one"
        ) from error
    return listener


async def run_server(app: App, slot: Slot, options: Options, listener: socket.socket) -> None:
    """Answer until SIGTERM, SIGINT or, where asked for, the end of standard input; then finish what is in flight."""
    stop = asyncio.Event()
    _stop_on_signals(stop)
    if options.exit_with_parent:
        _stop_with_parent(stop)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=options.grace_seconds,
    )
    server = Server(config, announce=lambda: _announce(slot, listener.getsockname()[1]))
    stopping = asyncio.create_task(_drain(server, stop, slot, options.drain_seconds))
    await server.serve(sockets=[listener])
    if unanswered := server.server_state.tasks:
        await asyncio.wait(unanswered, timeout=1)  # they were cancelled, and say so to their clients
    stopping.cancel()
    slot.close()


async def _drain(server: Server, stop: asyncio.Event, slot: Slot, seconds: float) -> None:
    await stop.wait()
    slot.draining = True
    # Load balancers need a moment to see that the server is not ready; until then its port still answers.
    await asyncio.sleep(seconds)
    server.should_exit = True


def _announce(slot: Slot, port: int) -> None:
    model = slot.occupant.model
    line = json.dumps({"event": "ready", "port": port, "model": model.name, "digest": model.digest})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def _stop_with_parent(stop: asyncio.Event) -> None:
    """Stop when the other end of standard input is gone; the system closes it even for a parent that was killed."""
    loop = asyncio.get_running_loop()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        log.info("the parent is gone")
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, name="parent", daemon=True).start()
