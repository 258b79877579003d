"""Questions to the tiny models: rows of features as V2 and V1 requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int64": "INT64",
    "float32": "FP32",
    "float64": "FP64",
    "object": "BYTES",
}


def rows_of_many(rows: int, seed: int = 7) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    return {
        "pixels": random.integers(0, 256, (rows, 2, 2), dtype=np.uint8),
        "wind speed": random.normal(size=rows).astype(np.float32),
        "price": random.normal(size=(rows, 2)),
        "shelf": random.integers(0, 5, rows),
        "new": random.integers(0, 2, rows).astype(bool),
    }


def v2(features: Mapping[str, NDArray[Any]], *, nested: bool = False, **more: object) -> dict[str, Any]:
    inputs = [
        {
            "name": name,
            "datatype": DATATYPES[values.dtype.name],
            "shape": list(values.shape),
            "data": (values if nested else values.ravel()).tolist(),
        }
        for name, values in features.items()
    ]
    return {"inputs": inputs, **more}


def v1(features: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    rows = len(next(iter(features.values())))
    return {"instances": [{name: values[row].tolist() for name, values in features.items()} for row in range(rows)]}


def outputs(answer: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {out["name"]: np.array(out["data"]).reshape(out["shape"]) for out in answer["outputs"]}
