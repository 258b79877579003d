"""Decision: turn probabilities into the class whose expected cost is lowest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from noria.errors import UsageError


def cost_matrix(costs: Sequence[Sequence[float]], classes: int) -> NDArray[np.float64]:
    """Check `costs[truth][decision]`: (classes, classes), finite, not negative, 0 on the diagonal, else UsageError."""
    widths = sorted({len(line) for line in costs})
    if len(costs) != classes or widths != [classes]:
        raise UsageError(
            f"the cost matrix has {len(costs)} lines of {widths} costs: expected {classes} lines of {classes}, one "
            "line for each true class, with one cost for each decision"
        )
    matrix = np.asarray(costs, dtype=np.float64)
    if not np.isfinite(matrix).all() or (matrix < 0).any() or np.diagonal(matrix).any() or not matrix.any():
        raise UsageError(
            f"the cost matrix {costs} cannot be used: costs must be finite, at least 0, 0 where the decision is right, "
            "and above 0 for at least one error"
        )
    return matrix


def relative_costs(costs: Sequence[Sequence[float]], classes: int) -> NDArray[np.float64]:
    """Prepare a cost matrix for `choose`: shape (classes, classes), with what no choice depends on taken away.

    Taking a constant from a line changes no choice. With equal costs it leaves minus the identity, so that the expected
    cost is exactly -p and rounding cannot break a tie another way than argmax does.
    """
    matrix = cost_matrix(costs, classes)
    relative: NDArray[np.float64] = matrix - matrix.max(axis=1, keepdims=True)
    return relative


def choose(probabilities: NDArray[np.floating], relative: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose for each row of (rows, classes) the class of minimal expected cost; ties go to the lower index.

    Elkan (2001), The Foundations of Cost-Sensitive Learning: argmin over d of sum over t of p(t) * costs[t][d].
    """
    chosen: NDArray[np.int64] = (probabilities.astype(np.float64) @ relative).argmin(axis=1).astype(np.int64)
    return chosen


def decide(probabilities: NDArray[np.floating], costs: Sequence[Sequence[float]]) -> NDArray[np.int64]:
    """Choose as `choose` does, with costs[true class][decision]; UsageError for costs that cannot be used."""
    return choose(probabilities, relative_costs(costs, probabilities.shape[1]))
