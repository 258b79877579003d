"""Tensors: the JSON values of one column into a numpy array of exactly its type, range and shape, or a refusal."""

from __future__ import annotations

import math
import types
from array import array as packed
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from noria.ml.inference import DATATYPES
from noria.schema import Column
from serving.jsontext import blank_texts, count_texts, decode, shorten
from serving.refusal import RequestError
from serving.values import ValueRule


def _integer(dtype: str) -> Any:
    limits = np.iinfo(dtype)
    if limits.max > 2**63 - 1:
        return Annotated[int, Meta(ge=0)]  # msgspec takes no larger bound than int64's
    return Annotated[int, Meta(ge=limits.min, le=limits.max)]


# Column type -> what one JSON value may be, for each type that a request can carry. JSON has no NaN and no infinity,
# and null is taken only where the schema lets a value be missing, so an array holds what somebody has written down.
JSON_TYPES: Mapping[str, Any] = {
    "bool": bool,
    **{f"{sign}int{bits}": _integer(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": float for bits in (16, 32, 64)},
    "string": str,
}
# Ways to pack a flat list, faster than np.array by half and more; each refuses what its type does not hold, or, for
# float32, makes it infinite, which the rule of values refuses.
PACKERS: Mapping[str, Callable[[list[Any]], Any]] = {
    "bool": bytearray,
    "uint8": bytearray,
    "int8": partial(packed, "b"),
    "int16": partial(packed, "h"),
    "int32": partial(packed, "i"),
    "int64": partial(packed, "q"),
    "uint16": partial(packed, "H"),
    "uint32": partial(packed, "I"),
    "uint64": partial(packed, "Q"),
    "float32": partial(packed, "f"),
    "float64": partial(packed, "d"),
}
NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[],")


class ColumnReader:
    """Reads the JSON values of one column, as the flat list or the nested lists that the protocol allows."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.datatype = DATATYPES[column.type]
        self.size = math.prod(column.shape)  # values of one row
        self.rule = ValueRule(column)
        self._skeleton = skeleton(column.shape)
        self.is_text = column.type == "string"
        self.texts = self.size if self.is_text else 0  # of one row
        self.row_type = list_type(column, len(column.shape))  # of one row's JSON
        self._pack = None if self.rule.allows_missing else PACKERS.get(column.type)
        quick = int if column.dtype.kind in "ui" else value_type(column)
        self._quick = msgspec.json.Decoder(types.GenericAlias(list, quick))
        self._flat = msgspec.json.Decoder(list_type(column, 1))
        self._nested = msgspec.json.Decoder(list_type(column, 1 + len(column.shape)))

    def read(self, data: bytes, rows: int, *, nested: bool = False) -> NDArray[Any]:
        """Turn JSON into an array of shape (rows, *column.shape); `nested` says that a flat list will not do."""
        if data[:1] != b"[":
            raise RequestError(
                f"data of {self.column.name!r} is {shorten(data)}: expected a list of {self.column.type} values"
            )
        bare = self._blank(data, rows)
        self._check_count(self._count(bare), rows)
        flat = bare.find(b"[", 1) < 0 and not (nested and self.column.shape)
        if self.is_text or not (flat or bare.translate(None, NOT_BRACKETS) == repeat(self._skeleton, rows)):
            return self._read_slowly(data, rows, flat=flat)
        try:
            # Lists of the right shape hold the same values in the same order without their inner brackets.
            values = self._quick.decode(data if flat else b"[%b]" % data.translate(None, b"[]"))
            if len(values) == rows * self.size:
                return self.rule.check(self._to_array(values, rows))
        except (msgspec.MsgspecError, ValueError, OverflowError):
            pass  # read again below, for words that name the place
        return self._read_slowly(data, rows, flat=flat)

    def gather(self, values: list[Any], rows: int) -> NDArray[Any]:
        """Make the array of the rows of V1, each read as `row_type` says."""
        return to_array(values, self.column, (rows, *self.column.shape), self.rule)

    def count_gaps(self, values: list[Any]) -> int:
        """Count the nulls among rows of V1, where texts might stand."""
        return _count_missing(values) if self.is_text and self.rule.allows_missing else 0

    def count_values(self, data: bytes, most: int) -> int:
        """Count the values of a list of any depth, before any is made; `most` is the number of rows allowed."""
        return self._count(self._blank(data, most))

    def _to_array(self, values: list[Any], rows: int) -> NDArray[Any]:
        if self._pack is not None:
            return np.ndarray((rows, *self.column.shape), self.column.dtype, self._pack(values))
        with np.errstate(over="ignore"):  # what is too large for float16 becomes infinite, and is refused
            return np.array(values, self.column.dtype).reshape(rows, *self.column.shape)

    def _read_slowly(self, data: bytes, rows: int, *, flat: bool) -> NDArray[Any]:
        """Read texts, or find out what is wrong with the rest."""
        values = decode((self._flat if flat else self._nested).decode, data, f"data of {self.column.name!r}")
        shape = (rows, *self.column.shape)
        return to_array(values, self.column, (rows * self.size,) if flat else shape, self.rule).reshape(shape)

    def _blank(self, data: bytes, rows: int) -> bytes:
        """Take the texts out, whose commas and brackets are no list's, unless there are too many of them anyway."""
        if not self.is_text:
            return data
        texts = count_texts(data)
        if texts > rows * self.size:
            self._check_count(texts, rows)
        return blank_texts(data)

    def _count(self, bare: bytes) -> int:
        """Lists of values have a comma between two."""
        commas = bare.count(b",")
        return commas + 1 if commas or bare.strip(b"[] \t\r\n") else 0

    def _check_count(self, found: int, rows: int) -> None:
        expected = rows * self.size
        if found != expected:
            shape = [rows, *self.column.shape]
            raise RequestError(
                f"data of {self.column.name!r} has {found} values: expected {expected} for shape {shape}"
            )


def value_type(column: Column) -> Any:
    """The type of one JSON value of the column."""
    kind = JSON_TYPES[column.type]
    return kind | None if ValueRule(column).allows_missing else kind


def list_type(column: Column, depth: int) -> Any:
    """The type of `depth` nested lists of the column's values."""
    nested = value_type(column)
    for _ in range(depth):
        nested = types.GenericAlias(list, nested)
    return nested


def to_array(values: Any, column: Column, shape: tuple[int, ...], rule: ValueRule) -> NDArray[Any]:
    """Make the array of nested lists whose values are of the right kind already, but whose lengths may be anything."""
    _check_lengths(values, shape, f"data of {column.name!r}")
    try:
        with np.errstate(over="ignore"):  # what is too large for a small float becomes infinite, and is refused below
            array = np.array(values, dtype=column.dtype).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise RequestError(
            f"data of {column.name!r} has a number that does not fit {column.type}: expected {column.dtype} numbers"
        ) from error
    return rule.check(array)


def _check_lengths(values: Any, shape: Sequence[int], what: str, at: str = "") -> None:
    """Refuse nested lists whose lengths are not the shape's; `at` is where these stand."""
    if not shape:
        return
    if len(values) != shape[0]:
        raise RequestError(
            f"{what} has a list of {len(values)} values at `${at}`: expected {shape[0]}, of shape {list(shape)}"
        )
    if len(shape) > 1:
        for place, part in enumerate(values):
            _check_lengths(part, shape[1:], what, f"{at}[{place}]")


def _count_missing(values: list[Any]) -> int:
    """Count the nulls in nested lists."""
    return sum(_count_missing(value) if isinstance(value, list) else value is None for value in values)


def skeleton(shape: tuple[int, ...]) -> bytes:
    """The brackets and commas of nested lists of this shape: what is left of them without values and space."""
    text = b""
    for length in reversed(shape):
        text = repeat(text, length)
    return text


def repeat(part: bytes, times: int) -> bytes:
    return b"[%b]" % b",".join([part] * times)
