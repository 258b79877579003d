"""Replay: ask a real predictor the questions of the past, each with the store as it was at that moment."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import UsageError
from noria.features import FeatureService, FeatureView
from noria.ml.bundle import Bundle
from noria.ml.dataset import Dataset
from noria.ml.progress import Progress
from noria.steps.served import serving
from noria.steps.skew import LoggedRow, read_log, supplied
from noria.steps.tables import STAMP
from noria.stores.online.rows import OnlineRow, Packer, row_key
from noria.stores.online.store import OnlineStore, open_online

# (store, service, the folder of the tables, as of): the newest row of each key into the store
Materialise = Callable[[OnlineStore, FeatureService, Path, datetime], object]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Past:
    """What is replayed: the questions of a dataset, and the feature tables that it was joined from."""

    dataset: Dataset
    service: FeatureService
    tables: Path
    rows: int  # asked at most, drawn at random with an equal seed


def replay(
    past: Past, bundle: Bundle, *, materialise: Materialise, scratch: Path, progress: Progress, root: Path
) -> list[LoggedRow]:
    """Start the predictor on an empty store of its own, and ask; returns its features log, a row a question.

    Between two questions every row of the tables that became known is pushed, in the order of their moments.
    """
    schema = past.dataset.schema
    if not supplied(past.service, bundle.facts.schema):
        raise UsageError(
            f"no column of task {bundle.facts.task} comes from service {past.service.name}: a predictor reads none, so "
            "there is nothing to replay"
        )
    questions = _draw(past)
    moments = questions[schema.time.name]
    log, address = scratch / "features.jsonl", str(scratch / "online.db")
    store = open_online(address)
    try:
        materialise(store, past.service, past.tables, EPOCH + timedelta(microseconds=int(moments[0])))
        feed = Feed(past, after=int(moments[0]), until=int(moments[-1]))
        arguments = ["--bundle", str(bundle.folder), "--name", bundle.facts.task, "--online", address]
        arguments += ["--features-log", str(log), "--features-log-share", "1"]
        with serving(arguments, model=bundle.facts.task, schema=bundle.facts.schema, root=root) as client:
            for place, moment in enumerate(moments):
                if pushed := feed.take(int(moment)):
                    store.write(pushed)
                one = {name: values[place : place + 1] for name, values in questions.items()}
                client.ask_columns(one)
                progress(f"{place + 1:,} of {len(moments):,} questions", (place + 1) / len(moments))
    finally:
        store.close()
    return read_log(log)


class Feed:
    """The rows of all tables that became known after one moment and by another, in the order of their moments."""

    def __init__(self, past: Past, *, after: int, until: int) -> None:
        views = [_read_view(past.tables, view, after, until) for view in past.service.views]
        self._rows = heapq.merge(*views, key=lambda row: row[0])
        self._next = next(self._rows, None)

    def take(self, moment: int) -> list[tuple[bytes, bytes]]:
        """The keys and packed rows up to the moment, in µs since 1970, that were not taken before."""
        taken = []
        while self._next is not None and self._next[0] <= moment:
            taken.append(self._next[1:])
            self._next = next(self._rows, None)
        return taken


def _read_view(tables: Path, view: FeatureView, after: int, until: int) -> Iterator[tuple[int, bytes, bytes]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    names = [*view.keys, *(field.name for field in view.fields)]
    table = pq.read_table(tables / f"{view.name}.parquet", columns=[STAMP, *names])
    moments = table[STAMP].cast(pa.int64())
    wanted = pc.and_(pc.greater(moments, after), pc.less_equal(moments, until))
    table = table.filter(wanted).sort_by(STAMP)
    stamps = table[STAMP].cast(pa.int64()).to_pylist()
    packer, width = Packer(view), len(view.keys)
    for stamp, *values in zip(stamps, *(table[name].to_pylist() for name in names), strict=True):
        if None not in values[:width]:
            row = OnlineRow(event=stamp, created=stamp, values=tuple(values[width:]))
            yield stamp, row_key(view.name, values[:width]), packer.pack(row)


def _draw(past: Past) -> dict[str, NDArray[Any]]:
    """The questions, in the order of their moments: what a client sends, and nothing that the store supplies."""
    schema = past.dataset.schema
    brought = {field.name for field in past.service.fields()} | {age.name for age in past.service.ages}
    asked = [
        column.name
        for column in schema.columns
        if column.role in ("id", "time", "key") or (column.role == "feature" and column.name not in brought)
    ]
    rows = past.dataset.load(asked)
    some = np.random.default_rng(0).permutation(past.dataset.rows)[: past.rows]
    some = some[np.argsort(rows[schema.time.name][some], kind="stable")]
    drawn = {name: values[some] for name, values in rows.items()}
    drawn[schema.time.name] = drawn[schema.time.name].astype("datetime64[us]").astype(np.int64)
    return drawn
