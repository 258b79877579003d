"""Sources: the Parquet files behind a Feast source, as local paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feast import FileSource
from feast.data_format import ParquetFormat
from feast.data_source import DataSource

from noria.errors import SourceError, UsageError


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How the paths of sources are found: relative ones from the repository, objects by way of a cache."""

    repository: Path | None
    cache: Path

    def files(self, source: DataSource | None) -> tuple[Path, ...]:
        """The source's files in a fixed order, fetched if they lie in S3.

        UsageError if this store cannot read such a source, SourceError or StoreError if there is nothing.
        """
        path = self.path(source)
        if path.startswith("s3://"):
            from noria.stores.copies import fetch_objects

            return fetch_objects(path, self.cache)
        place = Path(path)
        files = tuple(sorted(place.rglob("*.parquet"))) if place.is_dir() else (place,)
        if not files or not files[0].is_file():
            raise SourceError(f"no Parquet file at {place}: expected the features there; write them or mend the path")
        return files

    def table(self, source: DataSource | None) -> str:
        """DuckDB's expression for the source's rows, which has file_index and file_row_number besides the columns."""
        names = ", ".join("'" + str(file).replace("'", "''") + "'" for file in self.files(source))
        return f"read_parquet([{names}])"

    def path(self, source: DataSource | None) -> str:
        """The address of the source: absolute, or s3://; UsageError if this store cannot read such a source."""
        if not isinstance(source, FileSource):
            name = getattr(source, "name", "(none)")
            raise UsageError(f"source {name} is a {type(source).__name__}: this store reads FileSource")
        if source.file_format is not None and not isinstance(source.file_format, ParquetFormat):
            raise UsageError(
                f"source {source.name} is in {type(source.file_format).__name__}: this store reads Parquet"
            )
        if source.s3_endpoint_override:
            raise UsageError(
                f"source {source.name} names an endpoint of its own ({source.s3_endpoint_override}): expected none, "
                "because all S3 access goes to NORIA_OBJECTS_ENDPOINT or AWS_ENDPOINT_URL; remove "
                "s3_endpoint_override and set one of them"
            )
        path = str(source.path).removeprefix("file://")
        if path.startswith("s3://"):
            return path
        if "://" in path:
            raise UsageError(f"source {source.name} lies at {path}: this store reads local paths and s3://")
        return str((self.repository or Path.cwd()) / path)
