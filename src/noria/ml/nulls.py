"""Nulls: which rows of a column have no value, and which have one that is no number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Nulls = Mapping[str, Mask]  # column name -> rows without a value, for the types that cannot say so themselves


def lay_flat(values: NDArray[Any]) -> NDArray[Any]:
    """View (rows, *shape) as (rows, elements of one value), for no rows as well."""
    return values.reshape(len(values), math.prod(values.shape[1:]))


def null_rows(values: NDArray[Any], stated: Mask | None = None) -> Mask:
    """Rows without a value: stated so, or all NaN, NaT or None."""
    missing = np.zeros(len(values), dtype=bool) if stated is None else stated.copy()
    laid = lay_flat(values)
    if values.dtype.kind == "f":
        missing |= np.isnan(laid).all(axis=1)
    elif values.dtype.kind == "M":
        missing |= np.isnat(laid).all(axis=1)
    elif values.dtype.kind == "O":
        none = np.fromiter((value is None for value in laid.ravel()), bool, laid.size)
        missing |= none.reshape(laid.shape).all(axis=1)
    return missing


def nonfinite_rows(values: NDArray[Any], missing: Mask) -> Mask:
    """Rows that have a value which is infinite, or NaN in a part of it."""
    if values.dtype.kind != "f":
        return np.zeros(len(values), dtype=bool)
    bad: Mask = ~missing & ~np.isfinite(lay_flat(values)).all(axis=1)
    return bad
