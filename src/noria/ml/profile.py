"""Profile: describe a window of data in numbers that can be added up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.errors import DatasetError
from noria.ml.nulls import Nulls, lay_flat, nonfinite_rows, null_rows
from noria.ml.series import Series, count_numbers, count_strings
from noria.schema import Column, Schema
from noria.task import Rows

CHUNK = 8192  # rows of an array column turned into float at a time
CONFIDENCE_BINS = 20


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column in counts: nulls, values that are no finite number, and the series that describe the rest.

    A number has the series "value"; an array has "mean", "std" and "zeros" (the share of them), each over its elements.
    A personal column, an id and a time have no series: only how many rows there are.
    """

    name: str
    rows: int
    nulls: int
    nonfinite: int
    series: tuple[Series, ...]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A window of data and of the predictions on it; `labels` and `predictions` count rows by class.

    `start` and `end` are the first and last event time as ISO text in UTC, "" where there is none or it is personal.
    """

    version: int = 1
    rows: int
    start: str
    end: str
    columns: tuple[ColumnProfile, ...]
    labels: tuple[int, ...]
    unlabelled: int  # rows without a label, or with one that names no class
    predictions: tuple[int, ...]
    unpredicted: int  # rows whose probabilities are not finite
    confidence: Series


def describe(schema: Schema, rows: Rows, probabilities: NDArray[np.floating], nulls: Nulls | None = None) -> Profile:
    """Describe rows and the probabilities (rows, classes) given for them.

    A column that is no feature may be absent, as the label is in what a server logs: all its rows count as null.
    Raises DatasetError where a feature is absent or lengths differ. Describing no rows gives the identity of `merge`.
    """
    count, classes = probabilities.shape
    for column in schema.features:
        if column.name not in rows:
            raise DatasetError(
                f"the rows lack the feature {column.name!r}: a profile needs every feature of the schema"
            )
    for name, values in rows.items():
        if len(values) != count:
            raise DatasetError(f"column {name!r} has {len(values)} rows, the probabilities {count}: expected as many")
    stated = nulls or {}
    labels, unlabelled = _count_labels(schema.label, rows, stated, count, classes)
    finite = np.isfinite(probabilities).all(axis=1)
    known = probabilities[finite].astype(np.float64)
    start, end = _span(schema.time, rows)
    return Profile(
        rows=count,
        start=start,
        end=end,
        columns=tuple(_describe_column(column, rows, stated, count) for column in schema.columns),
        labels=labels,
        unlabelled=unlabelled,
        predictions=tuple(np.bincount(known.argmax(axis=1), minlength=classes).tolist()),
        unpredicted=int((~finite).sum()),
        confidence=count_numbers("confidence", known.max(axis=1, initial=0.0), 0.0, 1.0, CONFIDENCE_BINS),
    )


def merge(first: Profile, second: Profile) -> Profile:
    """The profile of both windows together, exactly: the order of merging makes no difference to any number."""
    _check_alike(first, second)
    return Profile(
        rows=first.rows + second.rows,
        start=_of_both(first.start, second.start, min),
        end=_of_both(first.end, second.end, max),
        columns=tuple(map(_merge_columns, first.columns, second.columns)),
        labels=tuple(map(sum, zip(first.labels, second.labels, strict=True))),
        unlabelled=first.unlabelled + second.unlabelled,
        predictions=tuple(map(sum, zip(first.predictions, second.predictions, strict=True))),
        unpredicted=first.unpredicted + second.unpredicted,
        confidence=first.confidence + second.confidence,
    )


def encode(profile: Profile) -> bytes:
    """JSON, the same bytes for equal profiles."""
    return msgspec.json.encode(profile, order="deterministic")


def decode(data: bytes) -> Profile:
    """Read what `encode` wrote; DatasetError where it is something else."""
    try:
        return msgspec.json.decode(data, type=Profile, strict=True)
    except msgspec.DecodeError as error:
        raise DatasetError(f"this is no profile ({error}): expected JSON as profile.encode writes it") from error


def _check_alike(first: Profile, second: Profile) -> None:
    shapes = [
        ([column.name for column in profile.columns], len(profile.labels), len(profile.predictions), profile.version)
        for profile in (first, second)
    ]
    if shapes[0] != shapes[1]:
        raise DatasetError(
            f"the profiles describe {shapes[0]} and {shapes[1]}: expected columns and classes to be the same"
        )


def _merge_columns(first: ColumnProfile, second: ColumnProfile) -> ColumnProfile:
    if len(first.series) != len(second.series):
        raise DatasetError(f"column {first.name!r} is described in two ways: expected profiles of one schema")
    return ColumnProfile(
        name=first.name,
        rows=first.rows + second.rows,
        nulls=first.nulls + second.nulls,
        nonfinite=first.nonfinite + second.nonfinite,
        series=tuple(ours + theirs for ours, theirs in zip(first.series, second.series, strict=True)),
    )


def _of_both(first: str, second: str, choose: Callable[[str, str], str]) -> str:
    return choose(first, second) if first and second else first or second


def _span(column: Column, rows: Rows) -> tuple[str, str]:
    if column.name not in rows or column.personal != "none":
        return "", ""
    times = rows[column.name].astype("datetime64[us]")
    times = times[~np.isnat(times)]
    # microseconds are always printed, so that the order of the texts is the order of the times
    return (f"{times.min()}Z", f"{times.max()}Z") if len(times) else ("", "")


def _count_labels(column: Column, rows: Rows, stated: Nulls, count: int, classes: int) -> tuple[tuple[int, ...], int]:
    labels = rows.get(column.name, np.empty(0, dtype=np.int64))
    known = labels[~null_rows(labels, stated.get(column.name))]
    known = known[(known >= 0) & (known < classes)].astype(np.int64)
    return tuple(np.bincount(known, minlength=classes).tolist()), count - len(known)


def _describe_column(column: Column, rows: Rows, stated: Nulls, count: int) -> ColumnProfile:
    if column.name not in rows:
        empty = np.empty((0, *column.shape), dtype=column.dtype)
        return ColumnProfile(name=column.name, rows=count, nulls=count, nonfinite=0, series=_series(column, empty))
    values = rows[column.name]
    missing = null_rows(values, stated.get(column.name))
    if column.choices:  # a dataset's missing text is None, and a request's is empty
        missing |= (lay_flat(values) == "").all(axis=1)
    bad = nonfinite_rows(values, missing)
    dropped = missing | bad
    return ColumnProfile(
        name=column.name,
        rows=count,
        nulls=int(missing.sum()),
        nonfinite=int(bad.sum()),
        series=_series(column, values[~dropped] if dropped.any() else values),
    )


def _series(column: Column, values: NDArray[Any]) -> tuple[Series, ...]:
    if column.personal != "none" or column.role not in {"feature", "context", "group"} or column.type == "timestamp":
        return ()
    if column.type == "string":
        return (count_strings("value", values.ravel()),)
    low, high = (0.0, 1.0) if column.type == "bool" else (column.minimum, column.maximum)
    if not column.shape:
        return (count_numbers("value", values, low, high),)
    means, deviations, zeros = _summarise(lay_flat(values))
    widest = None if low is None or high is None else (high - low) / 2.0
    return (
        count_numbers("mean", means, low, high),
        count_numbers("std", deviations, 0.0, widest),
        count_numbers("zeros", zeros, 0.0, 1.0),
    )


def _summarise(values: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
    """Mean, standard deviation and share of zeros of each row of (rows, elements)."""
    found = np.empty((3, len(values)))
    for start in range(0, len(values), CHUNK):
        block = np.ascontiguousarray(values[start : start + CHUNK], dtype=np.float64)
        part = found[:, start : start + len(block)]
        part[0] = block.mean(axis=1)
        part[1] = block.std(axis=1)
        part[2] = (block == 0.0).mean(axis=1)
    return found[0], found[1], found[2]
