"""Correlations: which measures rise together, and which of them tell the classes apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noria.ml.measures import Measure

CHUNK = 65_536  # rows multiplied at a time
FEWEST = 3  # rows; below them a correlation says nothing


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two measures and the correlation of their ranks, -1 to 1, over the `rows` that have both."""

    first: str
    second: str
    value: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Ties:
    """A measure and the share of its ranks' variance that lies between the classes, 0 to 1 (the correlation ratio)."""

    name: str
    value: float
    rows: int


def correlate(measures: Sequence[Measure]) -> tuple[Pair, ...]:
    """Spearman's correlation of every two measures, the strongest first.

    A measure is ranked once, among its own values; a pair is then correlated over the rows that have both. A pair that
    has too few rows, or one value only, is left out.
    """
    if len(measures) < 2:
        return ()
    ranks = np.stack([rank(each.values) for each in measures], axis=1)
    sums = np.zeros((4, len(measures), len(measures)))
    for at in range(0, len(ranks), CHUNK):
        there = ~np.isnan(ranks[at : at + CHUNK])
        values = np.where(there, ranks[at : at + CHUNK] - 0.5, 0.0)
        mask = there.astype(np.float64)
        sums += np.stack([mask.T @ mask, values.T @ mask, (values * values).T @ mask, values.T @ values])
    rows, first, squares, products = sums
    varied = rows * squares - first * first
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (rows * products - first * first.T) / np.sqrt(varied * varied.T)
    spread = varied > 1e-9 * rows * rows
    known = (rows >= FEWEST) & spread & spread.T
    pairs = [
        Pair(
            first=measures[i].name,
            second=measures[j].name,
            value=float(np.clip(values[i, j], -1, 1)),
            rows=int(rows[i, j]),
        )
        for i in range(len(measures))
        for j in range(i + 1, len(measures))
        if known[i, j]
    ]
    return tuple(sorted(pairs, key=lambda pair: (-abs(pair.value), pair.first, pair.second)))


def tie_to_classes(measures: Sequence[Measure], labels: NDArray[np.int64], classes: int) -> tuple[Ties, ...]:
    """How far each measure tells the classes apart, the furthest first; a label outside 0 to classes - 1 is none."""
    found = []
    for each in measures:
        there = ~np.isnan(each.values) & (labels >= 0) & (labels < classes)
        ranks, owners = rank(each.values[there]), labels[there]
        if len(ranks) < FEWEST or ranks.min() == ranks.max():
            continue
        counts = np.bincount(owners, minlength=classes)
        means = np.bincount(owners, ranks, minlength=classes) / np.maximum(counts, 1)
        between = float((counts * (means - ranks.mean()) ** 2).sum())
        share = between / float(((ranks - ranks.mean()) ** 2).sum())
        found.append(Ties(name=each.name, value=min(share, 1.0), rows=len(ranks)))
    return tuple(sorted(found, key=lambda ties: (-ties.value, ties.name)))


def rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ranks of the values as shares, 0 to 1, equal values sharing theirs; NaN stays NaN."""
    ranks = np.full(len(values), math.nan)
    there = ~np.isnan(values)
    _, where, counts = np.unique(values[there], return_inverse=True, return_counts=True)
    ranks[there] = (counts.cumsum() - counts / 2)[where] / max(int(there.sum()), 1)
    return ranks
