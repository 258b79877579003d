"""Options: the predictor's command line, as one frozen value."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.arguments import add_number, add_port, add_seconds, model_name, named_folder, seconds
from serving.features.options import OnlineOptions, add_online, read_online


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one client, and all of them together, may ask for."""

    body_bytes: int = 16 * 2**20
    held_bytes: int = 256 * 2**20  # of bodies that are held at once
    head_bytes: int = 16 * 2**10
    headers: int = 100
    connections: int = 1024
    idle_seconds: float = 75.0  # a connection without a request
    head_seconds: float = 10.0  # until a request's headers are there, and between two parts of its body
    body_seconds: float = 60.0  # until the whole body is there
    request_seconds: float = 10.0  # until the answer
    fallback_seconds: float = 2.5  # that a batch may run until another one answers, if the model's task allows it
    wait_seconds: float = 5.0  # for a turn with the model: who would wait longer is turned away at once
    request_rows: int = 1024
    batch_rows: int = 256
    waiting_requests: int = 512


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to serve, where, and within which limits; at most one of `bundle` and `follow` is given."""

    bundle: Path | None
    follow: str
    name: str
    models: tuple[tuple[str, Path], ...]  # further ones: name and bundle
    host: str
    port: int
    grpc_port: int | None  # None for no gRPC port
    admin_host: str
    admin_port: int | None  # None for no admin port
    admin_sources: tuple[str, ...]
    trusted_keys: Path | None
    threads: int
    poll_seconds: float
    drain_seconds: float
    grace_seconds: int
    exit_with_parent: bool
    with_page: bool
    limits: Limits
    online: OnlineOptions | None  # None: requests have to bring all features


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; a wrong one ends the process with exit code 2 and says what is expected."""
    parser = _build_parser()
    given = parser.parse_args(arguments)
    if not (given.bundle or given.follow or given.model or given.admin_port is not None):
        parser.error("found nothing to serve: expected --bundle, --follow, --model or --admin-port")
    # Half of a request's time may pass in the queue, a quarter with the model, and a quarter with the last good one.
    fallback_seconds = given.request_seconds / 4 if given.fallback_seconds is None else given.fallback_seconds
    if given.fallback_seconds is not None and not 0 < fallback_seconds < given.request_seconds:
        parser.error(
            f"found --fallback-seconds {fallback_seconds:g}: expected more than 0 and less than --request-seconds "
            f"{given.request_seconds:g}"
        )
    if given.online is None and (given.features_log or given.online_password_file):
        parser.error("found no --online: expected it beside --features-log and --online-password-file")
    return Options(
        bundle=given.bundle,
        follow=given.follow or "",
        name=given.name or given.follow or "",
        host=given.host,
        port=given.http_port,
        models=tuple(given.model),
        grpc_port=given.grpc_port,
        admin_host=given.admin_host,
        admin_port=given.admin_port,
        admin_sources=tuple(given.admin_source),
        trusted_keys=given.trusted_keys,
        threads=given.threads,
        poll_seconds=given.poll_seconds,
        drain_seconds=given.drain_seconds,
        grace_seconds=given.grace_seconds,
        exit_with_parent=given.exit_with_parent,
        with_page=not given.no_page,
        online=read_online(given),
        limits=Limits(
            body_bytes=given.max_body_bytes,
            held_bytes=given.max_held_bytes,
            head_bytes=given.max_head_bytes,
            headers=given.max_headers,
            connections=given.max_connections,
            idle_seconds=given.idle_seconds,
            head_seconds=given.head_seconds,
            body_seconds=given.body_seconds,
            request_seconds=given.request_seconds,
            fallback_seconds=fallback_seconds,
            wait_seconds=given.max_wait_seconds,
            request_rows=given.max_rows,
            batch_rows=given.max_batch_rows,
            waiting_requests=given.max_waiting,
        ),
    )


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serve models over the Open Inference Protocol.",
        epilog="example: python -m serving --follow fashion --http-port 8080",
    )
    _add_models(parser)
    _add_places(parser)
    add_online(parser)
    _add_times(parser)
    _add_limits(parser)
    return parser


def _add_models(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to serve")
    first = group.add_mutually_exclusive_group()
    first.add_argument("--bundle", type=Path, metavar="DIR", help="serve the bundle in this folder")
    first.add_argument("--follow", metavar="TASK", help="serve the task's champion, and each one after it")
    group.add_argument("--name", type=model_name, help="that model's name in addresses (default: its task)")
    group.add_argument(
        "--model", action="append", default=[], type=named_folder, metavar="NAME=DIR", help="serve this bundle as well"
    )
    group.add_argument(
        "--trusted-keys",
        type=Path,
        metavar="DIR",
        help="the folder of public keys that are believed (default: what NORIA_TRUSTED_KEYS names, or "
        "NORIA_HOME/keys/trusted)",
    )
    add_number(group, "--threads", 1, "threads that compute one batch")
    group.add_argument("--poll-seconds", type=seconds, default=2.0, metavar="S", help="between looks at the ledger (2)")


def _add_places(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where to listen")
    group.add_argument("--host", default="127.0.0.1", help="the address of the data port (default: %(default)s)")
    add_port(group, "--http-port", "the data port", 8080)
    add_port(group, "--grpc-port", "answer gRPC too, at this port")
    group.add_argument("--no-page", action="store_true", help="show browsers no page at /")
    group.add_argument("--admin-host", default="127.0.0.1", help="the address of the admin port (default: %(default)s)")
    add_port(group, "--admin-port", "load and unload models at this port")
    group.add_argument(
        "--admin-source",
        action="append",
        default=[],
        metavar="PREFIX",
        help="where bundles may be loaded from: file:///folder or s3://bucket/prefix; may be given again",
    )


def _add_times(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("times, in seconds")
    add_seconds(group, "--request-seconds", Limits.request_seconds, "until a request is answered, or refused with 503")
    group.add_argument(
        "--fallback-seconds",
        type=seconds,
        metavar="S",
        help="that a batch may run until the fallback answers, if the task declares one (default: a quarter of "
        "--request-seconds)",
    )
    add_seconds(
        group,
        "--max-wait-seconds",
        Limits.wait_seconds,
        "to wait for the model; who would wait longer gets 503 at once",
    )
    add_seconds(group, "--head-seconds", Limits.head_seconds, "for a request's headers, and for a pause in its body")
    add_seconds(group, "--body-seconds", Limits.body_seconds, "for a request's whole body")
    add_seconds(group, "--idle-seconds", Limits.idle_seconds, "that a connection may stay open without a request")
    add_seconds(group, "--drain-seconds", 0.0, "to go on answering after SIGTERM, while not ready")
    add_number(group, "--grace-seconds", 25, "for what is in flight after that")
    group.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    add_number(group, "--max-body-bytes", Limits.body_bytes, "the largest request body, packed and unpacked")
    add_number(group, "--max-held-bytes", Limits.held_bytes, "the most bytes of bodies that are held at once")
    add_number(group, "--max-head-bytes", Limits.head_bytes, "the most bytes of an address and headers")
    add_number(group, "--max-headers", Limits.headers, "the most headers")
    add_number(group, "--max-connections", Limits.connections, "the most connections")
    add_number(group, "--max-rows", Limits.request_rows, "the most rows in a request")
    add_number(group, "--max-batch-rows", Limits.batch_rows, "the most rows of several requests run together")
    add_number(group, "--max-waiting", Limits.waiting_requests, "the most requests that wait for the model")
