"""Ranking: how well a model of two classes puts rows of the second before those of the first, and how surely.

Where that class is rare, accuracy says little: a model that never names it is right in nearly every row. Every figure
is taken on the rows as they are and on the draws of the bootstrap that the other figures come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noria.ml.bootstrap import Estimate, draw_weights, interval, unbias
from noria.ml.contenders import Contender
from noria.ml.metrics import BINS
from noria.ml.scores import Interval, RankingScores

FIGURES = ("auc", "average_precision", "log_loss", "ece")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some rows of one contender in the order of the probability of the second class, highest first."""

    order: NDArray[np.int64]  # places of the rows
    positive: NDArray[np.float64]  # 1 for a row of the second class, else 0
    ties: NDArray[np.int64]  # where each run of equal probabilities begins
    sums: NDArray[np.float64]  # (rows, 1 + BINS): log losses, and the gaps of calibration by bin

    @classmethod
    def of(cls, contender: Contender, labels: NDArray[np.int64], rows: NDArray[np.int64]) -> Part:
        """Put the rows, given by their places, in order."""
        scores = contender.probabilities[rows, 1]
        down = np.argsort(-scores, kind="stable")
        order, scores = rows[down], scores[down]
        cells = contender.gaps[order, None] * (contender.bins[order, None] == np.arange(BINS))
        return cls(
            order=order,
            positive=(labels[order] == 1).astype(np.float64),
            ties=np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]]),
            sums=np.column_stack([contender.log_losses[order], cells]),
        )

    def measure(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """FIGURES by draw, (draws, 4), where row r counts weights[draw, r] times; NaN for a figure that there is not.

        AUC is the share of pairs of one row of each class in which that of the second has the higher probability, a
        tie counting as half a pair (Fawcett, 2006, An Introduction to ROC Analysis). Average precision is the mean of
        the precision at each threshold, weighted by the recall that it adds; rows that tie share their threshold.
        """
        taken = weights.take(self.order, axis=1).astype(np.float64)
        positives, everyone = self._by_threshold(taken * self.positive), self._by_threshold(taken)
        found, seen = positives.cumsum(axis=1), everyone.cumsum(axis=1)
        rows, wanted = seen[:, -1], found[:, -1]
        others = rows - wanted
        # Of each threshold, the rows of the first class below it, and half of those at it.
        beaten = others[:, None] - (seen - found) + (everyone - positives) / 2
        sums = taken @ self.sums
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = found / np.maximum(seen, 1.0)
            return np.column_stack(
                [
                    np.einsum("dt,dt->d", positives, beaten) / (wanted * others),
                    np.einsum("dt,dt->d", positives, precision) / wanted,
                    sums[:, 0] / rows,
                    np.abs(sums[:, 1:]).sum(axis=1) / rows,
                ]
            )

    def _by_threshold(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up (draws, rows) over the rows of equal probability."""
        return values if len(self.ties) == len(self.order) else np.add.reduceat(values, self.ties, axis=1)


def rank(
    contenders: Mapping[str, Contender],
    labels: NDArray[np.int64],
    parts: Mapping[str, NDArray[np.bool_]],
    *,
    draws: int,
    seed: int,
    confidence: float,
) -> dict[str, dict[str, RankingScores]]:
    """Measure contenders of two classes on each part of the rows: scores by contender and part."""
    places = {name: np.flatnonzero(mask) for name, mask in parts.items()}
    every = {
        (who, name): Part.of(contender, labels, rows)
        for who, contender in contenders.items()
        for name, rows in places.items()
    }
    drawn = {key: np.empty((draws, len(FIGURES))) for key in every}
    for start, weights in draw_weights(len(labels), draws, seed):
        for key, part in every.items():
            drawn[key][start : start + len(weights)] = part.measure(weights)
    found: dict[str, dict[str, RankingScores]] = {who: {} for who in contenders}
    for (who, name), part in every.items():
        whole = part.measure(np.ones((1, len(labels)), np.int64))[0]
        figures = {
            figure: _interval(figure, float(whole[at]), drawn[who, name][:, at], confidence)
            for at, figure in enumerate(FIGURES)
        }
        found[who][name] = RankingScores(rows=len(part.order), positives=int(part.positive.sum()), **figures)
    return found


def _interval(figure: str, value: float, draws: NDArray[np.float64], confidence: float) -> Interval | None:
    """The figure's interval over the draws in which there is one; None where the rows themselves have none."""
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(value) or not len(draws):
        return None
    return interval(unbias(value, draws) if figure == "ece" else Estimate(value=value, draws=draws), confidence)
