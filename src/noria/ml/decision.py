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


class Decider:
    """Chooses classes by one cost matrix, prepared once: costs[true class][decision]; UsageError if it cannot be used.

    Taking a constant from a line of it changes no choice. With equal costs that leaves minus a multiple of the
    identity, so that the choice is the likeliest class, and no rounding can break a tie another way.
    """

    def __init__(self, costs: Sequence[Sequence[float]], classes: int) -> None:
        matrix = cost_matrix(costs, classes)
        self._relative = matrix - matrix.max(axis=1, keepdims=True)
        self._takes_likeliest = bool((self._relative == self._relative.min() * np.eye(classes)).all())

    def choose(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """Choose for each row of (rows, classes) the class of minimal expected cost; ties go to the lower index.

        Elkan (2001), The Foundations of Cost-Sensitive Learning: argmin over d of sum over t of p(t) * costs[t][d].
        """
        if self._takes_likeliest:
            likeliest: NDArray[np.int64] = probabilities.argmax(axis=1)
            return likeliest
        cheapest: NDArray[np.int64] = (probabilities.astype(np.float64) @ self._relative).argmin(axis=1)
        return cheapest


def decide(probabilities: NDArray[np.floating], costs: Sequence[Sequence[float]]) -> NDArray[np.int64]:
    """Choose once, as a Decider does."""
    return Decider(costs, probabilities.shape[1]).choose(probabilities)
