"""Store: Feast's offline store on DuckDB's ASOF join; feature_store.yaml names the class as its `type`.

Its rules are those of Feast's documents: of the rows of a key at or before a label's time, and not older than the ttl,
the newest counts; of equal times the one created last, then the last one of the files (which are taken in the order of
their names). Every label is answered once, in its place. A null key has no features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from feature_repo.engine import Engine
from feature_repo.history import labels_between, point_in_time
from feature_repo.jobs import AsofRetrievalJob
from feature_repo.labels import Labels
from feature_repo.pulls import Pull
from feature_repo.sources import Reader
from feature_repo.views import check_names, requested_views
from feature_repo.writing import append
from noria.errors import UsageError
from noria.settings import Settings


class AsofOfflineStoreConfig(FeastConfigBaseModel):
    """The part `offline_store` of feature_store.yaml."""

    type: Literal["feature_repo.asof_store.AsofOfflineStore"] = "feature_repo.asof_store.AsofOfflineStore"
    memory_limit: str = "1GB"  # of DuckDB, for all jobs of a process together; the answer itself comes on top
    threads: int = 0  # 0: as many as there are cores
    temp_directory: str = ""  # where DuckDB spills what does not fit; "": the system's folder for such files
    cache: str = ""  # where copies from S3 lie; "": NORIA_HOME/cache/features

    def engine(self) -> Engine:
        return Engine(memory_limit=self.memory_limit, threads=self.threads, temp_directory=self.temp_directory)


class AsofOfflineStore(OfflineStore):
    """The offline store; Feast calls its methods, most of them without an instance."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: object,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        *,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """The features of each label, as of its time; without labels, of each key and time within the dates."""
        engine, reader = config.offline_store.engine(), _reader(config)
        views = requested_views(feature_views, feature_refs, registry, project, full_names=full_feature_names)
        if entity_df is None:
            labels = labels_between(engine, reader, feature_views, views, start_date, end_date)
        else:
            labels = Labels.from_frame(entity_df)
        check_names(views, labels.table.column_names)
        joinable = labels.joinable([key.label for view in views for key in view.keys])
        first, last = labels.range()
        return AsofRetrievalJob(
            lambda: point_in_time(engine, reader, labels, joinable, views, only_known=filter_by_created_timestamp),
            reader=reader,
            full_feature_names=full_feature_names,
            on_demand=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=sorted(set(labels.table.column_names) - {labels.time}),
                min_event_timestamp=first,
                max_event_timestamp=last,
            ),
            index=labels.index,
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Of each key the latest row within the dates, both of which belong to the window."""
        pull = _pull(
            data_source, join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column,
            start_date, end_date,
        )  # fmt: skip
        return AsofRetrievalJob(_bound(pull.latest_rows, config), reader=_reader(config))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows within the dates, both of which belong to the window."""
        pull = _pull(
            data_source, join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column,
            start_date, end_date,
        )  # fmt: skip
        return AsofRetrievalJob(_bound(pull.all_rows, config), reader=_reader(config))

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,  # noqa: ARG004 - Feast's signature
        logging_config: LoggingConfig,
        registry: BaseRegistry,  # noqa: ARG004
    ) -> None:
        """Add the logs to their folder as a file of its own."""
        destination = logging_config.destination
        if not isinstance(destination, FileLoggingDestination) or destination.partition_by:
            raise UsageError(
                f"the logs' destination is {type(destination).__name__}, with partition_by "
                f"{getattr(destination, 'partition_by', None)}: expected FileLoggingDestination without partition_by, "
                "because each write is one file; leave partition_by out"
            )
        append(_reader(config), destination.to_data_source(), pq.read_table(data) if isinstance(data, Path) else data)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Add the rows to the view's source."""
        append(_reader(config), feature_view.batch_source, table)
        if progress:
            progress(table.num_rows)

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Look whether the source can be read and has its time; objects are fetched for it."""
        columns = config.offline_store.engine().columns(_reader(config).table(data_source))
        if data_source.timestamp_field and data_source.timestamp_field not in columns:
            mapped = {new: old for old, new in (data_source.field_mapping or {}).items()}
            if mapped.get(data_source.timestamp_field) not in columns:
                raise UsageError(
                    f"source {data_source.name} has no column {data_source.timestamp_field}: it has "
                    f"{', '.join(columns)}; mend timestamp_field"
                )

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """The columns with Arrow's names of their types, for Feast's inference."""
        schema = pq.read_schema(_reader(config).files(data_source)[0])
        return list(zip(schema.names, map(str, schema.types), strict=True))


def _reader(config: RepoConfig) -> Reader:
    cache = config.offline_store.cache or Settings.from_environment().home / "cache" / "features"
    return Reader(repository=Path(config.repo_path) if config.repo_path else None, cache=Path(cache))


def _bound(work: Callable[[Engine, Reader], pa.Table], config: RepoConfig) -> Callable[[], pa.Table]:
    return lambda: work(config.offline_store.engine(), _reader(config))


def _pull(
    source: DataSource,
    keys: list[str],
    features: list[str],
    time: str,
    created: str | None,
    start: datetime | None,
    end: datetime | None,
) -> Pull:
    return Pull(
        source=source,
        keys=tuple(keys),
        features=tuple(features),
        time=time,
        created=created or None,
        start=start,
        end=end,
    )
