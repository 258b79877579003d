"""Ingest: from a task's source to a published dataset of what was known at a moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from noria.errors import SourceError, UsageError
from noria.ml.dataset import Dataset, write_dataset
from noria.ml.progress import Progress
from noria.schema import Schema
from noria.steps.tables import publish_tables
from noria.steps.workspace import Workspace
from noria.task import CountsSource, TakesFeatures, Tally, Window, load_task

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Ingested:
    """What was published: the rows at `uri`, the feature tables at `tables`; a task without them names the rows again.

    `unknown` rows were left out, because what became of them was not known yet; `tallies` are what the task counted.
    """

    dataset: Dataset
    uri: str
    tables: str
    unknown: int
    tallies: tuple[Tally, ...] = ()

    def describe(self) -> str:
        """What was read, what was left out and why, in one line."""
        said = [f"{self.dataset.rows:,} rows"]
        said += [f"{self.unknown:,} not known yet"] if self.unknown else []
        said += [f"{tally.rows:,} {tally.what}" for tally in self.tallies if tally.left_out and tally.rows]
        return "; ".join(said)


def parse_moment(key: str, text: str) -> datetime:
    """Read an ISO 8601 date or instant; a time without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{key} is {text!r}: expected a date such as 2017-09-01, or an instant in ISO 8601") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_window(start: str, end: str) -> Window:
    """Read the window's ends, as ISO 8601 dates or instants; a time without a zone is UTC."""
    return Window(start=parse_moment("start", start), end=parse_moment("end", end))


def ingest(
    workspace: Workspace, *, task: str, source: str, window: Window, as_of: datetime, progress: Progress
) -> Ingested:
    """Read the window's rows into a dataset and publish it, and the feature tables where the task takes some.

    `source` is the fingerprint that the run was planned with, "" for whatever is there. Rows whose label became known
    after `as_of` are left out and counted, where the task says when it did. Raises SourceError if the source changed
    since, or is torn; nothing half-written remains.
    """
    found = load_task(task)
    place = workspace.source_of(found)
    if source and (now := found.fingerprint(place)) != source:
        raise SourceError(
            f"the source of {task} has fingerprint {now[:12]}, the run was planned for {source[:12]}: "
            "it changed in between; run again"
        )
    schema = found.events if isinstance(found, TakesFeatures) else found.schema
    known = _Known(schema=schema, as_of=as_of, progress=progress)
    with workspace.scratch() as folder:
        read = known.of(found.read(place, window))
        tallies = found.tally(place, window) if isinstance(found, CountsSource) else ()
        dataset = write_dataset(folder / "dataset", task, schema, read, tallies)
        key = f"datasets/{dataset.digest}"
        progress(f"{dataset.rows:,} rows, publishing", None)
        workspace.store.put_folder(key, dataset.folder)
    uri = tables = workspace.store.uri(key)
    if isinstance(found, TakesFeatures):
        progress("feature tables", None)
        tables = publish_tables(workspace, found, place, as_of)
    opened = workspace.fetch_dataset(uri)
    made = Ingested(dataset=opened, uri=uri, tables=tables, unknown=known.unknown, tallies=tallies)
    progress(made.describe(), None)
    return made


class _Known:
    """Lets through the rows that were known at a moment, and counts the others."""

    def __init__(self, *, schema: Schema, as_of: datetime, progress: Progress) -> None:
        self._schema = schema
        self._as_of = as_of
        self._progress = progress
        self.unknown = 0

    def of(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        rows = 0
        for table in tables:
            known = self._cut(table)
            rows += len(known)
            self.unknown += len(table) - len(known)
            self._progress(f"{rows:,} rows read", None)
            yield known

    def _cut(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        moment = self._schema.known
        if moment is None or moment.name not in table.column_names:
            return table
        as_of = pa.scalar(self._as_of, pa.timestamp("us", tz="UTC"))
        # A row of which no moment is known has no known label either: null is not at or before anything.
        return table.filter(pc.less_equal(table[moment.name], as_of))
