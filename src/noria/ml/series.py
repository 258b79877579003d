"""Series: a histogram with fixed edges and exact sums, so that two of them add up to the one of both."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from noria.errors import DatasetError

BINS = 32
# Sums are kept of whole steps, 65,536 from edge to edge: integers add up to the same in any order, and stay below
# 2**63 for 2 billion rows. A mean is off by at most half a step, 8e-6 of the distance between the edges.
STEPS = 1 << 16
EDGE = 1e-6  # of the distance between the edges: a number that rounding put so far beyond an edge lies at it
SYMLOG = 12.0  # the outer edges where the schema gives none: plus and minus 10**12

Scale = Literal["linear", "symlog", "hash"]


@dataclass(frozen=True, kw_only=True)
class Series:
    """Numbers counted into equal bins from `low` to `high` (inclusive), `under` and `over` beyond them.

    On the scale symlog a number x is counted and summed as sign(x) * log10(1 + |x|); on the scale hash, of strings,
    only counts are kept. `total` and `squares` are sums of steps from `low`, a number beyond an edge taken as it.
    """

    name: str
    scale: Scale
    low: float
    high: float
    counts: tuple[int, ...]
    under: int = 0
    over: int = 0
    total: int = 0
    squares: int = 0

    @property
    def rows(self) -> int:
        """Numbers that were counted."""
        return sum(self.counts) + self.under + self.over

    @property
    def mean(self) -> float:
        """The mean on the series' scale, off by at most 8e-6 of high - low; NaN without rows."""
        return self.low + self.total / self.rows / STEPS * (self.high - self.low) if self.rows else math.nan

    @property
    def std(self) -> float:
        """The standard deviation (of the rows, not of a population), to the same resolution; NaN without rows."""
        if not self.rows:
            return math.nan
        # in whole numbers, for the difference of two large squares would lose its digits
        spread = self.squares * self.rows - self.total**2
        return math.sqrt(spread) / self.rows / STEPS * (self.high - self.low)

    def _frame(self) -> tuple[str, str, float, float, int]:
        return self.name, self.scale, self.low, self.high, len(self.counts)

    def __add__(self, other: Series) -> Series:
        """Count both; DatasetError where they do not have the same edges."""
        if self._frame() != other._frame():
            raise DatasetError(
                f"series {self.name!r} and {other.name!r} have other edges: expected profiles of one schema"
            )
        return replace(
            self,
            counts=tuple(ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)),
            under=self.under + other.under,
            over=self.over + other.over,
            total=self.total + other.total,
            squares=self.squares + other.squares,
        )


def count_numbers(name: str, values: NDArray[Any], low: float | None, high: float | None, bins: int = BINS) -> Series:
    """Count finite numbers of shape (rows,) between the bounds; without both bounds, on the scale symlog."""
    numbers = np.ascontiguousarray(values, dtype=np.float64)
    scale: Scale = "linear"
    if low is None or high is None or not low < high:
        scale, low, high = "symlog", -SYMLOG, SYMLOG
        numbers = np.sign(numbers) * np.log10(1.0 + np.abs(numbers))
    with np.errstate(over="ignore"):  # what overflows lies beyond an edge all the same
        places = (numbers - low) / (high - low)
    places[(places > 1.0) & (places <= 1.0 + EDGE)] = 1.0
    places[(places < 0.0) & (places >= -EDGE)] = 0.0
    inside = (places >= 0.0) & (places <= 1.0)
    steps = np.rint(np.clip(places, 0.0, 1.0) * STEPS).astype(np.int64)
    cells = np.minimum((places[inside] * bins).astype(np.int64), bins - 1)
    return Series(
        name=name,
        scale=scale,
        low=float(low),
        high=float(high),
        counts=tuple(np.bincount(cells, minlength=bins).tolist()),
        under=int((places < 0.0).sum()),
        over=int((places > 1.0).sum()),
        total=int(steps.sum()),
        squares=int((steps**2).sum()),
    )


def count_strings(name: str, values: NDArray[Any], bins: int = BINS) -> Series:
    """Count strings by their CRC-32 modulo the bins: a shift shows, the strings themselves are not kept."""
    known = {value: crc32(value.encode()) % bins for value in set(values.tolist())}
    cells = np.array([known[value] for value in values.tolist()], dtype=np.int64)
    counts = tuple(np.bincount(cells, minlength=bins).tolist())
    return Series(name=name, scale="hash", low=0.0, high=float(bins), counts=counts)
