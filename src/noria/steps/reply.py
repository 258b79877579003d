"""Reply: the body of a predictor's answer in the V2 protocol, turned into arrays."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Reply:
    """`probabilities` have the shape (rows, classes); each of the `labels`, (rows,), is the index of a class."""

    id: str
    bundle: str
    fallback: str  # what answered in the model's place; empty unless something did
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Output:
    name: str
    shape: tuple[int, ...]
    data: msgspec.Raw


@dataclass(frozen=True, kw_only=True)
class _Parameters:
    bundle: str
    fallback: str = ""


@dataclass(frozen=True, kw_only=True)
class _Body:
    id: str
    outputs: tuple[_Output, ...]
    parameters: _Parameters


def read_reply(text: bytes, rows: int) -> Reply:
    """Read the answer to so many rows; ValueError says what is wrong with it. Other outputs are let be."""
    body = msgspec.json.decode(text, type=_Body)
    outputs = {output.name: output for output in body.outputs}
    if missing := sorted({"probabilities", "label"} - outputs.keys()):
        raise ValueError(f"it lacks {', '.join(missing)}")
    probabilities = _array(outputs["probabilities"], rows, axes=2)
    labels = _array(outputs["label"], rows, axes=1)
    if not np.isin(labels, np.arange(probabilities.shape[1])).all():
        raise ValueError(f"a label is none of {probabilities.shape[1]} classes")
    return Reply(
        id=body.id,
        bundle=body.parameters.bundle,
        fallback=body.parameters.fallback,
        probabilities=probabilities,
        labels=labels.astype(np.int64),
    )


def _array(output: _Output, rows: int, *, axes: int) -> NDArray[np.float64]:
    values = np.array(msgspec.json.decode(output.data, type=list[float]), dtype=np.float64).reshape(output.shape)
    if values.shape != output.shape or values.ndim != axes or len(values) != rows or not values.size:
        raise ValueError(f"{output.name} has shape {list(output.shape)}, for {rows} rows")
    return values
