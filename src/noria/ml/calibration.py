"""Calibration: one temperature that makes a network's confidence agree with how often it is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import TrainingError

LOWEST, HIGHEST = 0.05, 20.0  # outside of these the logits say nothing that a temperature could mend
STEPS = 60  # halvings of an interval of 400 to below the spacing of floats


def fit_temperature(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Find the temperature T in [0.05, 20] for which softmax(logits / T) has the least log loss on the labels.

    `logits` has shape (rows, classes), `labels` the index of the true class by row. The loss is convex in 1 / T
    (Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599), so halving the interval
    by the sign of its slope finds the one minimum, and the same bits every time.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or len(logits) != len(labels) or len(labels) == 0:
        raise TrainingError(
            f"logits have shape {logits.shape} and there are {len(labels)} labels: expected one row of logits a label, "
            "and at least one"
        )
    if not np.isfinite(logits).all():
        raise TrainingError("some logits are not finite numbers: train again with a lower learning_rate")
    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _slope(middle, logits, labels) > 0:
            high = middle
        else:
            low = middle
    return float(2 / (low + high))


def _slope(inverse: float, logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The derivative of the mean log loss by 1 / T: expected logit under the model minus the true class's logit."""
    scaled = inverse * (logits - logits.max(axis=1, keepdims=True))
    weights = np.exp(scaled)
    expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)
    return float(np.mean(expected - logits[np.arange(len(labels)), labels]))
