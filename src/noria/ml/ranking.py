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
    """Some rows of one contender in the order of the probability of the second class, highest first.

    A threshold is a run of equal probabilities. AUC and average precision are sums over the rows of the second class
    alone, which are few: beyond one running count of all rows, a draw costs no more than these.
    """

    order: NDArray[np.int64]  # places of the rows
    positive: NDArray[np.int64]  # where in the order the rows of the second class stand
    upto: NDArray[np.int64]  # of each of these, how many rows stand at its threshold or above it
    above: NDArray[np.int64]  # how many of them above it
    found_upto: NDArray[np.int64]  # the same among the rows of the second class
    found_above: NDArray[np.int64]
    log_losses: NDArray[np.float64]  # of all rows, in their order, as the gaps
    gaps: NDArray[np.float64]
    stretches: NDArray[np.int64]  # where a stretch of rows of one bin begins: bins follow the probabilities
    of_bin: NDArray[np.float64]  # (stretches, BINS): 1 for a stretch's bin, else 0

    @classmethod
    def of(cls, contender: Contender, labels: NDArray[np.int64], rows: NDArray[np.int64]) -> Part:
        """Put the rows, given by their places, in order."""
        scores = contender.probabilities[rows, 1]
        down = np.argsort(-scores, kind="stable")
        order, scores = rows[down], scores[down]
        positive = np.flatnonzero(labels[order] == 1)
        begins = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])
        run = np.searchsorted(begins, positive, side="right") - 1
        above, upto = begins[run], np.r_[begins[1:], len(order)][run]
        bins = contender.bins[order]
        stretches = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])
        return cls(
            order=order,
            positive=positive,
            upto=upto,
            above=above,
            found_upto=np.searchsorted(positive, upto),
            found_above=np.searchsorted(positive, above),
            log_losses=contender.log_losses[order],
            gaps=contender.gaps[order],
            stretches=stretches,
            of_bin=(bins[stretches, None] == np.arange(BINS)).astype(np.float64),
        )

    def measure(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """FIGURES by draw, (draws, 4), where row r counts weights[draw, r] times; NaN for a figure that there is not.

        AUC is the share of pairs of one row of each class in which that of the second has the higher probability, a
        tie counting as half a pair (Fawcett, 2006, An Introduction to ROC Analysis). Average precision is the mean of
        the precision at each threshold, weighted by the recall that it adds; rows that tie share their threshold.
        """
        taken = weights.take(self.order, axis=1)
        mine = taken.take(self.positive, axis=1)
        seen, found = _running(taken), _running(mine)
        rows, wanted = seen[:, -1].astype(np.float64), found[:, -1].astype(np.float64)
        others = rows - wanted
        upto, found_upto = seen.take(self.upto, axis=1), found.take(self.found_upto, axis=1)
        # Of the rows of the first class: those above the threshold and at it, and those above it alone.
        first = upto - found_upto + (seen.take(self.above, axis=1) - found.take(self.found_above, axis=1))
        # Many small matrix products would keep BLAS' threads waiting for each other; the last one is tiny.
        losses = np.einsum("dr,r->d", taken, self.log_losses)
        gaps = np.add.reduceat(taken * self.gaps, self.stretches, axis=1) @ self.of_bin
        with np.errstate(invalid="ignore", divide="ignore"):
            beaten = wanted * others - np.einsum("dp,dp->d", mine, first, dtype=np.float64) / 2
            precision = found_upto / np.maximum(upto, 1)
            return np.column_stack(
                [
                    beaten / (wanted * others),
                    np.einsum("dp,dp->d", mine, precision) / wanted,
                    losses / rows,
                    np.abs(gaps).sum(axis=1) / rows,
                ]
            )


def _running(counts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Running sums (draws, rows + 1) of counts (draws, rows), from 0 on."""
    sums = np.zeros((len(counts), counts.shape[1] + 1), np.int32)
    np.cumsum(counts, axis=1, out=sums[:, 1:])
    return sums


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
    for start, drawn_weights in draw_weights(len(labels), draws, seed):
        weights = drawn_weights.astype(np.int32)  # half the memory to walk through
        for key, part in every.items():
            drawn[key][start : start + len(weights)] = part.measure(weights)
    found: dict[str, dict[str, RankingScores]] = {who: {} for who in contenders}
    for (who, name), part in every.items():
        whole = part.measure(np.ones((1, len(labels)), np.int32))[0]
        figures = {
            figure: _interval(figure, float(whole[at]), drawn[who, name][:, at], confidence)
            for at, figure in enumerate(FIGURES)
        }
        found[who][name] = RankingScores(rows=len(part.order), positives=len(part.positive), **figures)
    return found


def _interval(figure: str, value: float, draws: NDArray[np.float64], confidence: float) -> Interval | None:
    """The figure's interval over the draws in which there is one; None where the rows themselves have none."""
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(value) or not len(draws):
        return None
    return interval(unbias(value, draws) if figure == "ece" else Estimate(value=value, draws=draws), confidence)
