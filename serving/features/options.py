"""Options: which online store completes requests, how patiently, and what is written down of it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from serving.arguments import add_number, add_seconds, share


@dataclass(frozen=True, kw_only=True)
class OnlineOptions:
    """Where features come from that a request lacks, and what is written down of them."""

    address: str
    password_file: Path | None
    seconds: float = 0.05  # until the store has answered
    memory_rows: int = 10_000
    log: Path | None
    log_share: float = 0.01
    log_bytes: int = 256 * 2**20


def add_online(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command line."""
    group = parser.add_argument_group("features from the online store")
    group.add_argument(
        "--online",
        metavar="ADDRESS",
        help="complete requests from this store: a file, redis://HOST:PORT/DB or rediss://HOST:PORT/DB (default: none)",
    )
    group.add_argument("--online-password-file", type=Path, metavar="FILE", help="the file that holds its password")
    add_seconds(group, "--online-seconds", OnlineOptions.seconds, "to wait for the store")
    add_number(
        group,
        "--online-memory-rows",
        OnlineOptions.memory_rows,
        "rows that are remembered, for when the store fails",
        least=0,
    )
    group.add_argument("--features-log", type=Path, metavar="FILE", help="write what the store gave to this file")
    group.add_argument(
        "--features-log-share",
        type=share,
        default=OnlineOptions.log_share,
        metavar="P",
        help="of the completed requests that are written there, 0 to 1 (default: %(default)s)",
    )
    add_number(
        group,
        "--features-log-bytes",
        OnlineOptions.log_bytes,
        "bytes after which the file gets the ending .1, and a new one begins",
    )


def read_online(given: argparse.Namespace) -> OnlineOptions | None:
    """What the command line says of them; None where it names no store."""
    if given.online is None:
        return None
    return OnlineOptions(
        address=given.online,
        password_file=given.online_password_file,
        seconds=given.online_seconds,
        memory_rows=given.online_memory_rows,
        log=given.features_log,
        log_share=given.features_log_share,
        log_bytes=given.features_log_bytes,
    )
