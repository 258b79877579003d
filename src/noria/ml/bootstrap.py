"""Bootstrap: the intervals and differences of all metrics from one resampling of the rows.

Each metric is a ratio of sums of per-row columns. A draw takes as many rows as there are, with replacement; how often
it takes each row is its weights, and weights times columns gives the sums of every metric in that draw at once.

Efron & Tibshirani (1993), An Introduction to the Bootstrap: percentile intervals are chapter 13, bias chapter 10,
significance by the percentile chapter 15. Metrics of two models on the same draws are paired.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.ml.scores import Difference, Interval

CELLS = 1 << 20  # weights held at a time: about 25 MB, whatever the number of draws
DIGITS = 9  # of a figure: fewer than rounding could disturb, so that equal inputs give equal evidence


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric on the rows as they are, and in each draw where it exists (a draw may miss a small slice)."""

    value: float
    draws: NDArray[np.float64]


def resample_sums(columns: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Sum columns (rows, k) over `draws` resamplings of the rows: (draws, k).

    Sums of counts are exact. Other sums depend in their last bits on how many threads add them up: round what is shown.
    """
    sums = np.empty((draws, columns.shape[1]))
    for start, weights in draw_weights(len(columns), draws, seed):
        sums[start : start + len(weights)] = weights.astype(np.float64) @ columns
    return sums


def draw_weights(rows: int, draws: int, seed: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """How often each draw takes each row: (some draws, rows) at a time, with the number of the first of them.

    Equal arguments give equal draws, so that what is taken from them in several passes is paired.
    """
    generator = np.random.default_rng(seed)
    step = max(1, CELLS // rows)
    for start in range(0, draws, step):
        count = min(step, draws - start)
        picks = generator.integers(rows, size=(count, rows))
        picks += np.arange(0, count * rows, rows)[:, None]
        yield start, np.bincount(picks.ravel(), minlength=count * rows).reshape(count, rows)


def unbias(value: float, draws: NDArray[np.float64]) -> Estimate:
    """A figure that only grows with noise, its draws moved so that their mean is its value, and none is below 0."""
    return Estimate(value=value, draws=np.maximum(draws - (draws.mean() - value), 0.0))


class RowSums:
    """Per-row columns by key, summed over the rows as they are and over each draw."""

    def __init__(self, columns: Mapping[Hashable, NDArray[Any]], *, draws: int, seed: int) -> None:
        self._places = {key: place for place, key in enumerate(columns)}
        matrix = np.stack([column.astype(np.float64) for column in columns.values()], axis=1)
        self.rows = len(matrix)
        self._whole = matrix.sum(axis=0)
        self._draws = resample_sums(matrix, draws, seed)

    def mean(self, key: Hashable) -> Estimate:
        """The column's mean over all rows."""
        place = self._places[key]
        return Estimate(value=float(self._whole[place]) / self.rows, draws=self._draws[:, place] / self.rows)

    def ratio(self, key: Hashable, per: Hashable) -> Estimate:
        """The column's sum over that of the column `per`, which must not be 0 on the rows as they are."""
        top, bottom = self._places[key], self._places[per]
        there = self._draws[:, bottom] > 0
        return Estimate(
            value=float(self._whole[top] / self._whole[bottom]),
            draws=self._draws[there, top] / self._draws[there, bottom],
        )

    def mean_of_sizes(self, keys: list[Hashable]) -> Estimate:
        """The sum of the sizes |sum of column|, over the rows; its draws are moved so that their mean is its value.

        A size can only grow with noise, and a draw has the noise of the rows and its own: without the move the interval
        would lie above the value (bias, estimated and taken away).
        """
        places = [self._places[key] for key in keys]
        value = float(np.abs(self._whole[places]).sum()) / self.rows
        draws = np.abs(self._draws[:, places]).sum(axis=1) / self.rows
        return unbias(value, draws)


def interval(estimate: Estimate, confidence: float) -> Interval:
    """The two-sided percentile interval."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(estimate.draws, [tail, 1.0 - tail])
    return Interval(value=round(estimate.value, DIGITS), low=round(float(low), DIGITS), high=round(float(high), DIGITS))


def difference(estimate: Estimate, *, confidence: float, margin: float, rows: int) -> Difference:
    """What the draws of a paired difference say: interval, one-sided lower bound, p-value of "not worse than margin".

    The p-value is the share of draws at or above -margin, with the rows as they are as one draw more: it is never 0.
    """
    at_least = int((estimate.draws >= -margin - 1e-12).sum())
    return Difference(
        interval=interval(estimate, confidence),
        lower=round(float(np.quantile(estimate.draws, 1.0 - confidence)), DIGITS),
        p_worse=(at_least + 1) / (len(estimate.draws) + 1),
        rows=rows,
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values of several tests so that one false alarm among all of them keeps its probability.

    Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure.
    """
    adjusted: dict[str, float] = {}
    reached = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        reached = max(reached, min(1.0, (len(p_values) - place) * p_values[name]))
        adjusted[name] = reached
    return adjusted
