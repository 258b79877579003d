"""Tensors: the JSON values of one column into a numpy array of exactly its type, range and shape, or a refusal."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from noria.errors import ServingError
from noria.schema import Column

T = TypeVar("T")

# Column type -> (datatype of the Open Inference Protocol, what one JSON value may be). JSON has no NaN and no
# infinity, and nothing here takes null, so an array holds nothing but what somebody has written down.
JSON_TYPES: Mapping[str, tuple[str, Any]] = {
    "bool": ("BOOL", bool),
    "uint8": ("UINT8", Annotated[int, Meta(ge=0, le=255)]),
    "int64": ("INT64", Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]),
    "float32": ("FP32", float),
    "float64": ("FP64", float),
    "string": ("BYTES", str),
}
BRACKETS = re.compile(rb"[\s\[]*")


class RequestError(ServingError):
    """A request that cannot be answered as it stands; `status` is the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class ColumnReader:
    """Reads the values of one column, as the flat list or the nested lists that the protocol allows."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.datatype = JSON_TYPES[column.type][0]
        self._flat = msgspec.json.Decoder(list_type(column, 1))
        self._nested = msgspec.json.Decoder(list_type(column, 1 + len(column.shape)))

    def read(self, data: bytes, rows: int) -> NDArray[Any]:
        """Turn JSON into an array of shape (rows, *column.shape)."""
        self._check_count(data, rows)
        opening = BRACKETS.match(data)
        flat = opening is None or opening.group().count(b"[") <= 1
        what = f"data of {self.column.name!r}"
        values = decode((self._flat if flat else self._nested).decode, data, what)
        shape = (rows, *self.column.shape)
        expected = (math.prod(shape),) if flat else shape
        return to_array(values, self.column, expected).reshape(shape)

    def _check_count(self, data: bytes, rows: int) -> None:
        """Refuse a wrong number of values before any of them is made: lists of numbers have a comma between two."""
        expected = math.prod((rows, *self.column.shape))
        if self.datatype != "BYTES" and data.count(b",") + 1 != expected:
            raise RequestError(
                f"data of {self.column.name!r} has {data.count(b',') + 1} values: expected {expected} for shape "
                f"{[rows, *self.column.shape]}"
            )


def list_type(column: Column, depth: int) -> Any:
    """The type of `depth` nested lists of the column's values."""
    nested = JSON_TYPES[column.type][1]
    for _ in range(depth):
        nested = types.GenericAlias(list, nested)
    return nested


def decode(read: Callable[[bytes], T], data: bytes, what: str) -> T:
    """Decode JSON from outside; whatever is wrong with it becomes a RequestError that names `what`."""
    try:
        return read(data)
    except RecursionError as error:
        raise RequestError(f"{what} is nested too deeply: expected lists as deep as the shape is long") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{what} is not UTF-8 at byte {error.start}: expected JSON in UTF-8") from error
    except msgspec.MsgspecError as error:
        raise RequestError(f"{what}: {error}") from error


def to_array(values: Any, column: Column, shape: tuple[int, ...]) -> NDArray[Any]:
    """Make the array of nested lists whose values are of the right kind already, but whose lengths may be anything."""
    try:
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused below
            array = np.array(values, dtype=column.dtype)
    except ValueError as error:
        raise RequestError(
            f"data of {column.name!r} has lists of unequal length: expected shape {list(shape)}"
        ) from error
    if array.shape != shape:
        raise RequestError(f"data of {column.name!r} has shape {list(array.shape)}: expected {list(shape)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RequestError(f"data of {column.name!r} has a number too large: expected one that fits {column.type}")
    return array
