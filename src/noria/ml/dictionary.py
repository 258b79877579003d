"""Dictionary: every column as the schema declares it and as the data show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import DatasetError
from noria.ml.nulls import Mask, Nulls, null_rows
from noria.schema import Column, ColumnType, PersonalClass, Role, Schema
from noria.task import Rows

DISTINCT_ROWS = 1_000_000  # beyond them, distinct values are not counted


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """One line of the data dictionary.

    `minimum` and `maximum` are declared, `observed_minimum` and `observed_maximum` were seen (a timestamp as ISO text);
    both of the latter are None where there is no value, no order, or a personal column. `distinct` is None for arrays
    and where there are too many rows to count.
    """

    name: str
    type: ColumnType
    shape: tuple[int, ...]
    unit: str
    description: str
    role: Role
    personal: PersonalClass
    owner: str
    rows: int
    null_share: float
    maximum_null_share: float
    minimum: float | None
    maximum: float | None
    observed_minimum: float | str | None
    observed_maximum: float | str | None
    distinct: int | None


def dictionary(schema: Schema, rows: Rows, nulls: Nulls | None = None) -> tuple[ColumnFacts, ...]:
    """Describe each column of the schema, in its order; DatasetError where the rows lack one."""
    absent = [column.name for column in schema.columns if column.name not in rows]
    if absent:
        raise DatasetError(f"the rows lack {', '.join(absent)}: expected every column of the schema")
    return tuple(_describe(column, rows[column.name], (nulls or {}).get(column.name)) for column in schema.columns)


def _describe(column: Column, values: NDArray[Any], stated: Mask | None) -> ColumnFacts:
    missing = null_rows(values, stated)
    there = values[~missing] if missing.any() else values
    low, high = (None, None) if column.personal != "none" else _bounds(there)
    return ColumnFacts(
        name=column.name,
        type=column.type,
        shape=column.shape,
        unit=column.unit,
        description=column.description,
        role=column.role,
        personal=column.personal,
        owner=column.owner,
        rows=len(values),
        null_share=float(missing.mean()) if len(values) else 0.0,
        maximum_null_share=column.maximum_null_share,
        minimum=column.minimum,
        maximum=column.maximum,
        observed_minimum=low,
        observed_maximum=high,
        distinct=_count_distinct(there),
    )


def _bounds(values: NDArray[Any]) -> tuple[float | str | None, float | str | None]:
    if values.dtype.kind == "M" and values.size:
        return str(values.min()), str(values.max())
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.dtype.kind not in "uifb" or not values.size:
        return None, None
    return float(values.min()), float(values.max())


def _count_distinct(values: NDArray[Any]) -> int | None:
    if values.ndim > 1 or len(values) > DISTINCT_ROWS:
        return None
    return len(set(values.tolist())) if values.dtype.kind == "O" else len(np.unique(values))
