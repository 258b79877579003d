"""Example: a value that a column allows, for whoever has to show one."""

from __future__ import annotations

import math
from typing import Any

from noria.schema import Column


def example_value(column: Column) -> bool | int | float | str:
    """One value within the column's bounds: the middle of two, or the one that is nearest to 0."""
    kind = column.dtype.kind
    if kind == "b":
        return False
    if column.type == "string":
        return column.choices[0] if column.choices else "text"
    low, high = column.minimum, column.maximum
    middle = 0.0
    if low is not None and high is not None:
        middle = low + (high - low) / 2
    elif low is not None:
        middle = max(low, 0.0)
    elif high is not None:
        middle = min(high, 0.0)
    if kind == "f":
        return middle
    whole = math.floor(middle)
    return whole if low is None or whole >= low else math.ceil(middle)


def example_row(column: Column) -> Any:
    """One row of the column: its example value, in nested lists of its shape."""
    row: Any = example_value(column)
    for length in reversed(column.shape):
        row = [row] * length
    return row
