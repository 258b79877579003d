"""As of: what the answer has to be, found by looking at every feature row for every label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pandas as pd

Row = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Some features of one view, in the names of its file."""

    rows: pd.DataFrame
    keys: Mapping[str, str]  # the label's column: the file's
    features: Mapping[str, str]  # the name in the answer: the file's
    ttl: timedelta | None = None
    created: str | None = "created"
    time: str = "event_timestamp"


def answers(labels: pd.DataFrame, views: Sequence[Wanted], *, only_known: bool = False) -> list[Row]:
    """The labels' columns and after them the features, row for row."""
    return [
        tuple(plain(label[name]) for name in labels.columns)
        + tuple(value for view in views for value in _visible(label, view, only_known=only_known))
        for label in labels.to_dict("records")
    ]


def _visible(label: Mapping[str, Any], view: Wanted, *, only_known: bool) -> list[Any]:
    best: tuple[Any, ...] | None = None
    found = [None] * len(view.features)
    at = plain(label["event_timestamp"])
    for position, row in enumerate(view.rows.to_dict("records")):
        time = plain(row[view.time])
        created = plain(row[view.created]) if view.created else None
        same = all(
            plain(label[ours]) is not None and plain(label[ours]) == plain(row[theirs])
            for ours, theirs in view.keys.items()
        )
        if not same or at is None or time is None or time > at:
            continue
        if view.ttl and time < at - view.ttl // timedelta(microseconds=1) * 1_000:
            continue
        if only_known and view.created and (created is None or created > at):
            continue
        rank = (time, created is not None, created or 0, position)
        if best is None or rank > best:
            best, found = rank, [plain(row[column]) for column in view.features.values()]
    return found


def rows_of(frame: pd.DataFrame, names: Sequence[str]) -> list[Row]:
    """The frame's columns as plain rows."""
    return [tuple(plain(value) for value in row) for row in frame[list(names)].itertuples(index=False)]


def plain(value: Any) -> Any:
    """Times as ns since 1970 in UTC, numbers as floats, whatever is missing as None."""
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, pd.Timestamp):
        stamp = value.tz_localize("UTC") if value.tzinfo is None else value
        return int(stamp.as_unit("ns").value)
    if isinstance(value, str):
        return value
    return None if pd.isna(value) else float(value)


def judge(expected: Sequence[Row], got: Sequence[Row]) -> str:
    """In a few words, how an answer differs from what it has to be."""
    if list(got) == list(expected):
        return "same"
    if len(got) != len(expected):
        count = len(got) - len(expected)
        return f"{count} rows too many" if count > 0 else f"{-count} of {len(expected)} rows lost"
    if _sorted(got) == _sorted(expected):
        return "another order"
    left = list(got)
    for row in expected:
        if row in left:
            left.remove(row)
    return f"{len(left)} of {len(expected)} rows with other values"


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=repr)
