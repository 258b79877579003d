"""Jobs: retrievals that run when their answer is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from feature_repo.sources import Reader
from noria.errors import UsageError


class AsofRetrievalJob(RetrievalJob):
    """An answer to come: `work` makes it, and is called once for each time that the answer is asked for."""

    def __init__(
        self,
        work: Callable[[], pa.Table],
        *,
        reader: Reader,
        full_feature_names: bool = False,
        on_demand: Sequence[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
        index: pd.Index[Any] | None = None,
    ) -> None:
        self._work = work
        self._reader = reader
        self._full_feature_names = full_feature_names
        self._on_demand = list(on_demand)
        self._metadata = metadata
        self._index = index

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """The answer with the index of the entity frame, where there was one."""
        frame = super().to_df(validation_reference=validation_reference, timeout=timeout)
        if self._index is not None:
            frame.index = self._index
        return frame

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        if timeout is not None:
            raise UsageError(
                f"timeout={timeout} is asked for: expected none, because this store cannot break off a join"
            )
        return self._work()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Write the answer, whole or not at all."""
        from feature_repo.writing import write_new

        write_new(self._reader, storage.to_data_source(), self.to_arrow(timeout=timeout), overwrite=allow_overwrite)
