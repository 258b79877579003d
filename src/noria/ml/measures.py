"""Measures: the numbers that a column is looked at by, one a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.ml.nulls import Nulls, lay_flat, nonfinite_rows, null_rows
from noria.schema import Schema
from noria.task import Rows

CHUNK = 8192  # rows of an array column turned into float at a time


@dataclass(frozen=True, kw_only=True)
class Measure:
    """`values` of shape (rows,): NaN where the column has no value or one that is no finite number.

    A number is its own measure, named as its column; an array has two, the mean and the deviation of its elements.
    """

    name: str
    values: NDArray[np.float64]
    missing: int
    nonfinite: int


def measure(schema: Schema, rows: Rows, nulls: Nulls | None = None) -> tuple[Measure, ...]:
    """The measures of all features and context that are numbers and not personal, in the schema's order."""
    found: list[Measure] = []
    for column in schema.described:
        if column.type in ("string", "timestamp") or column.personal != "none":
            continue
        values = rows[column.name]
        missing = null_rows(values, (nulls or {}).get(column.name))
        odd = nonfinite_rows(values, missing)
        for name, numbers in _numbers(column.name, values).items():
            numbers[missing | odd] = np.nan
            found.append(Measure(name=name, values=numbers, missing=int(missing.sum()), nonfinite=int(odd.sum())))
    return tuple(found)


def _numbers(name: str, values: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    if values.ndim == 1:
        return {name: values.astype(np.float64)}
    means, deviations = np.empty(len(values)), np.empty(len(values))
    for at in range(0, len(values), CHUNK):
        part = lay_flat(values[at : at + CHUNK]).astype(np.float64)
        with np.errstate(invalid="ignore"):  # what is not finite is marked by whoever asked
            means[at : at + CHUNK], deviations[at : at + CHUNK] = part.mean(axis=1), part.std(axis=1)
    return {f"{name}: mean": means, f"{name}: deviation": deviations}
