"""Seasons: how the rows and their classes change with the hour, the weekday and the month, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOURS = tuple(f"{hour:02d}" for hour in range(24))
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, kw_only=True)
class Season:
    """`rows` of each part, and `classes` of it: the labelled rows of each class, (parts, classes)."""

    name: str
    parts: tuple[str, ...]
    rows: tuple[int, ...]
    classes: tuple[tuple[int, ...], ...]


def find_seasons(times: NDArray[Any], labels: NDArray[np.int64], classes: int) -> tuple[Season, ...]:
    """Count by hour, weekday and calendar month; a missing time counts nowhere, a label outside the classes as none."""
    known = ~np.isnat(times)
    at, owners = times[known], labels[known]
    days, months = at.astype("datetime64[D]"), at.astype("datetime64[M]")
    hours = (at - days).astype("timedelta64[h]").astype(np.int64)
    weekdays = (days.astype(np.int64) + 3) % 7  # the epoch began on a Thursday
    first = months.min() if len(months) else np.datetime64("1970-01", "M")
    names = tuple(str(first + month) for month in range(int((months - first).astype(np.int64).max(initial=-1)) + 1))
    return (
        _season("hour", HOURS, hours, owners, classes),
        _season("weekday", WEEKDAYS, weekdays, owners, classes),
        _season("month", names, (months - first).astype(np.int64), owners, classes),
    )


def _season(
    name: str, parts: tuple[str, ...], places: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> Season:
    labelled = (labels >= 0) & (labels < classes)
    counts = np.bincount(places[labelled] * classes + labels[labelled], minlength=len(parts) * classes)
    return Season(
        name=name,
        parts=parts,
        rows=tuple(np.bincount(places, minlength=len(parts)).tolist()),
        classes=tuple(map(tuple, counts.reshape(len(parts), classes).tolist())),
    )
