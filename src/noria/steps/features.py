"""Features: from a task's events to its training dataset, each row with what was known at its own moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from noria.errors import DatasetError
from noria.features import FeatureService, age_minutes
from noria.ml.dataset import Dataset, arrow_schema, write_dataset
from noria.ml.progress import Progress
from noria.schema import Schema
from noria.steps.tables import STAMP, open_tables
from noria.steps.workspace import Workspace, digest_of
from noria.task import TakesFeatures, load_task

if TYPE_CHECKING:
    import pyarrow as pa

GROUP = 8_192  # rows handed on at a time
ROW = "__row"  # each event's place, which shows that none was lost, doubled or moved

# (rows, the folder of the tables, the service) -> `__row` and the service's fields, as of each `event_timestamp`.
Join = Callable[["pa.Table", Path, FeatureService], "pa.Table"]


def add_features(workspace: Workspace, *, task: str, events: str, tables: str, join: Join, progress: Progress) -> str:
    """Join the events with their features and publish the dataset; returns its URI.

    A task that takes no features gets its own rows back, by their URI, at no cost. Raises DatasetError where a row was
    lost, doubled or moved, or where the joined rows do not follow the task's schema.
    """
    found = load_task(task)
    if not isinstance(found, TakesFeatures):
        return events
    dataset = workspace.fetch_dataset(events)
    folder, facts = open_tables(workspace, tables)
    progress(f"{dataset.rows:,} rows, {len(facts.tables)} feature tables", None)
    asked = _read_questions(dataset, found.service)
    joined = join(asked, folder, found.service)
    _check_rows(joined, dataset.rows)
    with workspace.scratch() as scratch:
        completed = complete(joined, found.service, asked[STAMP])
        followed, tallies = _follow(_read(dataset), completed, found.schema), dataset.facts.tallies
        made_of = {"events": digest_of(events), "tables": digest_of(tables)}
        made = write_dataset(scratch / "dataset", task, found.schema, followed, tallies, made_of=made_of)
        key = f"datasets/{made.digest}"
        progress(f"{made.rows:,} rows, publishing", None)
        workspace.store.put_folder(key, made.folder)
    return workspace.store.uri(key)


def _read_questions(dataset: Dataset, service: FeatureService) -> pa.Table:
    """The events' keys, their moments under Feast's name and their places: no value passes through the store."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    time, keys = dataset.schema.time.name, [each.name for each in dataset.schema.columns if each.name in service.keys]
    read = [pq.read_table(path, columns=list(dict.fromkeys([*keys, time]))) for path in _files(dataset)]
    rows = pa.concat_tables(read)
    columns = {**{key: rows[key] for key in keys}, STAMP: rows[time]}
    return pa.table({**columns, ROW: pa.array(np.arange(len(rows)))})


def _read(dataset: Dataset) -> Iterator[pa.Table]:
    """The events as they are, some at a time: those with pictures are large."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in _files(dataset):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(GROUP):
                yield pa.Table.from_batches([batch])


def _files(dataset: Dataset) -> list[Path]:
    return [dataset.folder / name for name in sorted(dataset.facts.files)]


def _check_rows(joined: pa.Table, rows: int) -> None:
    import numpy as np

    if ROW not in joined.column_names or not np.array_equal(joined[ROW].to_numpy(), np.arange(rows)):
        raise DatasetError(
            f"of {rows:,} rows {len(joined):,} came back from the feature store, or in another order: expected each "
            "row once, in its place; use the offline store that feature_repo/feature_store.yaml names"
        )


def complete(joined: pa.Table, service: FeatureService, asked: pa.ChunkedArray) -> pa.Table:
    """The fields with their defaults, and the ages of the instants among them, as the predictor works them out, too."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    for field in service.fields():
        if field.default is not None and field.name in joined.column_names:
            place, values = joined.column_names.index(field.name), joined[field.name]
            if pa.types.is_floating(values.type):  # a row that is packed says missing of both
                values = pc.if_else(pc.is_nan(values), None, values)
            joined = joined.set_column(place, field.name, pc.fill_null(values, pa.scalar(field.default, values.type)))
    moments = asked.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    for age in service.ages:
        if age.of in joined.column_names:
            minutes = age_minutes(moments, joined[age.of].to_numpy().astype(np.float64))
            joined = joined.append_column(age.name, pa.array(minutes, mask=np.isnan(minutes)))
    return joined


def _follow(events: Iterator[pa.Table], joined: pa.Table, schema: Schema) -> Iterator[pa.Table]:
    """The columns that the schema names, in its types; DatasetError for one that is missing or does not fit."""
    import pyarrow as pa

    wanted, place = arrow_schema(schema), 0
    for part in events:
        found = joined.slice(place, len(part))
        place += len(part)
        there = {name: each[name] for each in (found, part) for name in each.column_names}
        if missing := sorted(set(wanted.names) - set(there)):
            raise DatasetError(
                f"the joined rows lack {', '.join(missing)}: they have {', '.join(there)}; let the feature service and "
                "the task's schema name the same features"
            )
        try:
            yield pa.table({name: there[name] for name in wanted.names}).cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DatasetError(f"the joined rows do not fit the task's schema ({error}): mend the schema") from error
