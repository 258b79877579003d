"""Protocol: requests and answers of the Open Inference Protocol (V2) and of KServe's V1, between bytes and arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UnsetType
from numpy.typing import NDArray

from noria.ml.inference import DATATYPES
from noria.schema import NUMPY_TYPES, Column
from serving.binary import parse_json_length, write_block
from serving.envelope import InputTensor, Optional, OutputChoice, V2Envelope, open_v1, open_v2
from serving.features.note import Note
from serving.payload import BodyReader
from serving.refusal import RequestError, show
from serving.tensors import ColumnReader
from serving.v1 import InstanceReader

__all__ = [
    "Answer",
    "OutputSpec",
    "PredictionRequest",
    "RequestReader",
    "RequestedOutput",
    "describe_inputs",
    "describe_outputs",
    "encode_v1",
    "encode_v2",
    "new_id",
    "parse_json_length",
]

ID_LENGTH = 256
IDS_AT_ONCE = 64
KEPT_BYTES = 1024  # of a JSON text whose reading is remembered
ReadTensor = Callable[[InputTensor, ColumnReader, int], NDArray[Any]]
DATATYPE_OF = {NUMPY_TYPES[name]: datatype for name, datatype in DATATYPES.items()}


# These are msgspec structs where the house has dataclasses: one is made for each request, in a fifth of the time.
class OutputSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An output of a model; `shape` is the shape of one row."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class RequestedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """An output that goes back to the client, as JSON or in binary."""

    name: str
    binary: bool


class PredictionRequest(msgspec.Struct, kw_only=True, gc=False):  # not frozen: the online store may complete it
    """A request that fits the model; `features` have shape (rows, *shape), `outputs` are in the client's order."""

    id: str
    features: dict[str, NDArray[Any]]
    rows: int
    outputs: tuple[RequestedOutput, ...]
    note: Note | None = None  # of features that did not come with it


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a model says to one request.

    `outputs` hold at least "probabilities", float32 (rows, classes), and "label", int64 (rows,): the decision as the
    index of its class. `fallback` names what answered in the model's place, if something did. `note` tells of features
    from the online store that are not fresh.
    """

    id: str
    model: str
    version: str
    bundle: str
    classes: tuple[str, ...]
    outputs: Mapping[str, NDArray[Any]]
    fallback: str = ""
    note: Note | None = None


class RequestReader:
    """Reads requests for a model with these feature columns; all that does not fit is a RequestError."""

    def __init__(self, columns: Sequence[Column], outputs: Sequence[OutputSpec], max_rows: int) -> None:
        self._readers = {column.name: ColumnReader(column) for column in columns}
        self._names = sorted(self._readers)
        self._instances = InstanceReader(tuple(self._readers.values()), max_rows)
        self._outputs = {
            binary: {spec.name: RequestedOutput(name=spec.name, binary=binary) for spec in outputs}
            for binary in (False, True)
        }
        self._all_outputs = {binary: tuple(wanted.values()) for binary, wanted in self._outputs.items()}

    def read_v2(self, body: bytes, json_length: int | None) -> PredictionRequest:
        """Read {"inputs": [{"name", "shape", "datatype", "data"}, ...], "outputs": [...], "id": ...}.

        `json_length` is what Inference-Header-Content-Length says: the bytes after it are the tensors of the inputs
        with a binary_data_size, in their order.
        """
        body_reader = BodyReader(body, json_length)
        if json_length is not None and json_length <= KEPT_BYTES:
            envelope = _open_short(body[:json_length])
        else:
            envelope = open_v2(body if json_length is None else body[:json_length])
        request = self.read_tensors(envelope, body_reader.read)
        body_reader.finish()
        return request

    def read_tensors(self, envelope: V2Envelope, read: ReadTensor) -> PredictionRequest:
        """Read a V2 request whose tensors come from `read`, in their order, once their heads have been found right.

        `read` gets an input, its column's reader and the number of rows; its array must have passed that reader.
        """
        found = [tensor.name for tensor in envelope.inputs]
        if found != self._names and (len(found) != len(self._names) or sorted(found) != self._names):
            raise RequestError(f"found inputs {show(found)}: expected {show(self._names)}, each once")
        features, rows = self._read_inputs(envelope, read, self._readers)
        return PredictionRequest(
            id=identify(envelope.id), features=features, rows=rows, outputs=self._choose_outputs(envelope)
        )

    def read_v1(self, body: bytes) -> PredictionRequest:
        """Read {"instances": [...]}: an object by column name for each row, or bare nested lists for one feature."""
        envelope = open_v1(body)
        features, rows = self._instances.read(bytes(envelope.instances))
        return PredictionRequest(
            id=identify(envelope.id), features=features, rows=rows, outputs=self._all_outputs[False]
        )

    def _read_inputs(
        self, envelope: V2Envelope, read: ReadTensor, readers: Mapping[str, ColumnReader]
    ) -> tuple[dict[str, NDArray[Any]], int]:
        """The arrays of the inputs, whose names are known to be right, and the number of rows."""
        rows = self._count_rows(envelope.inputs[0])
        arrays = {}
        for tensor in envelope.inputs:
            reader = readers[tensor.name]
            _check_tensor(tensor, reader, rows)
            arrays[tensor.name] = read(tensor, reader, rows)
        return arrays, rows

    def _count_rows(self, tensor: InputTensor) -> int:
        if not tensor.shape:
            raise RequestError(f"input {tensor.name!r} has shape []: expected the number of rows first")
        return self._instances.check_rows(tensor.shape[0])

    def _choose_outputs(self, envelope: V2Envelope) -> tuple[RequestedOutput, ...]:
        binary = _find_flag(envelope.parameters, "binary_data_output", default=False)
        if not envelope.outputs:
            return self._all_outputs[binary]
        names = [output.name for output in envelope.outputs]
        allowed = self._outputs[False]
        if len(set(names)) != len(names) or not allowed.keys() >= set(names):
            raise RequestError(f"found outputs {show(names)}: expected {show(list(allowed))}, each at most once")
        return tuple(
            self._outputs[_find_flag(_parameters_of(output), "binary_data", default=binary)][output.name]
            for output in envelope.outputs
        )


def encode_v2(answer: Answer, wanted: Sequence[RequestedOutput]) -> tuple[bytes, int | None]:
    """The V2 answer, and the length of its JSON if tensors follow it in binary."""
    tensors, blocks = [], []
    for output in wanted:
        array = answer.outputs[output.name]
        head = _describe_output(output.name, DATATYPE_OF[array.dtype], array.shape)
        if output.binary:
            blocks.append(write_block(array))
            tensors.append(b'%b,"parameters":{"binary_data_size":%d}}' % (head, len(blocks[-1])))
        else:
            tensors.append(b'%b,"data":%b}' % (head, msgspec.json.encode(array.ravel().tolist())))
    text = b'%b,"id":%b,"outputs":[%b]}' % (
        _introduce(answer.model, answer.version, answer.bundle, answer.classes, *marks_of(answer)),
        msgspec.json.encode(answer.id),
        b",".join(tensors),
    )
    return (text + b"".join(blocks), len(text)) if blocks else (text, None)


def encode_v1(answer: Answer) -> bytes:
    """The V1 answer: one object per instance, with the name of the class."""
    labels, probabilities = answer.outputs["label"].tolist(), answer.outputs["probabilities"].tolist()
    return msgspec.json.encode(
        {
            "predictions": [
                {"label": answer.classes[label], "probabilities": row}
                for label, row in zip(labels, probabilities, strict=True)
            ],
            "model_name": answer.model,
            "model_version": answer.version,
            "bundle": answer.bundle,
            "id": answer.id,
            **({"fallback": answer.fallback} if answer.fallback else {}),
            **({"features": answer.note.features, "feature_views": answer.note.views} if answer.note else {}),
        }
    )


def describe_inputs(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The inputs in a model's V2 metadata; -1 stands for the rows."""
    return [
        {"name": column.name, "datatype": DATATYPES[column.type], "shape": [-1, *column.shape]} for column in columns
    ]


def describe_outputs(specs: Sequence[OutputSpec]) -> list[dict[str, Any]]:
    """The outputs in a model's V2 metadata."""
    return [{"name": spec.name, "datatype": spec.datatype, "shape": [-1, *spec.shape]} for spec in specs]


def _make_ids() -> Iterator[str]:
    """Random UUIDs (version 4). The system gives the bytes for many at once: each call costs more than the rest."""
    while True:
        digits = os.urandom(16 * IDS_AT_ONCE).hex()
        for at in range(0, len(digits), 32):
            one = digits[at : at + 32]
            yield f"{one[:8]}-{one[8:12]}-4{one[13:16]}-a{one[17:20]}-{one[20:]}"


_ids = _make_ids()


def new_id() -> str:
    """A new prediction id: a random UUID (version 4). One thread at a time may ask."""
    return next(_ids)


# Binary tensors leave so short a text that a client's requests often have the very same one; envelopes never change.
_open_short = lru_cache(maxsize=64)(open_v2)


def _check_tensor(tensor: InputTensor, reader: ColumnReader, rows: int) -> None:
    if tensor.datatype != reader.datatype:
        raise RequestError(f"input {tensor.name!r} has datatype {show(tensor.datatype)}: expected {reader.datatype}")
    expected = [rows, *reader.column.shape]
    if tensor.shape != expected:
        raise RequestError(f"input {tensor.name!r} has shape {show(tensor.shape)}: expected {expected}")


def _find_flag(parameters: Optional, name: str, *, default: bool) -> bool:
    if not parameters or name not in parameters:
        return default
    found = parameters[name]
    if not isinstance(found, bool):
        raise RequestError(f"parameter {name} is {show(found)}: expected true or false")
    return found


def _parameters_of(output: OutputChoice) -> Optional:
    """Refuse the parameters whose neglect would change the answer's meaning."""
    for name in ("classification", "shared_memory_region"):
        if output.parameters and name in output.parameters:
            raise RequestError(f"output {output.name!r} has parameter {name}: expected whole tensors in the answer")
    return output.parameters


def identify(given: str | UnsetType | None) -> str:
    """The prediction id: the request's own, or a new one."""
    if not given:
        return new_id()
    if len(given) > ID_LENGTH:
        raise RequestError(f"id has {len(given)} characters: expected at most {ID_LENGTH}")
    return given


def marks_of(answer: Answer) -> tuple[tuple[str, str], ...]:
    """The parameters of an answer that was not made as it should be."""
    if not answer.fallback and answer.note is None:
        return ()
    fallback = (("fallback", answer.fallback),) if answer.fallback else ()
    note = answer.note
    return fallback if note is None else (*fallback, ("features", note.features), ("feature_views", note.text))


@lru_cache(maxsize=256)
def _introduce(model: str, version: str, bundle: str, classes: tuple[str, ...], *marks: tuple[str, str]) -> bytes:
    """The beginning of a V2 answer; a parameter may only be text, number or bool there, so the classes go as text."""
    parameters = {"bundle": bundle, "classes": msgspec.json.encode(classes).decode(), **dict(marks)}
    return msgspec.json.encode({"model_name": model, "model_version": version, "parameters": parameters})[:-1]


@lru_cache(maxsize=256)
def _describe_output(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    return msgspec.json.encode({"name": name, "datatype": datatype, "shape": shape})[:-1]
