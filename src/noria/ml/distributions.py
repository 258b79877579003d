"""Distributions: where the values of a column lie, which of them lie far out, and how many are missing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.ml.measures import Measure
from noria.ml.nulls import Mask, null_rows

BINS = 24
SHARES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
REACH = 3.0  # of the distance between the quartiles: J. W. Tukey's "far out" (Exploratory Data Analysis, 1977)
MOST_CATEGORIES = 12


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One measure. `quantiles` are at SHARES, empty without a value.

    `counts` is a histogram in equal bins from `low` to `high`, which are the ends of the values, or the fences beyond
    which values are outliers: `under` and `over` count those. Where the quartiles are equal there are no fences.
    """

    name: str
    rows: int
    missing: int
    nonfinite: int
    mean: float | None
    deviation: float | None
    quantiles: tuple[float, ...]
    low: float | None
    high: float | None
    counts: tuple[int, ...]
    under: int
    over: int

    @property
    def outliers(self) -> int:
        return self.under + self.over


@dataclass(frozen=True, kw_only=True)
class Categories:
    """A column of texts: its most frequent values with their rows, and the rows of all `others`."""

    name: str
    rows: int
    missing: int
    distinct: int
    most: tuple[tuple[str, int], ...]
    others: int


def distribute(measure: Measure) -> Distribution:
    """Describe the values of a measure."""
    values = measure.values[~np.isnan(measure.values)]
    if not len(values):
        return _distribution(measure, mean=None, deviation=None, quantiles=(), low=None, high=None, counts=())
    quantiles = np.quantile(values, SHARES)
    least, lower, upper, most = quantiles[[0, 2, 4, 6]]
    reach = REACH * (upper - lower) if upper > lower else np.inf
    low, high = float(max(least, lower - reach)), float(min(most, upper + reach))
    inside = values[(values >= low) & (values <= high)]
    counts = np.histogram(inside, BINS, (low, high))[0] if high > low else np.array([len(inside)])
    return _distribution(
        measure, mean=float(values.mean()), deviation=float(values.std()), quantiles=tuple(quantiles.tolist()),
        low=low, high=high, counts=tuple(counts.tolist()),
        under=int((values < low).sum()), over=int((values > high).sum()),
    )  # fmt: skip


def _distribution(measure: Measure, **figures: Any) -> Distribution:
    known = {"under": 0, "over": 0} | figures
    return Distribution(
        name=measure.name, rows=len(measure.values), missing=measure.missing, nonfinite=measure.nonfinite, **known
    )


def categorize(name: str, values: NDArray[Any], stated: Mask | None = None) -> Categories:
    """Count the values of a column of texts, the most frequent first."""
    missing = null_rows(values, stated)
    counts = Counter(values[~missing].tolist())
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CATEGORIES]
    return Categories(
        name=name,
        rows=len(values),
        missing=int(missing.sum()),
        distinct=len(counts),
        most=tuple(most),
        others=counts.total() - sum(rows for _, rows in most),
    )
