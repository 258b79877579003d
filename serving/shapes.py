"""Shapes: what a served model takes and gives, as JSON Schemas that say exactly what the server holds requests to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noria.ml.inference import PROBABILITIES
from noria.schema import Column
from serving.column_shapes import (
    PARAMETERS,
    STRING,
    Json,
    example_input,
    input_shape,
    moment_shape,
    record,
    row_shape,
    rows,
)
from serving.example import example_row
from serving.protocol import ID_LENGTH, OutputSpec

if TYPE_CHECKING:
    from serving.model import ServedModel

ID: Json = {
    "type": ["string", "null"],
    "maxLength": ID_LENGTH,
    "description": "the prediction's id; without one the server makes it",
}
NOTE: Json = {
    "enum": ["degraded", "defaults"],
    "description": "features from the online store that are not fresh; absent where all are",
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of request: the columns that it brings, and those that it may bring as well."""

    needed: tuple[Column, ...]
    optional: tuple[Column, ...] = ()


def kinds_of(model: ServedModel) -> tuple[Kind, ...]:
    """The kinds of requests that a model takes; the first one is the one to show."""
    plan = model.plan
    if plan is None:
        return (Kind(needed=model.facts.schema.features),)
    whole = Kind(needed=plan.features, optional=plan.further)
    is_completed = model.completes and plan.supplied
    return (Kind(needed=plan.asked, optional=plan.optional), whole) if is_completed else (whole,)


def v2_request(model: ServedModel, max_rows: int) -> Json:
    """The JSON form of a V2 request. How much data there is must fit the shape, which no JSON Schema can say."""
    kinds = kinds_of(model)
    forms = [_inputs(kind, max_rows) for kind in kinds]
    inputs = forms[0] if len(forms) == 1 else {"anyOf": forms}
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
    example = {"inputs": [example_input(column) for column in kinds[0].needed]}
    return record(properties, ["outputs", "id", "parameters"], additionalProperties=True, examples=[example])


def v1_request(model: ServedModel, max_rows: int) -> Json:
    """A V1 request: objects by column name, or bare values for a model of one feature."""
    kinds, columns = kinds_of(model), model.facts.schema.features
    forms = [rows(_instance(kind, model), max_rows) for kind in kinds]
    instance: object = {column.name: example_row(column) for column in kinds[0].needed}
    if len(columns) == 1:
        forms.insert(0, rows(row_shape(columns[0]), max_rows))
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
            "features": NOTE,
            "feature_views": {**STRING, "description": "rows by view and status, an object as JSON text"},
        },
        ["fallback", "features", "feature_views"],
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
    counts: Json = {"type": "object", "additionalProperties": {"type": "integer"}}
    return record(
        {
            "predictions": {"type": "array", "items": prediction},
            "model_name": {"const": model.name},
            "model_version": STRING,
            "bundle": STRING,
            "id": STRING,
            "fallback": {**STRING, "description": "what answered in the model's place; absent unless something did"},
            "features": NOTE,
            "feature_views": {"type": "object", "additionalProperties": counts, "description": "by view and status"},
        },
        ["fallback", "features", "feature_views"],
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
            "parameters": record(
                {"bundle": STRING, "task": STRING, "classes": {}, "feature_service": STRING}, ["feature_service"]
            ),
        }
    )


def _inputs(kind: Kind, max_rows: int) -> Json:
    columns = (*kind.needed, *kind.optional)
    tensors = [input_shape(column, max_rows) for column in columns]
    inputs: Json = {
        "type": "array",
        "minItems": len(kind.needed),
        "maxItems": len(columns),
        "description": "one tensor for each feature, in any order, all with the same rows",
    }
    if len(tensors) == 1:
        return {**inputs, "items": tensors[0]}
    inputs["items"] = {"anyOf": tensors}
    if not kind.optional:  # so many that each is there once
        return {**inputs, "allOf": [_contains(column.name) for column in columns]}
    optional = {column.name for column in kind.optional}
    once = [{**_contains(c.name), "minContains": int(c.name not in optional), "maxContains": 1} for c in columns]
    return {**inputs, "allOf": once}


def _contains(name: str) -> Json:
    return {"contains": {"type": "object", "properties": {"name": {"const": name}}, "required": ["name"]}}


def _instance(kind: Kind, model: ServedModel) -> Json:
    properties: Json = {column.name: row_shape(column) for column in (*kind.needed, *kind.optional)}
    plan = model.plan
    if plan is not None and plan.moment.name in properties:
        properties[plan.moment.name] = moment_shape()
    more: Json = {"description": "all instances have the same columns"} if kind.optional else {}
    return record(properties, [column.name for column in kind.optional], **more)


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


def _output_value(spec: OutputSpec) -> Json:
    if spec.name == PROBABILITIES:
        return {"type": "number"}
    if spec.datatype.startswith("FP"):
        return {"type": ["number", "null"], "description": "null where it is not finite; in binary it is as it is"}
    return {"type": {"BOOL": "boolean", "BYTES": "string"}.get(spec.datatype, "integer")}
