"""Training: the features of a service for rows that each have a moment of their own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa

from feature_repo.definitions import STAMP, define
from feature_repo.opening import open_store
from noria.errors import UsageError
from noria.features import FeatureService


def join_features(rows: pa.Table, tables: Path, service: FeatureService) -> pa.Table:
    """The rows' features as of their `event_timestamp`, from the tables in the folder, in the rows' order.

    `rows` has the entities' keys; `__row` and every feature of the service come back. What Feast keeps of it lasts as
    long as the call, so that nobody else's registry says what this dataset is. UsageError where a key is missing.
    """
    wanted = define(service, tables)
    keys = sorted({key for view in wanted.views for key in view.join_keys})
    if missing := sorted({*keys, STAMP} - set(rows.column_names)):
        raise UsageError(
            f"the rows lack {', '.join(missing)}: service {service.name} joins on {', '.join(keys)}; have the "
            "task's events name them"
        )
    labels = rows.select([STAMP, *keys, *(name for name in rows.column_names if name.startswith("__"))])
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder), tables)
        store.apply(wanted.objects())
        job = store.get_historical_features(entity_df=labels.to_pandas(), features=wanted.service)
        return job.to_arrow().drop_columns([STAMP, *keys])
