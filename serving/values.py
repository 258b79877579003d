"""Values: what the schema lets stand in an array of one column, beyond its type and shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.schema import Column
from serving.refusal import RequestError, show


class ValueRule:
    """The range of one column, and whether a value may be missing.

    A float column whose schema allows missing values (`maximum_null_share` above 0) takes NaN for a value that is
    missing as a whole; infinity, and NaN in a part of a value, are no numbers in any column.

    A text column with choices takes these and no others. Where its schema allows missing values it takes any text, and
    the model takes one that it does not know for missing, as it does "" and JSON's null, which becomes "". So may a
    key be missing where its schema says so.
    """

    def __init__(self, column: Column) -> None:
        self._column = column
        self._is_float = column.dtype.kind == "f"
        self._choices = frozenset(column.choices)
        has_missing = self._is_float or bool(self._choices) or (column.role == "key" and column.type == "string")
        self.allows_missing = has_missing and column.maximum_null_share > 0
        self._is_text = bool(self._choices) or (self.allows_missing and not self._is_float)
        self._low, self._high = _bounds(column)
        self._is_free = not (self._is_float or self._is_text) and self._low is None and self._high is None

    def check(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array (rows, *shape) itself, or raise RequestError with the first value that must not stand.

        A missing text becomes "" in it.
        """
        if self._is_free:
            return array
        if self._is_text:
            return self._check_texts(array)
        if self._is_float and not np.isfinite(array).all():
            self._check_missing(array)
        if self._low is not None and np.fmin.reduce(array, axis=None) < self._low:
            raise self._refuse(array, array < self._low)
        if self._high is not None and np.fmax.reduce(array, axis=None) > self._high:
            raise self._refuse(array, array > self._high)
        return array

    def _check_texts(self, array: NDArray[Any]) -> NDArray[Any]:
        flat = array.ravel().tolist()
        if not self.allows_missing:
            if not self._choices.issuperset(flat):
                raise self._refuse(array, _mark(array, [text not in self._choices for text in flat]))
        elif None in flat:
            gaps = _mark(array, [text is None for text in flat])
            parts = gaps.reshape(len(array), -1)
            if (parts.any(axis=1) & ~parts.all(axis=1)).any():
                raise self._refuse(array, gaps)
            array[gaps] = ""
        return array

    def _check_missing(self, array: NDArray[Any]) -> None:
        bad = ~np.isfinite(array)
        if self.allows_missing:
            missing = np.isnan(array).reshape(len(array), -1).all(axis=1)
            bad[missing] = False
        if bad.any():
            raise self._refuse(array, bad)

    def _refuse(self, array: NDArray[Any], bad: NDArray[np.bool_]) -> RequestError:
        """Name the first bad value and its place; a value that is no number may have been too large for the type."""
        place = int(np.flatnonzero(bad.ravel())[0])
        index = [int(axis) for axis in np.unravel_index(place, array.shape)]
        low, high = ("any" if bound is None else str(bound.item()) for bound in (self._low, self._high))
        expected = (
            f"{self._column.type} numbers" if low == high == "any" else f"{low} to {high} {self._column.unit}".strip()
        )
        if self._choices:
            expected = f"one of {show(list(self._column.choices))}"
        if self.allows_missing:
            word = "null" if self._choices else "NaN (null in JSON)"
            expected += f", or {word} for a value that is missing as a whole"
        elif self._is_float:
            expected += ", none of them NaN or infinite"
        (found,) = array.ravel()[place : place + 1].tolist()
        told = show(found) if isinstance(found, str) else found
        return RequestError(f"data of {self._column.name!r} has {told} at {index}: expected {expected}")


def _mark(array: NDArray[Any], found: list[bool]) -> NDArray[np.bool_]:
    """Which places of the array were found, in its flat order, as a mask of its shape."""
    return np.array(found, np.bool_).reshape(array.shape)


def _bounds(column: Column) -> tuple[Any, Any]:
    """The bounds as numbers of the column's own type, so that 0.1 is not below 0.1; None where the type holds them."""
    kind = column.dtype.kind
    if kind not in "uif":
        return None, None
    if kind == "f":
        with np.errstate(over="ignore"):
            low, high = (
                None if bound is None else column.dtype.type(bound) for bound in (column.minimum, column.maximum)
            )
        return low, high
    limits = np.iinfo(column.dtype)
    low = None if column.minimum is None or column.minimum <= limits.min else _clip(column, column.minimum, up=True)
    high = None if column.maximum is None or column.maximum >= limits.max else _clip(column, column.maximum, up=False)
    return low, high


def _clip(column: Column, bound: float, *, up: bool) -> Any:
    whole = int(np.ceil(bound)) if up else int(np.floor(bound))
    limits = np.iinfo(column.dtype)
    return column.dtype.type(min(max(whole, limits.min), limits.max))
