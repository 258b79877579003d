"""Choices: a text as its place among its column's choices, in training and as a part of a model's graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.schema import Column

UNKNOWN = 0  # the place of every text that is no choice, and of one that is missing; the choices' own begin with 1
DOMAIN, VERSION = "ai.onnx.ml", 2  # of the operator, the least that knows texts to integers


def place_texts(column: Column, values: NDArray[Any]) -> NDArray[np.int64]:
    """The places of texts of any shape, None among them."""
    places = {choice: place for place, choice in enumerate(column.choices, start=1)}
    flat = values.ravel().tolist()
    found = np.fromiter((places.get(text, UNKNOWN) for text in flat), np.int64, len(flat))
    return found.reshape(values.shape)


def unknown_texts(column: Column, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Rows that have a text, not a missing one, that is no choice; of a column without choices, none."""
    if not column.choices:
        return np.zeros(len(values), dtype=bool)
    known = {*column.choices, None, ""}
    flat = values.ravel().tolist()
    strange = np.fromiter((text not in known for text in flat), bool, len(flat))
    return np.asarray(strange.reshape(len(values), column.size).any(axis=1))


def fill_texts(values: NDArray[Any]) -> NDArray[Any]:
    """Put "" in place of each missing text: a graph's texts have no other word for it. Other types stay as they are."""
    if values.dtype.kind != "O":
        return values
    flat = values.ravel().tolist()
    if None not in flat:
        return values
    filled = np.empty(len(flat), object)
    filled[:] = ["" if text is None else text for text in flat]
    return filled.reshape(values.shape)


def placing_node(column: Column, source: str, target: str) -> Any:
    """The ONNX node that does what `place_texts` does; its graph imports DOMAIN in VERSION."""
    from onnx import helper

    return helper.make_node(
        "LabelEncoder",
        [source],
        [target],
        domain=DOMAIN,
        keys_strings=list(column.choices),
        values_int64s=list(range(1, len(column.choices) + 1)),
        default_int64=UNKNOWN,
    )
