"""Ingest: from a task's source to a published dataset."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from noria.errors import SourceError, UsageError
from noria.ml.dataset import Dataset, write_dataset
from noria.ml.progress import Progress
from noria.steps.workspace import Workspace
from noria.task import Window, load_task

if TYPE_CHECKING:
    import pyarrow as pa


def parse_window(start: str, end: str) -> Window:
    """Read the window's ends, as ISO 8601 dates or instants; a time without a zone is UTC."""
    moments = []
    for key, text in (("start", start), ("end", end)):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise UsageError(
                f"{key} is {text!r}: expected a date such as 2017-09-01, or an instant in ISO 8601"
            ) from error
        moments.append(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return Window(start=moments[0], end=moments[1])


def ingest(workspace: Workspace, *, task: str, source: str, window: Window, progress: Progress) -> tuple[Dataset, str]:
    """Read the window's rows into a dataset and publish it; returns it and its URI.

    `source` is the fingerprint that the run was planned with, "" for whatever is there. Raises SourceError if the
    source changed since, or is torn; nothing half-written remains.
    """
    found = load_task(task)
    place = workspace.source_of(found)
    if source and (now := found.fingerprint(place)) != source:
        raise SourceError(
            f"the source of {task} has fingerprint {now[:12]}, the run was planned for {source[:12]}: "
            "it changed in between; run again"
        )
    with workspace.scratch() as folder:
        tables = _counted(found.read(place, window), progress)
        dataset = write_dataset(folder / "dataset", task, found.schema, tables)
        key = f"datasets/{dataset.digest}"
        progress(f"{dataset.rows:,} rows, publishing", None)
        workspace.store.put_folder(key, dataset.folder)
    return workspace.fetch_dataset(workspace.store.uri(key)), workspace.store.uri(key)


def _counted(tables: Iterator[pa.Table], progress: Progress) -> Iterator[pa.Table]:
    rows = 0
    for table in tables:
        rows += len(table)
        progress(f"{rows:,} rows read", None)
        yield table
