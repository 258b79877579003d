"""Writing: rows put where a source reads them, whole or not at all."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.errors import SavedDatasetLocationAlreadyExists

from feature_repo.sources import Reader
from noria.errors import SourceError, StoreError
from noria.ml.durable import make_folder, staged, sync_folder


def write_new(reader: Reader, source: DataSource, table: pa.Table, *, overwrite: bool) -> None:
    """Write the table to a file of its own, or into a folder; SavedDatasetLocationAlreadyExists if one is there."""
    path = reader.path(source)
    if path.startswith("s3://"):
        whole = path.endswith(".parquet")
        _put(path if whole else _part(path), table, new=whole and not overwrite)
        return
    place = Path(path)
    if place.exists() and not overwrite:
        raise SavedDatasetLocationAlreadyExists(location=path)
    if place.suffix == ".parquet":
        _write(place, table.schema, iter((table,)))
        return
    old = tuple(place.rglob("*.parquet"))
    _write(Path(_part(path)), table.schema, iter((table,)))
    for file in old:
        file.unlink()


def append(reader: Reader, source: DataSource, table: pa.Table) -> None:
    """Add the rows to the source: a part of its own in a folder, a new version of the file where it is one.

    Of two that append to one file at once, one may be lost; to a folder any number may append. An object of S3 is not
    appended to for that reason: StoreError.
    """
    path = reader.path(source)
    if path.endswith(".parquet"):
        if path.startswith("s3://"):
            raise StoreError(
                f"{path} is one object, to which two writers could append and lose rows: expected a source whose "
                "path is a prefix, where each write is an object of its own"
            )
        _append_to_file(Path(path), table)
    elif path.startswith("s3://"):
        _put(_part(path), table, new=False)
    else:
        _write(Path(_part(path)), table.schema, iter((table,)))


def _append_to_file(path: Path, table: pa.Table) -> None:
    if not path.exists():
        _write(path, table.schema, iter((table,)))
        return
    with pq.ParquetFile(path) as old:
        schema = old.schema_arrow
        try:
            added = table.select(schema.names).cast(schema)
        except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(f"rows do not fit to {path} ({error}): expected the columns {schema.names}") from error
        _write(path, schema, _rows(old, added))


def _rows(old: pq.ParquetFile, added: pa.Table) -> Iterator[pa.Table]:
    # Old rows stand first, so that of equal times the one that came last wins.
    for group in range(old.num_row_groups):
        yield old.read_row_group(group)
    yield added


def _write(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    make_folder(path.parent)
    with staged(path.parent) as staging:
        with staging.open("wb") as file:
            with pq.ParquetWriter(file, schema) as writer:
                for table in tables:
                    writer.write_table(table)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    sync_folder(path.parent)


def _put(address: str, table: pa.Table, *, new: bool) -> None:
    from noria.stores.opening import open_store

    folder, _, name = address.rpartition("/")
    sink = io.BytesIO()
    pq.write_table(table, sink)
    store = open_store(folder)
    (store.put_new if new else store.put)(name, sink.getvalue())


def _part(folder: str) -> str:
    return f"{folder.rstrip('/')}/{uuid.uuid4().hex}.parquet"
