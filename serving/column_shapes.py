"""Column shapes: what may stand in a request for one column, as JSON Schemas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from noria.ml.inference import DATATYPES
from noria.schema import Column
from serving.example import example_row
from serving.features.plan import FIRST, KEY_LENGTH, LAST
from serving.values import ValueRule

Json = dict[str, object]

STRING: Json = {"type": "string"}
PARAMETERS: Json = {"type": ["object", "null"], "additionalProperties": {"type": ["boolean", "number", "string"]}}
_MONTHS = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
_MOMENT = f"^(19[89][0-9]|2[01][0-9]{{2}})-({_MONTHS})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{{6}})?Z$"


def record(properties: Json, optional: Sequence[str] = (), **more: object) -> Json:
    """An object that has all these properties but the optional ones, and no others unless `more` says so."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False, **more}


def input_shape(column: Column, max_rows: int) -> Json:
    """A tensor of the column in a V2 request."""
    size = math.prod(column.shape)
    flat: Json = {"type": "array", "items": _value(column), "minItems": size, "maxItems": size * max_rows}
    nested = rows(row_shape(column), max_rows)
    properties: Json = {
        "name": {"const": column.name},
        "datatype": {"const": DATATYPES[column.type]},
        "shape": _shape(column.shape, max_rows),
        "data": {"anyOf": [flat, nested]} if column.shape else flat,
        # Data in JSON leave nothing to follow in binary.
        "parameters": {**PARAMETERS, "properties": {"binary_data_size": False}},
    }
    return record(properties, ["parameters"], additionalProperties=True)


def _shape(shape: Sequence[int], max_rows: int) -> Json:
    first: Json = {"type": "integer", "minimum": 1, "maximum": max_rows, "description": "rows"}
    # An integer with one allowed value, not a const: 28.0 would equal that, and is refused.
    sides: list[Json] = [{"type": "integer", "minimum": side, "maximum": side} for side in shape]
    count = 1 + len(sides)
    return {"type": "array", "prefixItems": [first, *sides], "items": False, "minItems": count, "maxItems": count}


def rows(row: Json, max_rows: int) -> Json:
    """A list of one row or more."""
    return {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}


def row_shape(column: Column) -> Json:
    """One row of a column in nested lists; where values may be missing, all of a row's or none."""
    row = _nest(_number_or_text(column), column.shape)
    if ValueRule(column).allows_missing:
        row = {"anyOf": [row, _nest({"type": "null"}, column.shape)]}
    about = ", ".join(part for part in (column.description, column.unit and f"in {column.unit}") if part)
    return {**row, "description": about} if about else row


def _nest(value: Json, shape: Sequence[int]) -> Json:
    for length in reversed(shape):
        value = {"type": "array", "items": value, "minItems": length, "maxItems": length}
    return value


def moment_shape() -> Json:
    """A moment in a V1 request."""
    number: Json = {"type": "integer", "minimum": FIRST, "maximum": LAST, "description": "µs since 1970"}
    text: Json = {"type": "string", "pattern": _MOMENT, "description": "ISO 8601; other forms of it are read, too"}
    return {"anyOf": [number, text], "description": "the moment of prediction; now without it"}


def _value(column: Column) -> Json:
    value = _number_or_text(column)
    return {"anyOf": [value, {"type": "null"}]} if ValueRule(column).allows_missing else value


def _number_or_text(column: Column) -> Json:
    kind = column.dtype.kind
    if column.choices:
        return _choice(column)
    if column.role == "key" and column.type == "string":
        least = 0 if ValueRule(column).allows_missing else 1
        return {"type": "string", "minLength": least, "maxLength": KEY_LENGTH}
    if kind not in "uif":
        return {"type": "boolean"} if kind == "b" else STRING
    low: float
    high: float
    if kind == "f":
        real = np.finfo(column.dtype)
        low, high = float(real.min), float(real.max)
    else:
        whole = np.iinfo(column.dtype)
        low, high = whole.min, whole.max
    if column.minimum is not None:
        low = max(low, column.minimum if kind == "f" else math.ceil(column.minimum))
    if column.maximum is not None:
        high = min(high, column.maximum if kind == "f" else math.floor(column.maximum))
    return {"type": "number" if kind == "f" else "integer", "minimum": low, "maximum": high}


def _choice(column: Column) -> Json:
    if not ValueRule(column).allows_missing:
        return {"type": "string", "enum": list(column.choices)}
    about = "any text, of which the model knows the examples; it takes every other for unknown, as it does null"
    return {"type": "string", "examples": list(column.choices), "description": about}


def example_input(column: Column) -> Json:
    """A tensor of one row."""
    row = example_row(column)
    return {"name": column.name, "datatype": DATATYPES[column.type], "shape": [1, *column.shape], "data": [row]}
