"""Query: the one SQL statement that joins every view to the labels as of their times.

For each view it asks twice: first a narrow ASOF join, which finds the newest time that a label may see, then a join on
that time which brings the features of the one row that settles ties. So only keys and times are sorted, never features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from feature_repo.views import View
from noria.errors import SourceError

LABELS = "labels"  # the table that the statement expects: row, floor_us, ceil_us, ns, key_0, key_1, …
_TO_MICROSECONDS = {
    "TIMESTAMP": "epoch_us({})",
    "TIMESTAMP WITH TIME ZONE": "epoch_us({})",
    "TIMESTAMP_S": "epoch_us(CAST({} AS TIMESTAMP))",
    "TIMESTAMP_MS": "epoch_us(CAST({} AS TIMESTAMP))",
    "DATE": "epoch_us(CAST({} AS TIMESTAMP))",
}
NANOSECONDS = frozenset({"TIMESTAMP_NS", "TIMESTAMPTZ_NS"})
_FROM_MICROSECONDS = {"TIMESTAMP": "make_timestamp({})", "TIMESTAMP WITH TIME ZONE": "make_timestamptz({})"}
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A view with the files that hold it."""

    view: View
    files: str  # DuckDB's expression for them
    types: Mapping[str, str]  # DuckDB's type of each column


def join_statement(
    tables: Sequence[Table], keys: Sequence[str], bounds: tuple[int, int] | None, *, only_known: bool
) -> str:
    """The statement that answers a row of features for each label, in the labels' order.

    `keys` names the label columns key_0, key_1, …; `bounds` are the first and last label in µs. With `only_known` a
    feature row counts from when it was created, and one without a created time never.
    """
    parts, picked, joins = [], [], []
    for number, table in enumerate(tables):
        known = only_known and table.view.created is not None
        match = _match_known(table, keys, bounds) if known else _match(table, keys, bounds)
        pick = _pick_known(table, number) if known else _pick(table, number, bounds)
        parts += [f"match_{number} AS ({match})", f"pick_{number} AS ({pick})"]
        joins.append(f"LEFT JOIN pick_{number} USING (row)")
        picked += [
            f"pick_{number}.f{position} AS {quote(feature.name)}"
            for position, feature in enumerate(table.view.features)
        ]
    return f"WITH {', '.join(parts)} SELECT {', '.join(picked)} FROM {LABELS} {' '.join(joins)} ORDER BY row"


def quote(name: str) -> str:
    """The name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def instant(table: Table, column: str) -> str:
    """The time column as an integer, in ns or µs as the files have it; SourceError if it holds no times."""
    kind = table.types[column]
    if kind in NANOSECONDS:
        return f"epoch_ns({quote(column)})"
    if kind not in _TO_MICROSECONDS:
        raise SourceError(
            f"column {column} of feature view {table.view.name} holds {kind}: expected times; write it as a timestamp"
        )
    return _TO_MICROSECONDS[kind].format(quote(column))


def _match(table: Table, keys: Sequence[str], bounds: tuple[int, int] | None) -> str:
    """The newest time that each label may see: row, k0, k1, …, t."""
    floor, oldest = _clock(table)
    narrow = f"SELECT {_key_columns(table)}{instant(table, table.view.time)} AS t FROM {table.files}"
    carried = "".join(f", labels.{_label_key(keys, key.label)} AS k{n}" for n, key in enumerate(table.view.keys))
    return (
        f"SELECT labels.row{carried}, h.t FROM {LABELS} ASOF JOIN ({narrow}{_within(table, bounds)}) h "
        f"ON {_same_keys(table, keys)}{floor} >= h.t{_alive(table, oldest, 'h.t')}"
    )


def _pick(table: Table, number: int, bounds: tuple[int, int] | None) -> str:
    """The features of the row at that time: created last, or else the last of the files."""
    view = table.view
    created = f"{instant(table, view.created)} AS c, " if view.created else ""
    wide = (
        f"SELECT {_key_columns(table)}{instant(table, view.time)} AS t, {created}file_index, file_row_number"
        f"{_features(table)} FROM {table.files}{_within(table, bounds)}"
    )
    same = "".join(f"m.k{n} = h.k{n} AND " for n in range(len(view.keys)))
    newest = "h.c DESC NULLS LAST, " if view.created else ""
    return (
        f"SELECT m.row{_feature_names(table)} FROM match_{number} m JOIN ({wide}) h ON {same}m.t = h.t "
        f"QUALIFY row_number() OVER (PARTITION BY m.row ORDER BY {newest}file_index DESC, file_row_number DESC) = 1"
    )


def _match_known(table: Table, keys: Sequence[str], bounds: tuple[int, int] | None) -> str:
    """The newest row of those that were known at each label's time: row, best.

    A row is known from the later of its two times on. What is best among all that is known by then is a running
    maximum, so the join is again one on a single time.
    """
    view = table.view
    floor, oldest = _clock(table)
    time, created = instant(table, view.time), instant(table, view.created or view.time)
    if (table.types[view.time] in NANOSECONDS) != (table.types[view.created or view.time] in NANOSECONDS):
        raise SourceError(
            f"feature view {view.name} holds {view.time} and {view.created} in different units: expected one; "
            "write both in microseconds"
        )
    ranked = f"SELECT {_key_columns(table)}{time} AS t, {created} AS c, file_index, file_row_number FROM {table.files}"
    within = _within(table, bounds)
    by = f"PARTITION BY {', '.join(f'k{n}' for n in range(len(view.keys)))} " if view.keys else ""
    history = (
        f"SELECT *, greatest(t, c) AS known, "
        f"max(struct_pack(t := t, c := c, f := file_index, r := file_row_number)) OVER ({by}ORDER BY greatest(t, c)) "
        f"AS best FROM ({ranked}{within}) WHERE c IS NOT NULL"
    )
    return (
        f"SELECT labels.row, h.best FROM {LABELS} ASOF JOIN ({history}) h "
        f"ON {_same_keys(table, keys)}{floor} >= h.known{_alive(table, oldest, 'h.best.t')}"
    )


def _pick_known(table: Table, number: int) -> str:
    wide = f"SELECT file_index, file_row_number{_features(table)} FROM {table.files}"
    return (
        f"SELECT m.row{_feature_names(table)} FROM match_{number} m JOIN ({wide}) h "
        "ON m.best.f = h.file_index AND m.best.r = h.file_row_number"
    )


def _clock(table: Table) -> tuple[str, str]:
    """The label's time as the newest and as the oldest edge, in the unit of the files."""
    if table.types[table.view.time] in NANOSECONDS:
        return "labels.ns", "labels.ns"
    return "labels.floor_us", "labels.ceil_us"


def _alive(table: Table, oldest: str, time: str) -> str:
    """The condition that a value is not older than the view's ttl; one that is exactly as old still counts."""
    if table.view.ttl is None:
        return ""
    ttl = table.view.ttl // _MICROSECOND * (1_000 if table.types[table.view.time] in NANOSECONDS else 1)
    return f" WHERE {time} >= {oldest} - {ttl}"


def _within(table: Table, bounds: tuple[int, int] | None) -> str:
    """A condition that lets DuckDB leave out row groups that no label can see."""
    make = _FROM_MICROSECONDS.get(table.types[table.view.time])
    if bounds is None or make is None:
        return ""
    time = quote(table.view.time)
    since = ""
    if table.view.ttl is not None:
        since = f" AND {time} >= {make.format(bounds[0] - table.view.ttl // _MICROSECOND)}"
    return f" WHERE {time} <= {make.format(bounds[1])}{since}"


def _key_columns(table: Table) -> str:
    return "".join(f"{quote(key.column)} AS k{number}, " for number, key in enumerate(table.view.keys))


def _same_keys(table: Table, keys: Sequence[str]) -> str:
    return "".join(
        f"labels.{_label_key(keys, key.label)} = h.k{number} AND " for number, key in enumerate(table.view.keys)
    )


def _label_key(keys: Sequence[str], name: str) -> str:
    return f"key_{keys.index(name)}"


def _features(table: Table) -> str:
    return "".join(f", {quote(feature.column)} AS f{number}" for number, feature in enumerate(table.view.features))


def _feature_names(table: Table) -> str:
    return "".join(f", h.f{number}" for number in range(len(table.view.features)))
