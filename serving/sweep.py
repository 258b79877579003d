"""Sweep: learn by trying how many rows a model should run together, in a fraction of a second at its start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

GAIN = 0.05  # a larger batch must save this share of a row's time, or the smaller one answers sooner
BUDGET_SECONDS = 0.1  # for the whole sweep
LONGEST_SECONDS = 0.05  # of one batch: a request that comes just after its start waits for that long
TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The best batch found: its rows, and the seconds that each of them takes in it."""

    rows: int
    seconds_per_row: float


def sweep(run: Callable[[int], object], most_rows: int, clock: Callable[[], float] = perf_counter) -> Pace:
    """Run batches of 1, 2, 4 … rows while that pays; `run` computes a batch of so many rows."""
    started = clock()
    best = Pace(rows=1, seconds_per_row=_fastest(run, 1, clock))
    rows = 2
    while rows <= most_rows and clock() - started < BUDGET_SECONDS:
        # The next batch takes at most its rows at the best pace: one that would break the budget is not tried.
        if rows * best.seconds_per_row > LONGEST_SECONDS:
            break
        pace = Pace(rows=rows, seconds_per_row=_fastest(run, rows, clock) / rows)
        if pace.seconds_per_row > best.seconds_per_row * (1 - GAIN):
            if rows >= 4 * best.rows:
                break
        else:
            best = pace
        rows *= 2
    return best


def _fastest(run: Callable[[int], object], rows: int, clock: Callable[[], float]) -> float:
    times = []
    for _ in range(TRIES):
        started = clock()
        run(rows)
        times.append(clock() - started)
    return min(times)
