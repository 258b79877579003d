"""H3 for the bench room: the rolling restarts and swaps as a figure."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figure import Figure, quantity, tell
from bench.rolling.nginx import MISSING, find_nginx
from bench.rolling.roll import Outcome, Plan, roll

QUICK = Plan(requests=1000, restarts=2, swaps=2, rate=300.0, drain_seconds=0.2)
HOW = (
    "Two predictors follow a ledger behind nginx, all on this machine with the client. Requests are sent when they are "
    "due, at {share:.0%} of what the two bear in a closed loop during restarts, and timed from then. The replicas are "
    "restarted in turn (SIGTERM, wait for 0, start, wait until ready), and the ledger gets new champions. Every answer "
    "is compared with that of the bundle it names. Lost is what has no 200; the proxy may ask the other replica."
)


def describe(outcome: Outcome, plan: Plan, *, quick: bool) -> Figure:
    lost_nothing = outcome.sent == outcome.answered and not outcome.lost and not outcome.wrong
    latency = outcome.latency
    shares = {"p50": latency.p50, "p99": latency.p99, "p99.9": latency.p999} if latency else {}
    return Figure(
        id="H3",
        title="Rolling restarts and model swaps under load",
        goal=f"{Plan.requests:,} requests, {Plan.restarts} restarts, {Plan.swaps} swaps, nothing lost",
        met=None if quick else lost_nothing,
        how=HOW.format(share=plan.share),
        rounds=1,
        quantities=(
            *(quantity(name, "ms", [value]) for name, value in shares.items()),
            quantity("rate", "requests/s", [outcome.rate]),
            quantity("slowest restart", "s", [outcome.slowest_restart_seconds]),
        ),
        facts={
            "sent": f"{outcome.sent:,}",
            "answered rightly": f"{outcome.answered:,}",
            "wrong": str(outcome.wrong),
            "lost": str(outcome.lost),
            "restarts, swaps": f"{outcome.restarts}, {outcome.swaps}",
            "bundles that answered": str(len(outcome.versions)),
            "asked a second replica": f"{outcome.retried:,}",
        },
        versions={"nginx": nginx_version()},
    )


def nginx_version() -> str:
    told = subprocess.run([str(find_nginx()), "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\S+)", told)
    return found[1] if found else told.strip()


def measure(*, quick: bool) -> Figure:
    if find_nginx() is None:
        raise SystemExit(MISSING)
    plan = QUICK if quick else Plan()
    with tempfile.TemporaryDirectory() as folder:
        return describe(asyncio.run(roll(Path(folder), plan)), plan, quick=quick)


if __name__ == "__main__":
    tell([measure(quick="--quick" in sys.argv)])
