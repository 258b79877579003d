"""Contenders: the models that are measured on the same rows, and what their probabilities must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noria.errors import EvidenceError
from noria.ml.decision import decide
from noria.ml.metrics import confidence_bins, row_log_losses

SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A model's probabilities (rows, classes) and, for each row, what came of them."""

    name: str
    probabilities: NDArray[np.floating]
    decisions: NDArray[np.int64]
    right: NDArray[np.bool_]
    costs: NDArray[np.float64]
    log_losses: NDArray[np.float64]
    bins: NDArray[np.int64]  # of confidence, for calibration
    gaps: NDArray[np.float64]  # most probable class is the truth (1 or 0), minus its probability


def check_contenders(
    probabilities: Mapping[str, NDArray[np.floating]],
    *,
    champion: str,
    labels: NDArray[np.int64],
    costs: NDArray[np.float64],
) -> dict[str, Contender]:
    """Check who takes part and that all gave probabilities for these rows; EvidenceError names who did not."""
    expected = {"candidate", "rule", "no-skill"} | ({"champion"} if champion else set())
    if set(probabilities) != expected:
        raise EvidenceError(
            f"there are probabilities of {', '.join(sorted(probabilities)) or 'nobody'}: expected "
            f"{', '.join(sorted(expected))}; the champion is {champion or 'nobody'}"
        )
    shape = (len(labels), len(costs))
    for name, given in probabilities.items():
        check_probabilities(name, given, shape)
    return {name: _contender(name, probabilities[name], labels, costs) for name in sorted(probabilities)}


def check_probabilities(name: str, given: NDArray[np.floating], shape: tuple[int, int]) -> None:
    """Raise EvidenceError unless each row is finite, not negative, and sums to 1 within 1e-3."""
    if given.shape != shape:
        raise EvidenceError(
            f"the {name} gave probabilities of shape {list(given.shape)}: expected {list(shape)}, a row for each label"
        )
    finite = np.isfinite(given).all(axis=1)
    # numpy's comparisons with NaN are False without a warning; a row that is not finite is counted once, above
    negative = finite & (given < 0).any(axis=1)
    sums = np.where(finite, np.where(np.isfinite(given), given, 0.0).sum(axis=1, dtype=np.float64), 1.0)
    uneven = finite & ~negative & (np.abs(sums - 1.0) > SUM_TOLERANCE)
    for bad, what in ((~finite, "not finite"), (negative, "negative"), (uneven, "not of sum 1")):
        if bad.any():
            raise EvidenceError(
                f"the {name} gave probabilities that are {what} in {int(bad.sum())} of {shape[0]} rows (first: row "
                f"{int(bad.argmax())}): expected finite numbers from 0 to 1 that sum to 1; it cannot be measured"
            )


def _contender(
    name: str, probabilities: NDArray[np.floating], labels: NDArray[np.int64], costs: NDArray[np.float64]
) -> Contender:
    decisions = decide(probabilities, costs.tolist())
    confidences = probabilities.max(axis=1).astype(np.float64)
    return Contender(
        name=name,
        probabilities=probabilities,
        decisions=decisions,
        right=decisions == labels,
        costs=costs[labels, decisions],
        log_losses=row_log_losses(probabilities, labels),
        bins=confidence_bins(confidences),
        gaps=(probabilities.argmax(axis=1) == labels) - confidences,
    )
