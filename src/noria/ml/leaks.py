"""Leaks: features that tell the label almost alone, as no honest feature does: the label in disguise, or stamped early.

Each feature is cut into bins on training rows; the share of each class in a bin is a score, and how well it ranks
held-out rows is the area under the ROC curve (T. Fawcett, "An introduction to ROC analysis", 2006), 0.5 by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.schema import Column
from noria.task import Rows

BINS = 256
ROWS_A_BIN = 50  # at least, so that its share of a class is not chance
MOST_ROWS = 50_000  # of training and of held-out rows, evenly drawn: an area is known to 0.01 from far fewer


def telling_features(
    rows: Rows,
    features: Sequence[Column],
    labels: NDArray[np.int64],
    *,
    training: NDArray[np.int64],
    holdout: NDArray[np.int64],
) -> Mapping[str, float]:
    """The area of each feature that is one value a row, the mean over the classes, each against all others.

    `training` and `holdout` are places of rows. Nothing is said where either lacks all classes but one.
    """
    fit, score = _thin(training), _thin(holdout)
    classes = np.intersect1d(labels[fit], labels[score])
    if len(classes) < 2 or len(np.unique(labels[score])) < 2:
        return {}
    found = {}
    for column in features:
        if column.shape:
            continue
        fitted, scored = _bins(rows[column.name][fit], rows[column.name][score])
        areas = [_area(fitted, labels[fit] == each, scored, labels[score] == each) for each in classes]
        found[column.name] = float(np.mean(areas))
    return found


def _thin(places: NDArray[np.int64]) -> NDArray[np.int64]:
    return places[:: max(1, -(-len(places) // MOST_ROWS))]


def _bins(fit: NDArray[Any], score: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bins of both: one a value where there are few, else by quantiles; a missing or unseen value has its own."""
    if fit.dtype.kind == "O":
        places = {value: place for place, value in enumerate(dict.fromkeys(fit.tolist()), start=1)}
        return tuple(np.array([places.get(value, 0) for value in each.tolist()], np.int64) for each in (fit, score))  # type: ignore[return-value]
    fit, score = (each.astype(np.float64) for each in (fit, score))
    there = fit[~np.isnan(fit)]
    values = np.unique(there)
    bins = max(2, min(BINS, len(there) // ROWS_A_BIN))
    edges = values if len(values) <= bins else np.unique(np.quantile(there, np.linspace(0, 1, bins + 1)[1:-1]))
    return tuple(np.where(np.isnan(each), 0, 1 + np.searchsorted(edges, each)) for each in (fit, score))  # type: ignore[return-value]


def _area(
    fit: NDArray[np.int64], fit_true: NDArray[np.bool_], score: NDArray[np.int64], score_true: NDArray[np.bool_]
) -> float:
    """The area that the share of true rows in each bin of `fit` reaches on `score`; equal shares count half."""
    size = int(max(fit.max(initial=0), score.max(initial=0))) + 1
    all_rows, true_rows = np.bincount(fit, minlength=size), np.bincount(fit, fit_true, minlength=size)
    # One row at the overall share in each bin, so that a bin of few rows says little.
    shares = (true_rows + fit_true.mean()) / (all_rows + 1)
    _, ranks = np.unique(shares, return_inverse=True)
    true = np.bincount(ranks[score[score_true]], minlength=size).astype(np.float64)
    false = np.bincount(ranks[score[~score_true]], minlength=size).astype(np.float64)
    below = np.cumsum(false) - false
    return float((true * (below + false / 2)).sum() / (true.sum() * false.sum()))
