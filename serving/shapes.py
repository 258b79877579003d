"""Shapes: what a served model takes and gives, as JSON Schemas that say exactly what the server holds requests to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from noria.ml.inference import DATATYPES, PROBABILITIES
from noria.schema import Column
from serving.example import example_row
from serving.protocol import ID_LENGTH, OutputSpec
from serving.values import ValueRule

if TYPE_CHECKING:
    from serving.model import ServedModel

Json = dict[str, object]

STRING: Json = {"type": "string"}
ID: Json = {
    "type": ["string", "null"],
    "maxLength": ID_LENGTH,
    "description": "the prediction's id; without one the server makes it",
}
PARAMETERS: Json = {"type": ["object", "null"], "additionalProperties": {"type": ["boolean", "number", "string"]}}


def record(properties: Json, optional: Sequence[str] = (), **more: object) -> Json:
    """An object that has all these properties but the optional ones, and no others unless `more` says so."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False, **more}


def v2_request(model: ServedModel, max_rows: int) -> Json:
    """The JSON form of a V2 request. How much data there is must fit the shape, which no JSON Schema can say."""
    columns = model.facts.schema.features
    tensors = [_input(column, max_rows) for column in columns]
    inputs: Json = {
        "type": "array",
        "minItems": len(tensors),
        "maxItems": len(tensors),
        "description": "one tensor for each feature, in any order, all with the same rows",
    }
    if len(tensors) == 1:
        inputs["items"] = tensors[0]
    else:
        inputs["items"] = {"anyOf": tensors}
        inputs["allOf"] = [
            {"contains": {"type": "object", "properties": {"name": {"const": column.name}}, "required": ["name"]}}
            for column in columns
        ]
    properties: Json = {
        "inputs": inputs,
        "outputs": _requested(model.outputs),
        "id": ID,
        "parameters": {
            **PARAMETERS,
            "properties": {
                "binary_data_output": {"type": "boolean", "description": "whether outputs come as binary tensors"}
            },
        },
    }
    example = {"inputs": [_example_input(column) for column in columns]}
    return record(properties, ["outputs", "id", "parameters"], additionalProperties=True, examples=[example])


def v1_request(model: ServedModel, max_rows: int) -> Json:
    """A V1 request: objects by column name, or bare values for a model of one feature."""
    columns = model.facts.schema.features
    by_name: Json = {column.name: _row(column) for column in columns}
    objects = record(by_name)
    forms = [_rows(objects, max_rows)]
    instance: object = {column.name: example_row(column) for column in columns}
    if len(columns) == 1:
        forms.insert(0, _rows(_row(columns[0]), max_rows))
        instance = example_row(columns[0])
    properties: Json = {
        "instances": forms[0] if len(forms) == 1 else {"anyOf": forms},
        "id": ID,
        "parameters": PARAMETERS,
    }
    return record(properties, ["id", "parameters"], additionalProperties=True, examples=[{"instances": [instance]}])


def v2_answer(model: ServedModel) -> Json:
    """The JSON form of a V2 answer."""
    parameters = record(
        {
            "bundle": {**STRING, "description": "the digest of the bundle that answered"},
            "classes": {**STRING, "description": "the names of the classes, a list as JSON text"},
            "fallback": {**STRING, "description": "what answered in the model's place; absent unless something did"},
        },
        ["fallback"],
    )
    outputs = [
        record(
            {
                "name": {"const": spec.name},
                "datatype": {"const": spec.datatype},
                "shape": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 1},
                    "minItems": 1 + len(spec.shape),
                    "maxItems": 1 + len(spec.shape),
                    "description": f"rows{''.join(f', {side}' for side in spec.shape)}",
                },
                "data": {"type": "array", "items": _output_value(spec)},
                "parameters": record({"binary_data_size": {"type": "integer", "minimum": 0}}),
            },
            ["data", "parameters"],
            description="data, or parameters.binary_data_size where they follow in binary",
        )
        for spec in model.outputs
    ]
    return record(
        {
            "model_name": {"const": model.name},
            "model_version": STRING,
            "id": STRING,
            "parameters": parameters,
            "outputs": {"type": "array", "items": {"anyOf": outputs}},
        }
    )


def v1_answer(model: ServedModel) -> Json:
    """A V1 answer."""
    classes = len(model.facts.classes)
    prediction = record(
        {
            "label": {"enum": list(model.facts.classes)},
            "probabilities": {
                "type": "array",
                "items": {"type": "number"},
                "minItems": classes,
                "maxItems": classes,
                "description": f"in the order {', '.join(model.facts.classes)}",
            },
        }
    )
    return record(
        {
            "predictions": {"type": "array", "items": prediction},
            "model_name": {"const": model.name},
            "model_version": STRING,
            "bundle": STRING,
            "id": STRING,
            "fallback": {**STRING, "description": "what answered in the model's place; absent unless something did"},
        },
        ["fallback"],
    )


def metadata(model: ServedModel) -> Json:
    """A model's V2 metadata."""
    tensor = record({"name": STRING, "datatype": STRING, "shape": {"type": "array", "items": {"type": "integer"}}})
    return record(
        {
            "name": {"const": model.name},
            "versions": {"type": "array", "items": STRING},
            "platform": STRING,
            "inputs": {"type": "array", "items": tensor},
            "outputs": {"type": "array", "items": tensor},
            "parameters": record({"bundle": STRING, "task": STRING, "classes": {}}),
        }
    )


def _input(column: Column, max_rows: int) -> Json:
    size = math.prod(column.shape)
    flat: Json = {"type": "array", "items": _value(column), "minItems": size, "maxItems": size * max_rows}
    nested = _rows(_row(column), max_rows)
    properties: Json = {
        "name": {"const": column.name},
        "datatype": {"const": DATATYPES[column.type]},
        "shape": _shape(column.shape, max_rows),
        "data": {"anyOf": [flat, nested]} if column.shape else flat,
        # Data in JSON leave nothing to follow in binary.
        "parameters": {**PARAMETERS, "properties": {"binary_data_size": False}},
    }
    return record(properties, ["parameters"], additionalProperties=True)


def _requested(specs: Sequence[OutputSpec]) -> Json:
    flag: Json = {"type": "boolean", "description": "whether it comes as a binary tensor"}
    parameters: Json = {
        **PARAMETERS,
        "properties": {"binary_data": flag, "classification": False, "shared_memory_region": False},
    }
    properties: Json = {"name": {"enum": [spec.name for spec in specs]}, "parameters": parameters}
    return {
        "type": ["array", "null"],
        "items": record(properties, ["parameters"], additionalProperties=True),
        "maxItems": len(specs),
        "description": "the outputs to give, each at most once; all of them without this",
    }


def _shape(shape: Sequence[int], max_rows: int) -> Json:
    rows: Json = {"type": "integer", "minimum": 1, "maximum": max_rows, "description": "rows"}
    # An integer with one allowed value, not a const: 28.0 would equal that, and is refused.
    sides: list[Json] = [{"type": "integer", "minimum": side, "maximum": side} for side in shape]
    count = 1 + len(sides)
    return {"type": "array", "prefixItems": [rows, *sides], "items": False, "minItems": count, "maxItems": count}


def _rows(row: Json, max_rows: int) -> Json:
    return {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}


def _row(column: Column) -> Json:
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


def _value(column: Column) -> Json:
    value = _number_or_text(column)
    return {"anyOf": [value, {"type": "null"}]} if ValueRule(column).allows_missing else value


def _number_or_text(column: Column) -> Json:
    kind = column.dtype.kind
    if column.choices:
        return _choice(column)
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


def _output_value(spec: OutputSpec) -> Json:
    if spec.name == PROBABILITIES:
        return {"type": "number"}
    if spec.datatype.startswith("FP"):
        return {"type": ["number", "null"], "description": "null where it is not finite; in binary it is as it is"}
    return {"type": {"BOOL": "boolean", "BYTES": "string"}.get(spec.datatype, "integer")}


def _example_input(column: Column) -> Json:
    row = example_row(column)
    return {"name": column.name, "datatype": DATATYPES[column.type], "shape": [1, *column.shape], "data": [row]}
