"""Options: the predictor's command line, as one frozen value."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one client, and all of them together, may ask for."""

    body_bytes: int = 16 * 2**20
    request_rows: int = 1024
    batch_rows: int = 256
    waiting_requests: int = 512


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to serve, where, and within which limits; exactly one of `bundle` and `follow` is given."""

    bundle: Path | None
    follow: str
    name: str
    host: str
    port: int
    trusted_keys: Path | None
    threads: int
    poll_seconds: float
    drain_seconds: float
    grace_seconds: int
    exit_with_parent: bool
    limits: Limits


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; a wrong one ends the process with exit code 2 and says what is expected."""
    given = _build_parser().parse_args(arguments)
    return Options(
        bundle=given.bundle,
        follow=given.follow or "",
        name=given.name or given.follow or "",
        host=given.host,
        port=given.http_port,
        trusted_keys=given.trusted_keys,
        threads=given.threads,
        poll_seconds=given.poll_seconds,
        drain_seconds=given.drain_seconds,
        grace_seconds=given.grace_seconds,
        exit_with_parent=given.exit_with_parent,
        limits=Limits(
            body_bytes=given.max_body_bytes,
            request_rows=given.max_rows,
            batch_rows=given.max_batch_rows,
            waiting_requests=given.max_waiting,
        ),
    )


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serve a model over the Open Inference Protocol.",
        epilog="example: python -m serving --follow fashion --http-port 8080",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--bundle", type=Path, metavar="DIR", help="serve the bundle in this folder")
    what.add_argument("--follow", metavar="TASK", help="serve the task's champion, and each one after it")
    parser.add_argument("--name", help="the model's name in addresses (default: its task)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    _add_number(parser, "--http-port", 8080, "the port to listen on, 0 for any free one", least=0)
    parser.add_argument("--trusted-keys", type=Path, metavar="DIR", help="the public keys that are believed")
    _add_number(parser, "--threads", 1, "threads that compute one batch")
    parser.add_argument("--poll-seconds", type=_seconds, default=2.0, help="pause between looks at the ledger")
    parser.add_argument(
        "--drain-seconds", type=_seconds, default=0.0, help="how long to answer after SIGTERM while unready"
    )
    _add_number(parser, "--grace-seconds", 25, "how long requests in flight may take after that")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    _add_number(parser, "--max-body-bytes", Limits.body_bytes, "the largest request body")
    _add_number(parser, "--max-rows", Limits.request_rows, "the most rows in a request")
    _add_number(parser, "--max-batch-rows", Limits.batch_rows, "the most rows of several requests run together")
    _add_number(parser, "--max-waiting", Limits.waiting_requests, "the most requests that wait for the model")
    return parser


def _add_number(parser: argparse.ArgumentParser, name: str, default: int, explanation: str, least: int = 1) -> None:
    def at_least(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"found {number}: expected at least {least}")
        return number

    parser.add_argument(name, type=at_least, default=default, metavar="N", help=f"{explanation} (default: %(default)s)")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text}: expected a number of seconds from 0")
    return seconds
