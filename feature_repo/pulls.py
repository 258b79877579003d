"""Pulls: the rows of one source within a window of time, all of them or the latest of each key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL

from feature_repo.asof_query import NANOSECONDS, quote
from feature_repo.engine import Engine
from feature_repo.sources import Reader
from noria.errors import SourceError


@dataclass(frozen=True, kw_only=True)
class Pull:
    """Columns are named as in the files; the window has both its ends."""

    source: DataSource
    keys: tuple[str, ...]
    features: tuple[str, ...]
    time: str
    created: str | None
    start: datetime | None
    end: datetime | None

    def all_rows(self, engine: Engine, reader: Reader) -> pa.Table:
        return self._answer(engine, reader, "")

    def latest_rows(self, engine: Engine, reader: Reader) -> pa.Table:
        """Of each key the row with the latest time, then created last, then the last of the files."""
        return self._answer(engine, reader, self._latest())

    def latest_batches(self, engine: Engine, reader: Reader) -> Iterator[pa.RecordBatch]:
        """The latest rows part by part, with times as the files have them."""
        return engine.stream(self._statement(engine, reader, self._latest()))

    def _latest(self) -> str:
        by = f"PARTITION BY {', '.join(map(quote, self.keys))} " if self.keys else ""
        created = f"{quote(self.created)} DESC NULLS LAST, " if self.created else ""
        order = f"{quote(self.time)} DESC, {created}file_index DESC, file_row_number DESC"
        return f" QUALIFY row_number() OVER ({by}ORDER BY {order}) = 1"

    def _statement(self, engine: Engine, reader: Reader, qualify: str) -> str:
        files = reader.table(self.source)
        types = engine.columns(files)
        columns = self._columns(types)
        if missing := [column for column in columns if column not in types]:
            raise SourceError(
                f"source {self.source.name} lacks {', '.join(missing)}: it has {', '.join(types)}; write the missing "
                "columns, or mend the feature view"
            )
        edges = ((">=", self.start), ("<=", self.end))
        window = "".join(f" AND {_edge(self.time, types[self.time], sign, edge)}" for sign, edge in edges if edge)
        selected = ", ".join(map(quote, columns))
        return f"SELECT {selected} FROM {files} WHERE {quote(self.time)} IS NOT NULL{window}{qualify}"

    def _answer(self, engine: Engine, reader: Reader, qualify: str) -> pa.Table:
        table = engine.run(self._statement(engine, reader, qualify), {})
        for name in {self.time, self.created} - {None}:
            table = _in_utc(table, str(name))
        if not self.keys:
            # What Feast's materialisation expects of a view without entities.
            table = table.append_column(DUMMY_ENTITY_ID, pa.array([DUMMY_ENTITY_VAL] * len(table), pa.string()))
        return table

    def _columns(self, types: Sequence[str] | dict[str, str]) -> tuple[str, ...]:
        stamps = [self.time, *([self.created] if self.created else [])]
        chosen = self.features or [name for name in types if name not in {*self.keys, *stamps}]
        return tuple(dict.fromkeys([*self.keys, *chosen, *stamps]))


def _edge(column: str, kind: str, sign: str, edge: datetime) -> str:
    """The condition, with a constant of the column's type where DuckDB can leave out row groups for it."""
    moment = edge.replace(tzinfo=UTC) if edge.tzinfo is None else edge.astimezone(UTC)
    if kind in NANOSECONDS:
        since = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        return f"epoch_ns({quote(column)}) {sign} {since * 1_000}"
    name = "TIMESTAMPTZ" if kind == "TIMESTAMP WITH TIME ZONE" else "TIMESTAMP"
    zone = "+00" if name == "TIMESTAMPTZ" else ""
    return f"{quote(column)} {sign} {name} '{moment:%Y-%m-%d %H:%M:%S.%f}{zone}'"


def _in_utc(table: pa.Table, name: str) -> pa.Table:
    """Times without a zone are UTC."""
    position = table.column_names.index(name)
    kind = table.schema.field(name).type
    if not pa.types.is_timestamp(kind) or kind.tz == "UTC":
        return table
    return table.set_column(position, name, table[name].cast(pa.timestamp(kind.unit, "UTC")))
