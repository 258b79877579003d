"""Skew: the features that a predictor answered with, beside those that training would have seen at the same moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from noria.errors import SourceError, UsageError
from noria.features import FeatureService
from noria.ml.dataset import arrow_schema
from noria.schema import Schema
from noria.steps.features import ROW, Join, complete
from noria.steps.tables import STAMP

if TYPE_CHECKING:
    import pyarrow as pa

DEGRADED = frozenset({"last known", "unread"})  # answered without the store, which is no skew and is counted apart
NEWER = "newer"  # asked for a moment before the store's row, which keeps no other: counted apart, as that is no loss


class LoggedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the predictor's features log: what was asked at `moment`, in µs since 1970, and what the model got."""

    moment: int
    id: str
    keys: Mapping[str, str | int | None]
    features: Mapping[str, Any]
    views: Mapping[str, str]

    @property
    def degraded(self) -> bool:
        return not DEGRADED.isdisjoint(self.views.values())


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A feature that was served with other values, and the first row where it was."""

    feature: str
    rows: int
    moment: int
    keys: Mapping[str, str | int | None]
    served: Any
    trained: Any


class Skew(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared: `values` of `rows` rows, less `degraded` ones that were answered without the store.

    Of `newer` rows the views are left out that the store holds only later values of.
    """

    service: str
    rows: int
    degraded: int
    newer: int
    values: int
    equal: int
    differences: tuple[Difference, ...]  # the worst first

    @property
    def share(self) -> float:
        """The share of values that are equal; 1 needs at least one value."""
        return self.equal / self.values if self.values else 0.0


def read_log(path: Path) -> list[LoggedRow]:
    """Read a features log; SourceError names a line that is none. A last line without its end is left out."""
    lines = path.read_bytes().split(b"\n")[:-1]
    decoder, rows = msgspec.json.Decoder(LoggedRow), []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            raise SourceError(
                f"{path}, line {number} is no line of a features log ({error}): expected what a predictor wrote with "
                "--features-log"
            ) from error
    return rows


def supplied(service: FeatureService, schema: Schema) -> tuple[str, ...]:
    """The features and the context that the service supplies, in the schema's order."""
    names = {field.name for field in service.fields()} | {age.name for age in service.ages}
    return tuple(column.name for column in schema.described if column.name in names)


def compare_log(
    logged: Sequence[LoggedRow],
    *,
    service: FeatureService,
    schema: Schema,
    tables: Path,
    join: Join,
    replayed: bool = False,
) -> Skew:
    """Join each logged row with what was known at its moment, and compare value by value.

    Where it was `replayed`, the store never was ahead of a moment, so what was answered as newer is compared as well.
    Raises UsageError where there is no row to compare, or one lacks a key of the service.
    """
    rows = [row for row in logged if not row.degraded]
    if not rows:
        raise UsageError(
            f"found {len(logged)} logged rows, {len(logged)} of them answered without the store: expected some that "
            "were completed from it; serve with --online and --features-log, and ask"
        )
    types = arrow_schema(schema)
    known = complete(join(_questions(rows, service, types), tables, service), service, _moments(rows))
    names, views = supplied(service, schema), _views(service)
    # As a dataset has them: a column of the schema may be narrower than the service's field.
    trained = {name: known[name].cast(types.field(name).type, safe=False).to_pylist() for name in names}
    places = {
        name: [at for at, row in enumerate(rows) if replayed or row.views.get(views[name]) != NEWER] for name in names
    }
    values = sum(map(len, places.values()))
    newer = 0 if replayed else sum(NEWER in row.views.values() for row in rows)
    if not values:
        raise UsageError(
            f"found {newer} logged rows for which the store holds only newer values than of their moment: expected "
            "some whose values it had; serve with a store as of then (noria materialize --as-of), or ask about now"
        )
    compared = (_compare_feature(name, rows, trained[name], places[name]) for name in names)
    differences = [found for found in compared if found is not None]
    return Skew(
        service=service.name,
        rows=len(rows),
        degraded=len(logged) - len(rows),
        newer=newer,
        values=values,
        equal=values - sum(difference.rows for difference in differences),
        differences=tuple(sorted(differences, key=lambda difference: -difference.rows)),
    )


def _views(service: FeatureService) -> dict[str, str]:
    """The view that each field and each age comes from."""
    views = {field.name: view.name for view in service.views for field in view.fields}
    return views | {age.name: views[age.of] for age in service.ages}


def _compare_feature(
    name: str, rows: Sequence[LoggedRow], trained: Sequence[Any], places: Sequence[int]
) -> Difference | None:
    apart = [place for place in places if not _same(rows[place].features.get(name), trained[place])]
    if not apart:
        return None
    first = rows[apart[0]]
    return Difference(
        feature=name,
        rows=len(apart),
        moment=first.moment,
        keys=first.keys,
        served=first.features.get(name),
        trained=trained[apart[0]],
    )


def _questions(rows: Sequence[LoggedRow], service: FeatureService, types: pa.Schema) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    for row in rows:
        if missing := sorted(set(service.keys) - set(row.keys)):
            raise UsageError(
                f"the logged row {row.id!r} lacks {', '.join(missing)}: service {service.name} is found by "
                f"{', '.join(service.keys)}; compare a log with the service of its own model"
            )
    try:
        keys = {key: pa.array([row.keys[key] for row in rows], types.field(key).type) for key in service.keys}
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UsageError(
            f"the log holds keys of another type than the schema of service {service.name} ({error}): expected those "
            "of one model; compare a log with the service of its own"
        ) from error
    return pa.table({**keys, STAMP: _moments(rows), ROW: pa.array(np.arange(len(rows)))})


def _moments(rows: Sequence[LoggedRow]) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([pa.array([row.moment for row in rows], pa.timestamp("us", tz="UTC"))])


def _same(served: Any, trained: Any) -> bool:
    """Equal to the last bit, or missing in both."""
    return served == trained or (_missing(served) and _missing(trained))


def _missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def worst(skew: Skew) -> Iterator[str]:
    """A line for each feature that was served with other values."""
    for one in skew.differences:
        yield (
            f"{one.feature}: {one.rows:,} of {skew.rows:,} rows; at {one.moment} µs {dict(one.keys)} it was served as "
            f"{one.served!r}, and is {one.trained!r} in training"
        )
