"""Dataset: a folder of Parquet with a dataset.json that says what must be in it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.errors import DatasetError
from noria.schema import Column, Schema
from noria.task import Tally

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_GROUP = 8192  # bounds the memory of writing and reading, whatever the number of rows

FACTS_FILE = "dataset.json"


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """dataset.json: the sha256 of each Parquet file by name, and what the source lacks or doubts.

    `made_of` names what was joined by its digest: `events` and `tables`. It is empty where nothing was joined, and in
    datasets of before it was kept.
    """

    task: str
    schema: Schema
    rows: int
    start: datetime
    end: datetime
    files: Mapping[str, str]
    tallies: tuple[Tally, ...] = ()
    made_of: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An opened dataset; `digest` is the sha256 of dataset.json, and so of every byte that it names."""

    folder: Path
    digest: str
    facts: DatasetFacts

    @property
    def schema(self) -> Schema:
        return self.facts.schema

    @property
    def rows(self) -> int:
        return self.facts.rows

    def load(self, columns: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Read columns (all, unless named) into arrays of shape (rows, *column.shape).

        Missing values become NaN in floats, NaT in timestamps and None in strings; an integer or bool column with
        missing values is read with 0 in their place, and `nulls` tells where.
        """
        import pyarrow.parquet as pq

        chosen = [self.schema[name] for name in columns] if columns else list(self.schema.columns)
        out = {column.name: np.empty((self.rows, *column.shape), column.dtype) for column in chosen}
        row = 0
        for name in sorted(self.facts.files):
            with pq.ParquetFile(self.folder / name) as file:
                for batch in file.iter_batches(ROWS_A_GROUP, columns=[column.name for column in chosen]):
                    for column in chosen:
                        out[column.name][row : row + len(batch)] = _to_numpy(batch.column(column.name), column)
                    row += len(batch)
        return out

    def nulls(self) -> dict[str, NDArray[np.bool_]]:
        """Where values are missing: masks of shape (rows,), for the columns that miss any."""
        import pyarrow.parquet as pq

        masks = {}
        for column in self.schema.columns:
            parts = [
                pq.read_table(self.folder / name, columns=[column.name]).column(0).is_null().to_numpy()
                for name in sorted(self.facts.files)
            ]
            mask = np.concatenate(parts) if parts else np.zeros(0, np.bool_)
            if mask.any():
                masks[column.name] = mask
        return masks


def arrow_schema(schema: Schema) -> pa.Schema:
    """The Arrow schema of a task's rows; a value with a shape is a fixed-size list, flattened in C order."""
    import pyarrow as pa

    types = {"string": pa.string(), "timestamp": pa.timestamp("us", tz="UTC"), "bool": pa.bool_()}
    fields = []
    for column in schema.columns:
        kind = types.get(column.type) or pa.from_numpy_dtype(column.dtype)
        fields.append(pa.field(column.name, pa.list_(kind, math.prod(column.shape)) if column.shape else kind))
    return pa.schema(fields)


def table_of(schema: Schema, rows: Mapping[str, NDArray[Any]]) -> pa.Table:
    """Make a table of arrays of shape (rows, *column.shape)."""
    import pyarrow as pa

    wanted = arrow_schema(schema)
    columns = []
    for column in schema.columns:
        kind = wanted.field(column.name).type
        values = rows[column.name]
        if column.shape:
            flat = pa.array(np.ascontiguousarray(values).reshape(-1), type=kind.value_type)
            columns.append(pa.FixedSizeListArray.from_arrays(flat, kind.list_size))
        else:
            columns.append(pa.array(values, type=kind, from_pandas=True))
    return pa.Table.from_arrays(columns, schema=wanted)


def write_dataset(
    folder: Path,
    task: str,
    schema: Schema,
    tables: Iterable[pa.Table],
    tallies: tuple[Tally, ...] = (),
    *,
    made_of: Mapping[str, str] | None = None,
) -> Dataset:
    """Write the tables, in their order, into an empty folder.

    Raises DatasetError where a table does not follow the schema or there is no row at all; what stands in the folder
    then is no dataset, because dataset.json is written last.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = arrow_schema(schema)
    name = "part-00000.parquet"
    rows, start, end = 0, None, None
    folder.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(folder / name, wanted, compression="zstd", store_schema=False) as writer:
        for table in tables:
            if not table.schema.equals(wanted):
                raise DatasetError(
                    f"task {task} read columns {_describe(table.schema)}: its schema says {_describe(wanted)}; "
                    "mend the task's read() or its schema"
                )
            if len(table) == 0:
                continue
            writer.write_table(table, row_group_size=ROWS_A_GROUP)
            rows += len(table)
            extremes = pc.min_max(table.column(schema.time.name))
            start = min(filter(None, (start, extremes["min"].as_py())), default=None)
            end = max(filter(None, (end, extremes["max"].as_py())), default=None)
    if rows == 0 or start is None or end is None:
        raise DatasetError(f"task {task} has no row with a time in the window: choose another, or look at its source")
    files = {name: _sha256(folder / name)}
    facts = DatasetFacts(
        task=task, schema=schema, rows=rows, start=start, end=end, files=files, tallies=tallies, made_of=made_of or {}
    )
    (folder / FACTS_FILE).write_bytes(_encode(facts))
    return open_dataset(folder)


def _encode(facts: DatasetFacts) -> bytes:
    """The facts as JSON; without those that came later where they are empty, so that old digests hold."""
    told = msgspec.to_builtins(facts)
    for name in ("tallies", "made_of"):
        if not told[name]:
            del told[name]
    return msgspec.json.encode(told, order="deterministic")


def open_dataset(folder: Path, expected: str | None = None) -> Dataset:
    """Open a dataset and verify every byte of it; DatasetError says which file is missing or altered."""
    try:
        text = (folder / FACTS_FILE).read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{folder} is no dataset: dataset.json cannot be read ({error.strerror}). Ingest it again"
        ) from error
    digest = hashlib.sha256(text).hexdigest()
    if expected is not None and digest != expected:
        raise DatasetError(f"{folder} holds dataset {digest[:12]}: expected {expected[:12]}. Ingest it again")
    try:
        facts = msgspec.json.decode(text, type=DatasetFacts)
    except msgspec.DecodeError as error:
        raise DatasetError(f"{folder}/dataset.json does not parse ({error}): ingest the dataset again") from error
    for name, wanted in facts.files.items():
        try:
            found = _sha256(folder / name)
        except OSError as error:
            raise DatasetError(
                f"{folder}/{name} cannot be read ({error.strerror}): ingest the dataset again"
            ) from error
        if found != wanted:
            raise DatasetError(
                f"{folder}/{name} has digest {found[:12]}, dataset.json says {wanted[:12]}: ingest it again"
            )
    return Dataset(folder=folder, digest=digest, facts=facts)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _to_numpy(array: pa.Array, column: Column) -> NDArray[Any]:
    import pyarrow as pa

    if column.shape:
        values = array.flatten().to_numpy(zero_copy_only=False).reshape(-1, *column.shape)
    elif column.type == "timestamp":
        values = array.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    elif column.dtype.kind in "bui" and array.null_count:
        values = array.fill_null(False if column.type == "bool" else 0).to_numpy(zero_copy_only=False)
    else:
        values = array.to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=column.dtype)


def utc(moment: np.datetime64) -> datetime:
    """A timestamp value as an aware datetime."""
    return datetime.fromtimestamp(float(moment.astype("datetime64[us]").astype(np.int64)) / 1e6, tz=UTC)
