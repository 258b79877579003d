"""Aggregates: counts and sums over windows that move with the clock, for every key at once.

A window moves on with every moment, so its value is taken on a grid: at a tick it is that of (tick - window, tick],
and it holds until the next tick. A row is written only at a tick at which it differs from the row before. So what is
known at a moment is the last row at or before it, however old it is, and it never speaks of what came later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noria.errors import UsageError

GRID = np.timedelta64(15 * 60 * 1_000_000, "us")


@dataclass(frozen=True, kw_only=True)
class WindowRows:
    """One row a change: `keys` and `ticks` of shape (rows,), `counts` (rows, windows), `sums` (rows, windows, values).

    Ordered by tick, then by key; no key has two rows at a tick. The first row of a key is that of its first event.
    """

    keys: NDArray[np.int64]
    ticks: NDArray[np.datetime64]
    counts: NDArray[np.int64]
    sums: NDArray[np.int64]


def next_tick(instants: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """The first ticks at or after the instants: the first that know of them."""
    step = GRID.astype(np.int64)
    ticks: NDArray[np.datetime64] = (-(-instants.astype("datetime64[us]").astype(np.int64) // step) * step).astype(
        "datetime64[us]"
    )
    return ticks


def aggregate(
    keys: NDArray[np.int64],
    instants: NDArray[np.datetime64],
    values: NDArray[np.int64],
    *,
    windows: Sequence[np.timedelta64],
    until: np.datetime64,
) -> WindowRows:
    """Count the events of each key (from 0), and sum their `values` of shape (events, values), over each window.

    Whole numbers, so that the sums are exact in whatever order. No tick lies after `until`, the last moment of which
    the source speaks: what came later is unknown, not nothing. UsageError for a window that is no whole steps of GRID,
    and for more keys and days than 64 bits can tell apart (a year of 280,000 keys).
    """
    if any(window < GRID or window % GRID for window in windows):
        raise UsageError(f"windows of {', '.join(map(str, windows))}: expected whole steps of {GRID}")
    spans = np.array([0, *(window.astype("timedelta64[us]").astype(np.int64) for window in windows)], np.int64)
    # One number for key and time: each key has a band of its own, wide enough for every tick and every window's start.
    base = (instants.min() if len(instants) else until).astype("datetime64[us]") - spans.max() - GRID
    known = (next_tick(instants) - base).astype(np.int64)
    band = int(known.max(initial=0) + spans.max()) + 1
    if (int(keys.max(initial=0)) + 1) * band >= 2**63:
        raise UsageError(f"{keys.max() + 1} keys over {band / 8.64e10:.0f} days: give fewer at a time, or fewer days")
    order = np.lexsort((instants, keys))
    events = (keys * band + (instants.astype("datetime64[us]") - base).astype(np.int64))[order]
    running = np.concatenate([np.zeros_like(values[:1], shape=(1, values.shape[1])), values[order].cumsum(axis=0)])
    # Something changes only where an event comes into a window, or leaves it.
    places = np.unique((keys * band + known)[:, None] + spans)
    owners, ticks = places // band, base + places % band
    past = [np.searchsorted(events, places - span, side="right") for span in spans]
    counts = np.stack([past[0] - before for before in past[1:]], axis=1)
    sums = np.stack([running[past[0]] - running[before] for before in past[1:]], axis=1)
    rows = np.flatnonzero(_changed(owners, counts, sums) & (ticks <= until))
    rows = rows[np.lexsort((owners[rows], ticks[rows]))]
    return WindowRows(keys=owners[rows], ticks=ticks[rows], counts=counts[rows], sums=sums[rows])


def _changed(keys: NDArray[np.int64], counts: NDArray[np.int64], sums: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows, ordered by key and tick, are the first of their key or differ from the one before."""
    changed = np.ones(len(keys), np.bool_)
    same = (counts[1:] == counts[:-1]).all(axis=1) & (sums[1:] == sums[:-1]).all(axis=(1, 2))
    changed[1:] = (keys[1:] != keys[:-1]) | ~same
    return changed
