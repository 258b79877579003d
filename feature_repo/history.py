"""History: what each label could have known, over all views in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from feast.feature_view import FeatureView
from feast.utils import compute_non_entity_date_range

from feature_repo.asof_query import LABELS, Table, instant, join_statement, quote
from feature_repo.engine import Engine
from feature_repo.labels import TIME, Labels
from feature_repo.sources import Reader
from feature_repo.views import View
from noria.errors import SourceError, UsageError

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
            "FLOAT", "DOUBLE")  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def point_in_time(
    engine: Engine, reader: Reader, labels: Labels, joinable: pa.Table, views: Sequence[View], *, only_known: bool
) -> pa.Table:
    """The labels' own columns and after them the features, row for row."""
    keys = [key.label for view in views for key in view.keys]
    tables = [_open(engine, reader, view) for view in views]
    for table in tables:
        _check_keys(table, labels.table)
    statement = join_statement(tables, keys, labels.bounds(), only_known=only_known)
    features = engine.run(statement, {LABELS: joinable})
    if features.num_rows != labels.table.num_rows:
        raise SourceError(f"{labels.table.num_rows} labels got {features.num_rows} answers: expected one each")
    answer = labels.table
    for name in features.column_names:
        answer = answer.append_column(name, features[name])
    return answer


def labels_between(
    engine: Engine,
    reader: Reader,
    feature_views: Sequence[FeatureView],
    views: Sequence[View],
    start: datetime | None,
    end: datetime | None,
) -> Labels:
    """A label for each key and time that a view has within the dates, both included; by time, then by key.

    Without a start it lies the longest ttl before the end, or 30 days, as Feast has it. UsageError if the views have
    different keys, because then no row could be joined to all of them.
    """
    keys = [key.label for key in views[0].keys]
    if strange := [view.name for view in views if sorted(key.label for key in view.keys) != sorted(keys)]:
        raise UsageError(
            f"{', '.join(strange)} and {views[0].name} have different join keys: expected the same ones in all views "
            "where no entity_df is given; give an entity_df"
        )
    start, end = compute_non_entity_date_range(list(feature_views), start_date=start, end_date=end)
    parts = []
    for table in (_open(engine, reader, view) for view in views):
        columns = {key.label: key.column for key in table.view.keys}
        selected = "".join(f"{quote(columns[key])} AS {quote(key)}, " for key in keys)
        factor = 1_000 if instant(table, table.view.time).startswith("epoch_ns") else 1
        parts.append(
            f"SELECT {selected}{instant(table, table.view.time)} // {factor} AS {quote(TIME)} FROM {table.files}"
        )
    order = ", ".join(quote(name) for name in (TIME, *keys))
    within = f"{quote(TIME)} BETWEEN {_microseconds(start)} AND {_microseconds(end)}"
    found = engine.run(f"SELECT DISTINCT * FROM ({' UNION ALL '.join(parts)}) WHERE {within} ORDER BY {order}", {})
    stamps = found[TIME].cast(pa.timestamp("us", "UTC"))
    return Labels.from_table(found.set_column(found.column_names.index(TIME), TIME, stamps))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _open(engine: Engine, reader: Reader, view: View) -> Table:
    files = reader.table(view.source)
    types = engine.columns(files)
    if missing := [column for column in view.columns() if column not in types]:
        raise SourceError(
            f"the files of feature view {view.name} lack {', '.join(missing)}: they have {', '.join(types)}; write the "
            "missing columns, or mend the view's schema and field_mapping"
        )
    return Table(view=view, files=files, types=types)


def _check_keys(table: Table, labels: pa.Table) -> None:
    """UsageError where text would be compared with numbers, which DuckDB would try by reading one as the other."""
    for key in table.view.keys:
        theirs, ours = table.types[key.column], labels.schema.field(key.label).type
        text = pa.types.is_string(ours) or pa.types.is_large_string(ours) or pa.types.is_dictionary(ours)
        number = pa.types.is_integer(ours) or pa.types.is_floating(ours)
        if (text and theirs in _NUMBERS) or (number and theirs == "VARCHAR"):
            raise UsageError(
                f"join key {key.label} is {ours} in entity_df and {theirs} in the files of {table.view.name}: expected "
                "one type; convert the column of entity_df"
            )
