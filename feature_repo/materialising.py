"""Materialising: the newest row of each key, from the feature tables into the online store, in one write.

A killed run leaves what is served as it was; a repeated one changes nothing. A row that comes late is taken if it is
newer than what is kept, which the online store decides.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pyarrow as pa
from feast.data_source import DataSource

from feature_repo.asof_query import quote
from feature_repo.definitions import STAMP, define
from feature_repo.engine import Engine
from feature_repo.online_store import EPOCH, MICROSECOND, microseconds
from feature_repo.pulls import Pull
from feature_repo.sources import Reader
from noria.errors import UsageError
from noria.features import FeatureService, FeatureView
from noria.settings import Settings
from noria.stores.online.rows import OnlineRow, Packer, row_key
from noria.stores.online.store import Counts, OnlineStore

LATENESS = timedelta(days=1)
ENGINE = Engine(memory_limit="1GB", threads=0, temp_directory="")


@dataclass(frozen=True, kw_only=True)
class ViewReport:
    """One view: the newest rows of its keys since `since` (None: since ever), and what became of them."""

    since: datetime | None
    seen: int
    written: int
    same: int  # stood there already
    older: int  # what is kept is newer
    without_key: int  # keys that lack a part; their rows are nobody's
    seconds: float  # to find and to pack them


@dataclass(frozen=True, kw_only=True)
class Materialised:
    """What a materialisation did; `until` is its moment, and `seconds` is all that it took."""

    service: str
    until: datetime
    seconds: float
    views: dict[str, ViewReport]


@dataclass(kw_only=True)
class _Work:
    """One view on its way: where its rows begin, and what was noted of them."""

    view: FeatureView
    pull: Pull
    seconds: float = 0.0
    without_key: int = 0


def materialise(
    store: OnlineStore,
    service: FeatureService,
    tables: Path | str,
    as_of: datetime,
    *,
    lateness: timedelta | None = LATENESS,
    engine: Engine = ENGINE,
) -> Materialised:
    """Write each key's newest row at or before `as_of` into the store, all views and their marks in one write.

    Of each view only rows from `lateness` before its mark on are looked at, or before `as_of` where that is earlier;
    all of them where it has no mark or where lateness is None. `tables` is a folder or an s3:// prefix that holds
    <view>.parquet. Raises SourceError for tables that are missing or torn, StoreError where the store cannot be
    written: then nothing was.
    """
    if as_of.tzinfo is None:
        raise UsageError(f"{as_of} lacks a time zone: expected a moment such as {as_of.replace(tzinfo=UTC)}")
    begun = time.perf_counter()
    reader = _reader(tables)
    marks = store.marks() if lateness is not None else {}
    sources = {view.name: view.batch_source for view in define(service, tables).views}
    works = [_work(view, sources[view.name], marks.get(view.name), as_of, lateness) for view in service.views]
    rows = chain.from_iterable(_rows(work, engine, reader) for work in works)
    found = store.write(rows, dict.fromkeys((view.name for view in service.views), microseconds(as_of)))
    return Materialised(
        service=service.name,
        until=as_of,
        views={work.view.name: _report(work, found.views.get(work.view.name, Counts())) for work in works},
        seconds=time.perf_counter() - begun,
    )


def newest_moment(service: FeatureService, tables: Path | str, *, engine: Engine = ENGINE) -> datetime | None:
    """The latest moment at which a value of the tables became known; None where they hold no row."""
    reader = _reader(tables)
    latest = []
    for source in (view.batch_source for view in define(service, tables).views):
        files = reader.table(source)
        stamp = quote(STAMP)
        latest += engine.run(f"SELECT max(epoch_us({stamp})) AS latest FROM {files}", {})["latest"].to_pylist()
    known = [moment for moment in latest if moment is not None]
    return EPOCH + max(known) * MICROSECOND if known else None


def _reader(tables: Path | str) -> Reader:
    return Reader(
        repository=None if str(tables).startswith("s3://") else Path(tables),
        cache=Settings.from_environment().home / "cache" / "features",
    )


def _work(
    view: FeatureView, source: DataSource, mark: int | None, as_of: datetime, lateness: timedelta | None
) -> _Work:
    names = tuple(each.name for each in view.fields)
    since = _since(mark, as_of, lateness)
    return _Work(
        view=view,
        pull=Pull(source=source, keys=view.keys, features=names, time=STAMP, created=None, start=since, end=as_of),
    )


def _since(mark: int | None, as_of: datetime, lateness: timedelta | None) -> datetime | None:
    """From when on rows are looked at; None for all of them. A mark that lies after `as_of` hides nothing before it."""
    if mark is None or lateness is None:
        return None
    last = min(EPOCH + mark * MICROSECOND, as_of)
    # Further back than the calendar goes lies no row.
    return last - lateness if last - datetime.min.replace(tzinfo=UTC) > lateness else None


def _rows(work: _Work, engine: Engine, reader: Reader) -> Iterator[tuple[bytes, bytes]]:
    """The view's rows, packed; the times are taken while the writer works on them."""
    view, packer = work.view, Packer(work.view)
    begun = time.perf_counter()
    for batch in work.pull.latest_batches(engine, reader):
        columns = [batch.column(name).to_pylist() for name in (*view.keys, *(each.name for each in view.fields))]
        packed = []
        for event, *values in zip(_instants(batch.column(STAMP)), *columns, strict=True):
            keys, rest = values[: len(view.keys)], values[len(view.keys) :]
            if None in keys:
                work.without_key += 1
                continue
            packed.append(
                (row_key(view.name, keys), packer.pack(OnlineRow(event=event, created=0, values=tuple(rest))))
            )
        work.seconds += time.perf_counter() - begun
        yield from packed
        begun = time.perf_counter()
    work.seconds += time.perf_counter() - begun


def _instants(stamps: pa.Array) -> list[int]:
    """µs since 1970; what is finer is rounded down."""
    parts = {"ns": 1_000, "us": 1, "ms": 1_000, "s": 1_000_000}[stamps.type.unit]
    numbers: list[int] = stamps.cast(pa.int64()).to_pylist()
    if stamps.type.unit == "ns":
        return [number // parts for number in numbers]
    return [number * parts for number in numbers]


def _report(work: _Work, counts: Counts) -> ViewReport:
    return ViewReport(
        since=work.pull.start,
        seen=counts.seen,
        written=counts.written,
        same=counts.same,
        older=counts.older,
        without_key=work.without_key,
        seconds=work.seconds,
    )
