"""Server: from the command line to listening sockets, and from a signal to the last answered request."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from noria.errors import ServingError, UsageError
from noria.settings import Settings
from serving.admin import Admin
from serving.allowed import AllowedSources
from serving.app import App
from serving.follow import Follower
from serving.front import BACKLOG, Front
from serving.hub import Hub
from serving.metrics import Metrics, make_metrics
from serving.options import Options
from serving.slot import Occupant, Slot
from serving.source import LedgerSource, load_folder, trusted_keys

if TYPE_CHECKING:
    from serving.features.source import FeatureSource

log = logging.getLogger("serving")

OTHER_FILES = 256  # open files besides connections to the data port
LOAD_SECONDS = 600.0  # how long an operator waits for a model at most


def bind(host: str, port: int, option: str = "--http-port") -> socket.socket:
    """Take the port, or any free one for 0; ServingError if it is not to be had.

    Nobody is let in yet. Two processes may have got the same port up to then, and `listen` tells the later one.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it an answer can take 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise port_fault(host, port, option, error) from error
    return listener


def port_fault(host: str, port: int, option: str, error: Exception) -> ServingError:
    """What is said of a port that is not to be had, whichever it is and whenever that comes out."""
    shown = f"[{host}]" if ":" in host else host
    return ServingError(f"cannot listen on {shown}:{port} ({error}): choose another {option}, 0 takes any free one")


async def serve(options: Options, settings: Settings) -> None:
    """Load the models, answer until told to stop, finish what is in flight; NoriaError if nothing can be served."""
    _allow_connections(options.limits.connections)
    listener = bind(options.host, options.port)
    metrics, hub = make_metrics(), Hub()
    front = Front(
        options.limits,
        metrics,
        lambda front: App(hub, options.limits, metrics, front, with_page=options.with_page).handle,
    )
    features = _open_features(options, metrics)
    metrics.connections, metrics.in_flight = lambda: front.connections, lambda: front.in_flight
    stop = asyncio.Event()
    async with AsyncExitStack() as running:
        if features is not None:
            running.callback(features.close)
        follower = _seat_models(hub, metrics, options, settings, features)
        if follower is not None:
            await running.enter_async_context(_task(follower.run(options.poll_seconds)))
        data = await listen(running, front, listener, "--http-port")
        ports = {"port": _port_of(data)}
        rpc = None
        if options.grpc_port is not None:
            from serving.rpc.server import start  # its libraries are loaded only where they are asked for

            rpc = await start(hub, options.limits, metrics, front, options.host, options.grpc_port)
            ports["grpc_port"] = rpc.port
        if options.admin_port is not None:
            admin = _make_admin(hub, metrics, options, settings, features)
            admin_listener = bind(options.admin_host, options.admin_port, "--admin-port")
            ports["admin_port"] = _port_of(await listen(running, admin, admin_listener, "--admin-port"))
        _stop_on_signals(stop)
        if options.exit_with_parent:
            _stop_with_parent(stop)
        _announce(hub, ports)
        await stop.wait()
        front.draining = True
        # Load balancers need a moment to see that the server is not ready; until then its port still answers.
        await asyncio.sleep(options.drain_seconds)
        await front.stop_listening(data, listener)
        endings = [front.finish(options.grace_seconds)]
        if rpc is not None:
            endings.append(rpc.stop(options.grace_seconds))
        await asyncio.gather(*endings)
    hub.close()


def _open_features(options: Options, metrics: Metrics) -> FeatureSource | None:
    """What completes requests, if the command line names a store."""
    if options.online is None:
        return None
    from serving.features.source import FeatureSource

    features = FeatureSource(options.online)
    metrics.online = features.collect
    return features


def _seat_models(
    hub: Hub, metrics: Metrics, options: Options, settings: Settings, features: FeatureSource | None
) -> Follower | None:
    """Load what the command line names; the follower of the champion where there is one to follow."""
    follower = None
    if options.follow:
        source = LedgerSource(options, settings)
        model, missed = source.load_first()
        slot = Slot(model, options.limits, metrics, follows=True, stands_in_for=missed, features=features)
        if missed:
            metrics.stale = True
            metrics.count_load("refused")
        follower = Follower(slot, source.champion, source.load, metrics)
        hub.add(slot)
    elif options.bundle:
        model = load_folder(options.bundle, options.name, options, settings)
        hub.add(Slot(model, options.limits, metrics, features=features))
    for name, folder in options.models:
        model = load_folder(folder, name, options, settings)
        if name in hub.slots:
            hub.slots[name].add(model)
        else:
            hub.add(Slot(model, options.limits, metrics, features=features))
    return follower


def _make_admin(
    hub: Hub, metrics: Metrics, options: Options, settings: Settings, features: FeatureSource | None
) -> Front:
    sources = AllowedSources(
        options.admin_sources,
        trusted_keys(options, settings),
        settings.home / "cache",
        options.threads,
        options.limits.batch_rows,
    )
    limits = replace(options.limits, request_seconds=LOAD_SECONDS)
    return Front(limits, metrics, lambda _: Admin(hub, sources, options.limits, metrics, features).handle)


async def listen(running: AsyncExitStack, front: Front, listener: socket.socket, option: str) -> asyncio.Server:
    """Answer at the socket until the stack is left; ServingError where another process got its port meanwhile."""
    host, port, *_ = listener.getsockname()
    try:
        server = await asyncio.get_running_loop().create_server(front.connect, sock=listener, backlog=BACKLOG)
    except OSError as error:
        raise port_fault(host, port, option, error) from error
    running.callback(server.close)
    await running.enter_async_context(_task(front.watch()))
    return server


def _port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


@asynccontextmanager
async def _task(work: object) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    try:
        yield
    finally:
        task.cancel()


def _allow_connections(count: int) -> None:
    """Let the process hold so many connections: many systems start it with room for fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            raise UsageError(
                f"the system allows this process {hard} open files: expected {wanted} for --max-connections {count}, "
                f"so give at most {max(1, hard - OTHER_FILES)}, or raise the limit (ulimit -Hn)"
            )


def _announce(hub: Hub, ports: dict[str, int]) -> None:
    """Tell on standard output that the server is ready, for whoever started it: the first model, and then all."""
    models = [_introduce(one) for slot in hub.slots.values() for one in slot.occupants]
    first = models[0] if models else {}
    sys.stdout.write(json.dumps({"event": "ready", **ports, **first, "models": models}) + "\n")
    sys.stdout.flush()


def _introduce(one: Occupant) -> dict[str, str]:
    about = {"model": one.model.name, "digest": one.model.digest}
    return about | {"fallback": one.fallback} if one.fallback else about


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
