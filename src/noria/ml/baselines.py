"""Baselines: the no-skill model, and the nearest class mean as a rule for things that can be laid out as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noria.errors import TrainingError

CHUNK = 4096  # rows turned into float at a time, so that memory does not grow with the rows
TEMPERATURES = np.geomspace(1e-3, 1e3, 61)  # multiples of the mean squared distance to the nearest mean

Numbers = NDArray[np.generic]


def no_skill(labels_train: NDArray[np.int64], rows: int, classes: int) -> NDArray[np.float64]:
    """Give each of `rows` rows the shares that the classes have among the training labels: (rows, classes)."""
    if len(labels_train) == 0:
        raise TrainingError("there are no training labels: a no-skill model needs at least one")
    shares = np.bincount(labels_train, minlength=classes) / len(labels_train)
    return np.tile(shares, (rows, 1))


@dataclass(frozen=True, kw_only=True)
class NearestMean:
    """Softmax over classes of minus the squared distance to the class mean, divided by the temperature."""

    means: NDArray[np.float64]  # (classes, features)
    temperature: float
    present: NDArray[np.bool_]  # a class without training rows gets probability 0

    def __call__(self, features: Numbers) -> NDArray[np.float64]:
        """Probabilities (rows, classes) for features (rows, d) of any numeric type."""
        parts = [
            _softmax(self._scores(features[start : start + CHUNK]) / self.temperature)
            for start in range(0, len(features), CHUNK)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.means)))

    def _scores(self, features: Numbers) -> NDArray[np.float64]:
        """Minus squared distance, up to a term that a row's classes share: 2 x·m - m·m, -inf for an absent class."""
        scores = 2.0 * (features.astype(np.float64) @ self.means.T) - (self.means**2).sum(axis=1)
        return np.where(self.present, scores, -np.inf)


def fit_nearest_mean(features: Numbers, labels: NDArray[np.int64], classes: int) -> NearestMean:
    """Fit class means on (rows, d) features and the temperature that gives the training rows the least log loss.

    Memory is constant in the rows; missing values have to be filled before. A mean has seen its own rows, so with few
    rows a class the temperature is a little too sure; the rule is a baseline, and this does it no harm in accuracy.
    """
    if len(features) == 0 or len(features) != len(labels):
        raise TrainingError(
            f"{len(features)} rows of features and {len(labels)} labels: expected as many, and one at least"
        )
    rows = np.bincount(labels, minlength=classes)
    sums = np.zeros((classes, features.shape[1]))
    for start in range(0, len(features), CHUNK):
        chosen = labels[start : start + CHUNK]
        members = (chosen == np.arange(classes)[:, None]).astype(np.float64)
        sums += members @ features[start : start + CHUNK].astype(np.float64)
    cold = NearestMean(means=sums / np.maximum(rows, 1)[:, None], temperature=1.0, present=rows > 0)
    return NearestMean(means=cold.means, present=cold.present, temperature=_fit_temperature(cold, features, labels))


def _fit_temperature(rule: NearestMean, features: Numbers, labels: NDArray[np.int64]) -> float:
    # Some thousand rows, spread evenly, settle one number.
    chosen = np.unique(np.linspace(0, len(features) - 1, CHUNK).astype(np.int64))
    scores = rule._scores(features[chosen])
    lengths = (features[chosen].astype(np.float64) ** 2).sum(axis=1)
    scale = float((lengths - scores.max(axis=1)).mean()) or 1.0
    scores = scores[:, rule.present]
    truth = (np.cumsum(rule.present) - 1)[labels[chosen]]
    losses = []
    for temperature in scale * TEMPERATURES:
        given = _softmax(scores / temperature)[np.arange(len(truth)), truth]
        losses.append(-np.log(np.maximum(given, 1e-12)).mean())
    return float(scale * TEMPERATURES[int(np.argmin(losses))])


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return shares
