"""Server: gRPC's own server, from its port to its last answered call."""

from __future__ import annotations

import asyncio
import logging

import grpc

from serving.app import Standing
from serving.hub import Hub
from serving.metrics import Metrics
from serving.options import Limits
from serving.rpc.service import Service
from serving.server import bind, port_fault

log = logging.getLogger("serving")

LAST_SECONDS = 1.0  # for refusals to reach their clients
# A connection is politely replaced by its client at this age. gRPC's stop cancels calls that come in the same moment,
# so a server that drains for longer than this loses none, even behind a balancer that only knows connections.
AGE_SECONDS = 60.0


class Rpc:
    """The gRPC server that runs; `port` is where."""

    def __init__(self, server: grpc.aio.Server, service: Service, port: int) -> None:
        self._server = server
        self._service = service
        self.port = port

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls, let the others have their answers for so long, and tell those that still wait."""
        stopping = asyncio.ensure_future(self._server.stop(grace_seconds + LAST_SECONDS))
        self._service.streams.stop()
        done, _ = await asyncio.wait([stopping], timeout=grace_seconds)
        if not done:
            log.warning("%d gRPC calls still wait after %g s: refused", self._service.inference.waiting, grace_seconds)
            self._service.inference.stop_waiting()
        await stopping


async def start(hub: Hub, limits: Limits, metrics: Metrics, standing: Standing, host: str, port: int) -> Rpc:
    """Answer at the port, or any free one for 0; ServingError if it is not to be had."""
    service = Service(hub, limits, metrics, standing)
    server = grpc.aio.server(handlers=(service.handlers(),), options=_settings(limits))
    free = _find_free(host, port)
    try:
        taken = server.add_insecure_port(f"[{host}]:{free}" if ":" in host else f"{host}:{free}")
    except RuntimeError as error:
        raise port_fault(host, port, "--grpc-port", error) from error
    await server.start()
    others = metrics.in_flight
    metrics.in_flight = lambda: others() + service.inference.waiting
    return Rpc(server, service, taken)


def _find_free(host: str, port: int) -> int:
    """The port, or a free one for 0, while nobody has it; ServingError otherwise.

    gRPC is then let to share the port, because it may take two sockets for one address; alone, it would share it with
    a second server too, and take 65,536 for port 0.
    """
    with bind(host, port, "--grpc-port") as probe:
        found: int = probe.getsockname()[1]
    return found


def _settings(limits: Limits) -> tuple[tuple[str, int], ...]:
    """The limits of the HTTP port in gRPC's terms."""
    idle = round(limits.idle_seconds * 1000)
    return (
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", limits.body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", limits.head_bytes),
        ("grpc.absolute_max_metadata_size", limits.head_bytes),
        ("grpc.max_concurrent_streams", limits.connections),
        ("grpc.max_connection_idle_ms", idle),
        ("grpc.max_connection_age_ms", round(AGE_SECONDS * 1000)),
        ("grpc.keepalive_time_ms", idle),
        ("grpc.server_handshake_timeout_ms", round(limits.head_seconds * 1000)),
        ("grpc.max_allowed_incoming_connections", limits.connections),
    )
