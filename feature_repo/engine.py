"""Engine: DuckDB within the memory that it is given, spilling what does not fit."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb
import pyarrow as pa

from noria.errors import SourceError, StoreError, UsageError

ROWS_A_BATCH = 10_000


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where DuckDB may work; one database a process and settings, so the limit holds for all jobs together."""

    memory_limit: str
    threads: int  # 0: as many as there are cores
    temp_directory: str  # "": the system's

    def run(self, query: str, tables: dict[str, pa.Table]) -> pa.Table:
        """Answer the query over these tables and files.

        StoreError if memory and disk do not suffice, SourceError if the files do not hold what they should.
        """
        with self._explained(), self._cursor() as cursor:
            for name, table in tables.items():
                cursor.register(name, table)
            return cursor.sql(query).to_arrow_table()

    def stream(self, query: str) -> Iterator[pa.RecordBatch]:
        """Answer the query over files part by part, so that the answer need not fit into memory; errors as of run."""
        with self._explained(), self._cursor() as cursor:
            yield from cursor.sql(query).to_arrow_reader(ROWS_A_BATCH)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise StoreError(
                f"DuckDB ran out of room ({error}): expected the work to fit into offline_store.memory_limit "
                f"({self.memory_limit}) and what spills into offline_store.temp_directory; raise the limit"
            ) from error
        except duckdb.IOException as error:
            raise StoreError(
                f"DuckDB cannot read or spill ({error}): expected readable files, and room in "
                f"offline_store.temp_directory ({self.spill_folder()}); free space or name another folder"
            ) from error
        except duckdb.Error as error:
            raise SourceError(
                f"the feature files cannot be read ({error}): write them again from their source"
            ) from error

    def columns(self, files: str) -> dict[str, str]:
        """The columns of a table expression, each with DuckDB's name of its type."""
        try:
            with self._cursor() as cursor:
                relation = cursor.sql(f"SELECT * FROM {files}")
                return dict(zip(relation.columns, map(str, relation.types), strict=True))
        except duckdb.Error as error:
            raise SourceError(f"{files} cannot be read ({error}): expected Parquet files; write them again") from error

    def spill_folder(self) -> Path:
        # Each process spills into a folder of its own, because DuckDB's files there have fixed names.
        return Path(self.temp_directory or tempfile.gettempdir()) / f"noria-duckdb-{os.getpid()}"

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        return _open(self).cursor()


@lru_cache(maxsize=8)
def _open(engine: Engine) -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": engine.memory_limit,
        "temp_directory": str(engine.spill_folder()),
        # Nothing is downloaded at run time: what this build of DuckDB lacks is an error.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        # A file that is replaced must not be answered from memory.
        "enable_external_file_cache": False,
    }
    if engine.threads:
        settings["threads"] = engine.threads
    try:
        # DuckDB makes the folder when it spills and removes it at its end, but makes none above it.
        engine.spill_folder().parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(":memory:", config=settings)
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
    except (duckdb.Error, OSError) as error:
        raise UsageError(
            f"offline_store in feature_store.yaml does not suit DuckDB ({error}): expected memory_limit like 1GB, "
            "threads from 0, temp_directory a folder"
        ) from error
    return connection
