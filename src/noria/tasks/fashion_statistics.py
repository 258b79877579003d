"""Fashion statistics: what a garment's picture is like in five numbers, kept in the feature store.

No model is given them: it has the picture. People look at rows by them, in slices and in reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from noria.features import FeatureService, FeatureView, Field
from noria.tasks.fashion_schema import KEY, STATISTICS

if TYPE_CHECKING:
    import pyarrow as pa

NEAR_BLACK = 31  # of 255: darker pixels belong to the background, or to its edge
CENTURY = 36_525 * 86_400.0  # seconds: a picture stays what it is, but a view has a ttl

VIEW = FeatureView(
    name="item_statistics",
    keys=(KEY,),
    fields=tuple(Field(name=column.name, type="float64") for column in STATISTICS),
    ttl_seconds=CENTURY,
)
SERVICE = FeatureService(name="fashion_v1", views=(VIEW,))


def describe_pictures(pictures: NDArray[np.uint8]) -> Mapping[str, NDArray[np.float64]]:
    """The statistics of pictures (rows, height, width), each (rows,); a black one has no size, and symmetry 1."""
    rows, height, width = pictures.shape
    light = pictures.reshape(rows, -1).sum(axis=1, dtype=np.int64)
    shown = pictures > 0
    signed = pictures.astype(np.int16)
    apart = np.abs(signed - signed[:, :, ::-1]).sum(axis=(1, 2), dtype=np.int64)
    # All sums are whole numbers, so that a value is the same to the last bit wherever it is worked out.
    return {
        "ink": light / (height * width),
        "filled": (pictures > NEAR_BLACK).sum(axis=(1, 2)) / (height * width),
        "height": _extent(np.asarray(shown.any(axis=2))),
        "width": _extent(np.asarray(shown.any(axis=1))),
        "symmetry": 1.0 - apart / np.maximum(2 * light, 1),
    }


def _extent(lines: NDArray[np.bool_]) -> NDArray[np.float64]:
    """From the first to the last line that shows anything, both included: (rows, lines) to (rows,)."""
    first, behind = lines.argmax(axis=1), lines[:, ::-1].argmax(axis=1)
    return np.where(lines.any(axis=1), lines.shape[1] - first - behind, 0).astype(np.float64)


def write_statistics(chunks: Iterable[Mapping[str, NDArray[Any]]], folder: Path) -> None:
    """Write the view's table, chunk by chunk of columns as `Fashion.read` has them; known when the item was listed."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(folder / f"{VIEW.name}.parquet", _table_schema(), compression="zstd") as writer:
        for chunk in chunks:
            columns = {
                KEY: chunk[KEY],
                "event_timestamp": chunk["time"],
                **describe_pictures(chunk["image"]),
            }
            writer.write_table(_table(columns))


def _table_schema() -> pa.Schema:
    import pyarrow as pa

    stamp = ("event_timestamp", pa.timestamp("us", tz="UTC"))
    return pa.schema([(KEY, pa.string()), stamp, *((field.name, pa.float64()) for field in VIEW.fields)])


def _table(columns: Mapping[str, NDArray[Any]]) -> pa.Table:
    import pyarrow as pa

    schema = _table_schema()
    return pa.table([pa.array(columns[each.name], each.type) for each in schema], schema=schema)
