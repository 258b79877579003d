"""Roll: restarts and swaps, one after the other each, while the load goes on; and what came of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic

from bench.rolling.load import Load, Tally
from bench.rolling.nginx import Nginx, Terms, proxy
from bench.rolling.releases import TASK, Releases
from bench.rolling.replica import Replica
from bench.serving.servers import free_ports

PEAK_CONNECTIONS = 32
SEEN_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much; the load goes on until all its requests are sent and all restarts and swaps are through."""

    requests: int = 100_000
    restarts: int = 10
    swaps: int = 10
    rate: float = 0.0  # requests a second, 0 for a share of the peak
    share: float = 0.7
    peak_restarts: int = 3  # to find out what the peak is
    drain_seconds: float = 1.0
    request_seconds: float = 5.0
    poll_seconds: float = 0.2
    twice: bool = True  # the proxy may send a request again that a replica broke off or refused


@dataclass(frozen=True, kw_only=True)
class Milliseconds:
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`peak` is what the two bear while they are restarted again and again, in a closed loop."""

    sent: int
    answered: int  # rightly, with 200
    wrong: int
    lost: int
    latency: Milliseconds | None  # from the moment when a request was due
    restarts: int
    swaps: int
    versions: dict[str, int]  # answers by bundle
    peak: float | None
    rate: float
    seconds: float
    slowest_restart_seconds: float
    retried: int  # requests that the proxy asked a second replica for
    complaints: dict[str, int]  # of the proxy about its replicas
    reasons: dict[str, int] = field(default_factory=dict)  # of what was lost or wrong


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Two replicas behind a proxy, and the releases that they follow."""

    releases: Releases
    replicas: tuple[Replica, Replica]
    proxy: Nginx

    def load(self) -> Load:
        return Load(self.proxy.port, self.releases.requests(), self.releases.check)


def set_stage(stack: ExitStack, folder: Path, plan: Plan) -> Stage:
    """All of it ready; it ends with the stack."""
    releases = Releases(folder, plan.swaps + 1)
    releases.promote_next()
    front, *ports = free_ports()
    words = ["--follow", TASK]
    for name in ("drain_seconds", "request_seconds", "poll_seconds"):
        words += [f"--{name.replace('_', '-')}", str(getattr(plan, name))]
    first, second = (stack.enter_context(Replica(words, folder, port)) for port in ports)
    first.start()
    second.start()
    terms = Terms(patience=plan.request_seconds + 0.5, idle=plan.drain_seconds / 2, twice=plan.twice)
    running = stack.enter_context(proxy(folder / "nginx", front, ports, terms))
    return Stage(releases=releases, replicas=(first, second), proxy=running)


async def roll(folder: Path, plan: Plan) -> Outcome:
    """Do it all in this folder, which is empty."""
    with ExitStack() as stack:
        stage = set_stage(stack, folder, plan)
        peak = None if plan.rate else await _find_peak(stage, plan)
        rate = plan.rate or plan.share * (peak or 0.0)
        load, seconds, restarts = await _under_load(stage, plan, rate)
    return _sum_up(load.tally, stage.proxy, plan, peak=peak, rate=rate, seconds=seconds, restarts=restarts)


async def _find_peak(stage: Stage, plan: Plan) -> float:
    async def restart() -> None:
        for turn in range(plan.peak_restarts):
            await asyncio.to_thread(stage.replicas[turn % 2].restart)

    return await stage.load().keep_busy(PEAK_CONNECTIONS, restart())


async def _under_load(stage: Stage, plan: Plan, rate: float) -> tuple[Load, float, list[float]]:
    load, taken = stage.load(), list[float]()
    long = plan.requests / rate

    async def restart(turn: int) -> None:
        started = monotonic()
        await asyncio.to_thread(stage.replicas[turn % 2].restart)
        taken.append(monotonic() - started)

    async def swap(_: int) -> None:
        digest = await asyncio.to_thread(stage.releases.promote_next)
        await until(lambda: digest in load.tally.versions, f"bundle {digest} answers")

    # The swaps fall before, into and after restarts: there is one more pause between them.
    changes = asyncio.gather(
        _spread(plan.restarts, long / (plan.restarts + 0.5), restart),
        _spread(plan.swaps, long / (plan.swaps + 1), swap),
    )
    seconds = await load.keep_rate(rate, lambda: load.tally.sent < plan.requests or not changes.done())
    await changes
    return load, seconds, taken


async def _spread(times: int, pause: float, change: Callable[[int], object]) -> None:
    """Make the changes one after the other, each at its time or as soon as the one before is through."""
    started = monotonic()
    for turn in range(times):
        await asyncio.sleep(max(0.0, started + (turn + 0.5) * pause - monotonic()))
        await change(turn)  # type: ignore[misc]


async def until(true: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + SEEN_SECONDS
    while not true():
        if monotonic() > deadline:
            raise TimeoutError(f"waited {SEEN_SECONDS:.0f} s in vain until {what}")
        await asyncio.sleep(0.01)


def _sum_up(
    tally: Tally, nginx: Nginx, plan: Plan, *, peak: float | None, rate: float, seconds: float, restarts: list[float]
) -> Outcome:
    return Outcome(
        sent=tally.sent,
        answered=len(tally.waits),
        wrong=len(tally.wrong),
        lost=len(tally.lost),
        latency=_percentiles(sorted(tally.waits)),
        restarts=len(restarts),
        swaps=plan.swaps,
        versions=dict(tally.versions),
        peak=peak,
        rate=rate,
        seconds=seconds,
        slowest_restart_seconds=max(restarts, default=0.0),
        retried=nginx.retried,
        complaints=nginx.complaints(),
        reasons=dict(Counter([*tally.wrong, *tally.lost]).most_common(10)),
    )


def _percentiles(waits: list[float]) -> Milliseconds | None:
    if not waits:
        return None
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
    places = {name: min(len(waits) - 1, int(share * len(waits))) for name, share in shares.items()}
    return Milliseconds(**{name: round(waits[place] * 1000, 2) for name, place in places.items()})


def tell(outcome: Outcome) -> dict[str, object]:
    """The outcome as JSON has it, its numbers no longer than they are exact."""
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(outcome).items()}
