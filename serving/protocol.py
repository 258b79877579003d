"""Protocol: requests and answers of the Open Inference Protocol (V2) and of KServe's V1, as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.schema import Column
from serving.tensors import ColumnReader, RequestError, decode, list_type, to_array

OUTPUTS = ("probabilities", "label")  # FP32 [rows, classes], and INT64 [rows]: the decision as index of its class
ID_LENGTH = 256


class V2Input(msgspec.Struct, frozen=True):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw


class V2Output(msgspec.Struct, frozen=True):
    name: str


class V2Request(msgspec.Struct, frozen=True):
    inputs: list[V2Input]
    outputs: list[V2Output] | None = None
    id: str | None = None


class V1Request(msgspec.Struct, frozen=True):
    instances: msgspec.Raw
    id: str | None = None


@dataclass(frozen=True, kw_only=True)
class PredictionRequest:
    """A request that fits the model; `outputs` are those it asks for, in its order."""

    id: str
    features: dict[str, NDArray[Any]]
    rows: int
    outputs: tuple[str, ...] = OUTPUTS


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says to one request; probabilities are float32 (rows, classes), labels int64 (rows,)."""

    id: str
    model: str
    version: str
    bundle: str
    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]


class RequestReader:
    """Reads requests for a model with these feature columns; all that does not fit is a RequestError."""

    def __init__(self, columns: Sequence[Column], max_rows: int) -> None:
        self._columns = tuple(columns)
        self._readers = {column.name: ColumnReader(column) for column in columns}
        self._max_rows = max_rows
        self._v2 = msgspec.json.Decoder(V2Request)
        self._v1 = msgspec.json.Decoder(V1Request)
        self._instances = msgspec.json.Decoder(_instances_type(self._columns))

    def read_v2(self, body: bytes) -> PredictionRequest:
        """Read {"inputs": [{"name", "shape", "datatype", "data"}, ...], "outputs": [...], "id": ...}."""
        request = decode(self._v2.decode, _text(body), "request body")
        found = sorted(tensor.name for tensor in request.inputs)
        if found != sorted(self._readers):
            raise RequestError(f"found inputs {_quote(found)}: expected {_quote(sorted(self._readers))}, each once")
        rows = self._count_rows(request.inputs[0])
        features = {tensor.name: self._read_tensor(tensor, rows) for tensor in request.inputs}
        return PredictionRequest(
            id=_identify(request.id), features=features, rows=rows, outputs=_choose_outputs(request.outputs)
        )

    def read_v1(self, body: bytes) -> PredictionRequest:
        """Read {"instances": [...]}: bare nested lists for one feature, an object by column name for several."""
        request = decode(self._v1.decode, _text(body), "request body")
        data = bytes(request.instances)
        if len(self._columns) == 1:
            self._check_size(data, self._columns[0])
        instances = decode(self._instances.decode, data, "instances")
        rows = self._check_rows(len(instances))
        features = {}
        for place, column in enumerate(self._columns):
            values = instances if len(self._columns) == 1 else [getattr(one, f"f{place}") for one in instances]
            features[column.name] = to_array(values, column, (rows, *column.shape))
        return PredictionRequest(id=_identify(request.id), features=features, rows=rows)

    def _count_rows(self, tensor: V2Input) -> int:
        if not tensor.shape:
            raise RequestError(f"input {tensor.name!r} has shape []: expected the number of rows first")
        return self._check_rows(tensor.shape[0])

    def _check_rows(self, rows: int) -> int:
        if rows < 1:
            raise RequestError(f"found {rows} rows: expected 1 to {self._max_rows}")
        if rows > self._max_rows:
            raise RequestError(f"found {rows} rows: expected at most {self._max_rows}, so send them in parts", 413)
        return rows

    def _check_size(self, data: bytes, column: Column) -> None:
        """Refuse too many rows before any value is made; strings may hold commas, so they are counted later."""
        most = self._max_rows * math.prod(column.shape)
        if column.type != "string" and data.count(b",") >= most:
            raise RequestError(f"found more than {most} values: expected at most {self._max_rows} instances", 413)

    def _read_tensor(self, tensor: V2Input, rows: int) -> NDArray[Any]:
        reader = self._readers[tensor.name]
        if tensor.datatype != reader.datatype:
            raise RequestError(
                f"input {tensor.name!r} has datatype {_quote(tensor.datatype)}: expected {reader.datatype}"
            )
        expected = [rows, *reader.column.shape]
        if tensor.shape != expected:
            raise RequestError(f"input {tensor.name!r} has shape {_quote(tensor.shape)}: expected {expected}")
        return reader.read(bytes(tensor.data), rows)


def encode_v2(answer: Answer, outputs: Sequence[str]) -> bytes:
    """The V2 answer; a parameter's value may only be text, number or bool there, so the classes go as JSON text."""
    tensors: dict[str, tuple[str, NDArray[Any]]] = {
        "probabilities": ("FP32", answer.probabilities),
        "label": ("INT64", answer.labels),
    }
    return msgspec.json.encode(
        {
            "model_name": answer.model,
            "model_version": answer.version,
            "id": answer.id,
            "parameters": {"bundle": answer.bundle, "classes": msgspec.json.encode(answer.classes).decode()},
            "outputs": [
                {"name": name, "shape": array.shape, "datatype": datatype, "data": array.ravel().tolist()}
                for name, (datatype, array) in ((name, tensors[name]) for name in outputs)
            ],
        }
    )


def encode_v1(answer: Answer) -> bytes:
    """The V1 answer: one object per instance, with the name of the class."""
    pairs = zip(answer.labels.tolist(), answer.probabilities.tolist(), strict=True)
    return msgspec.json.encode(
        {
            "predictions": [{"label": answer.classes[label], "probabilities": row} for label, row in pairs],
            "model_name": answer.model,
            "model_version": answer.version,
            "bundle": answer.bundle,
            "id": answer.id,
        }
    )


def describe_inputs(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The inputs in a model's V2 metadata; -1 stands for the rows."""
    return [
        {"name": column.name, "datatype": ColumnReader(column).datatype, "shape": [-1, *column.shape]}
        for column in columns
    ]


def describe_outputs(classes: int) -> list[dict[str, Any]]:
    """The outputs in a model's V2 metadata."""
    return [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
        {"name": "label", "datatype": "INT64", "shape": [-1]},
    ]


def _instances_type(columns: tuple[Column, ...]) -> Any:
    if len(columns) == 1:
        return list_type(columns[0], 1 + len(columns[0].shape))
    # A column's name need not be a Python name, so the fields are numbered and renamed.
    fields = [(f"f{place}", list_type(column, len(column.shape))) for place, column in enumerate(columns)]
    names = {f"f{place}": column.name for place, column in enumerate(columns)}
    return list[msgspec.defstruct("Instance", fields, rename=names, forbid_unknown_fields=True)]  # type: ignore[misc]


def _text(body: bytes) -> bytes:
    """Hold the whole body to UTF-8: the decoder looks only at the text that it keeps."""
    if not body:
        raise RequestError("the request body is empty: expected a JSON object")
    if not body.isascii():
        decode(lambda data: data.decode(), body, "request body")
    return body


def _identify(given: str | None) -> str:
    """The prediction id: the request's own, or a new one."""
    if given and len(given) > ID_LENGTH:
        raise RequestError(f"id has {len(given)} characters: expected at most {ID_LENGTH}")
    return given or str(uuid4())


def _choose_outputs(asked: list[V2Output] | None) -> tuple[str, ...]:
    names = tuple(output.name for output in asked or ()) or OUTPUTS
    if len(set(names)) != len(names) or not set(names) <= set(OUTPUTS):
        raise RequestError(f"found outputs {_quote(list(names))}: expected {_quote(list(OUTPUTS))}, each at most once")
    return names


def _quote(value: object) -> str:
    """Show what was found, but never more of it than a reader needs."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
