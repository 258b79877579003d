"""Metrics: what one set of probabilities is worth on rows whose labels are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from noria.ml.scores import CalibrationBin

BINS = 15
# Probability 0 for what happened would make the mean infinite: one row costs at most -log(1e-7) = 16.1 nats.
CLIP = 1e-7

Probabilities = NDArray[np.floating]
Labels = NDArray[np.int64]


def row_log_losses(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Minus the log of the probability given to the truth, in nats, probabilities clipped at 1e-7: (rows,)."""
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses: NDArray[np.float64] = -np.log(np.clip(given, CLIP, 1.0))
    return losses


def confidence_bins(confidences: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each confidence: bin k of `bins` equal-width ones holds (k/bins, (k+1)/bins], as in Guo et al."""
    places: NDArray[np.int64] = np.ceil(confidences * bins).astype(np.int64) - 1
    return np.clip(places, 0, bins - 1)


def accuracy(probabilities: Probabilities, labels: Labels) -> float:
    """Share of rows whose most probable class is the truth."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Mean of `row_log_losses`."""
    return float(row_log_losses(probabilities, labels).mean())


def expected_calibration_error(probabilities: Probabilities, labels: Labels, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over equal-width bins of confidence, weighted by their rows.

    Naeini, Cooper, Hauskrecht (2015), Obtaining Well Calibrated Probabilities Using Bayesian Binning; Guo et al.
    (2017), On Calibration of Modern Neural Networks, equation 3. Confidence is the highest of the probabilities.
    """
    gaps = [cell.rows * abs(cell.accuracy - cell.confidence) for cell in calibration_bins(probabilities, labels, bins)]
    return sum(gaps) / len(labels)


def calibration_bins(probabilities: Probabilities, labels: Labels, bins: int = BINS) -> tuple[CalibrationBin, ...]:
    """The reliability diagram: mean confidence and accuracy of each bin, 0 in a bin without rows."""
    confidences = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    places = confidence_bins(confidences, bins)
    rows = np.bincount(places, minlength=bins)
    confidence, accurate = (
        np.bincount(places, weights=values, minlength=bins) / np.maximum(rows, 1) for values in (confidences, right)
    )
    return tuple(
        CalibrationBin(
            low=place / bins,
            high=(place + 1) / bins,
            rows=int(rows[place]),
            confidence=float(confidence[place]),
            accuracy=float(accurate[place]),
        )
        for place in range(bins)
    )


def confusion(decisions: Labels, labels: Labels, classes: int) -> tuple[tuple[int, ...], ...]:
    """Rows counted by truth and decision: confusion[truth][decision]."""
    counts = np.bincount(labels * classes + decisions, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(int(count) for count in line) for line in counts)
