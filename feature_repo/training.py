"""Training: the features of a service for rows that each have a moment of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.definitions import STAMP, define
from feature_repo.opening import open_store
from noria.errors import UsageError
from noria.features import FeatureService

# Beside a null, pandas would make floats of whole numbers, which cannot tell those above 2**53 apart.
_WHOLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}


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
    asked = rows.select([STAMP, *keys, *(name for name in rows.column_names if name.startswith("__"))])
    labels = _without_empty(asked, keys).to_pandas(types_mapper=_WHOLE.get)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder), tables)
        store.apply(wanted.objects())
        job = store.get_historical_features(entity_df=labels, features=wanted.service)
        return job.to_arrow().drop_columns([STAMP, *keys])


def _without_empty(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows with null for an empty text among the keys: the predictor takes that for a key that is missing, too."""
    for key in keys:
        if pa.types.is_string(rows.schema.field(key).type):
            place, values = rows.column_names.index(key), rows[key]
            rows = rows.set_column(place, key, pc.if_else(pc.equal(values, ""), None, values))
    return rows
