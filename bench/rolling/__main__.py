"""H3: a hundred thousand requests through ten rolling restarts and ten model swaps, none of them lost."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from bench.rolling.nginx import MISSING, find_nginx
from bench.rolling.roll import Plan, roll, tell

EXPLAINED = {
    "requests": "that are sent, and more if the restarts and swaps take longer",
    "restarts": "of the two replicas, in turn",
    "swaps": "of the champion, in the ledger",
    "rate": "requests a second, 0 for a share of the peak",
    "share": "of what the replicas bear in a closed loop while they are restarted",
    "peak_restarts": "to find out what that is",
    "drain_seconds": "of the replicas",
    "request_seconds": "of the replicas",
    "poll_seconds": "of the replicas",
    "twice": "the proxy may send a request again that a replica broke off or refused",
}


def read_plan(words: list[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m bench.rolling", description=__doc__)
    for each in fields(Plan):
        name, about = f"--{each.name.replace('_', '-')}", f"{EXPLAINED[each.name]} (%(default)s)"
        if isinstance(each.default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=each.default, help=about)
        else:
            parser.add_argument(name, type=type(each.default), default=each.default, help=about)
    return Plan(**vars(parser.parse_args(words)))


def main(words: list[str]) -> int:
    plan = read_plan(words)
    if find_nginx() is None:
        raise SystemExit(MISSING)
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(roll(Path(folder), plan))
    print(json.dumps(tell(outcome), indent=2))
    return 1 if outcome.lost or outcome.wrong or outcome.answered != outcome.sent else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
