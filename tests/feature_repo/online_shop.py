"""A small feature service, its tables with history, and what was known of it at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from noria.features import FeatureService, FeatureView, Field
from noria.stores.online.rows import Packer, row_key
from noria.stores.online.store import OnlineStore

BEGIN = datetime(2026, 1, 1, 12, 0, 0, 123457, tzinfo=UTC)  # its microseconds have to last
HOUR = timedelta(hours=1)
FIELDS = (
    Field(name="pieces", type="int64"),
    Field(name="price", type="float64"),
    Field(name="label", type="string"),
)
STOCK = FeatureView(name="stock", keys=("shop",), fields=FIELDS, ttl_seconds=7 * 86_400)
# The keys are not in the order of the alphabet, in which Feast would have them.
WAYS = FeatureView(name="ways", keys=("shop", "dest"), fields=(Field(name="miles", type="float64"),), ttl_seconds=3600)
SHOP = FeatureService(name="shop_v1", views=(STOCK, WAYS))
TYPES = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
INSTANT = pa.timestamp("us", tz="UTC")

Row = Sequence[Any]  # keys, hours after BEGIN, values


def at(hours: float) -> datetime:
    return BEGIN + hours * HOUR


def write_view(folder: Path, view: FeatureView, rows: Sequence[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*rows, strict=True)) or [()] * (len(view.keys) + 1 + len(view.fields))
    table = {name: pa.array(columns[place], pa.string()) for place, name in enumerate(view.keys)}
    table["event_timestamp"] = pa.array([at(hours) for hours in columns[len(view.keys)]], INSTANT)
    for place, field in enumerate(view.fields, len(view.keys) + 1):
        table[field.name] = pa.array(columns[place], TYPES[field.type])
    pq.write_table(pa.table(table), folder / f"{view.name}.parquet")


def write_shop(folder: Path, stock: Sequence[Row] = (), ways: Sequence[Row] = ()) -> Path:
    write_view(folder, STOCK, stock)
    write_view(folder, WAYS, ways)
    return folder


def kept(store: OnlineStore, view: FeatureView, *keys: str) -> tuple[float, Any] | None:
    """What the store has of an entity: hours after BEGIN, values."""
    (data,) = store.read([row_key(view.name, keys)])
    if data is None:
        return None
    row = Packer(view).unpack(data)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row.event)
    return (moment - BEGIN) / HOUR, row.values
