"""Messages: the protocol's gRPC messages to requests, and answers to messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from serving.binary import LENGTH, read_block, write_block
from serving.envelope import InputTensor, OutputChoice, V2Envelope
from serving.protocol import DATATYPE_OF, Answer, PredictionRequest, RequestedOutput, RequestReader, marks_of
from serving.refusal import RequestError, show
from serving.rpc.schema import ModelInferResponse
from serving.tensors import ColumnReader

Message = Any  # protobuf makes its classes at run time

# Datatype -> field of InferTensorContents, and the type that its values have on the wire. FP16 has no field.
FIELDS: Mapping[str, tuple[str, str]] = {
    "BOOL": ("bool_contents", "bool"),
    "INT8": ("int_contents", "int8"),
    "INT16": ("int_contents", "int16"),
    "INT32": ("int_contents", "int32"),
    "INT64": ("int64_contents", "int64"),
    "UINT8": ("uint_contents", "uint8"),
    "UINT16": ("uint_contents", "uint16"),
    "UINT32": ("uint_contents", "uint32"),
    "UINT64": ("uint64_contents", "uint64"),
    "FP32": ("fp32_contents", "float32"),
    "FP64": ("fp64_contents", "float64"),
    "BYTES": ("bytes_contents", "object"),
}


def parse(kind: Callable[[], Message], data: bytes) -> Message:
    """Parse a message; RequestError unless the bytes are one."""
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        name = message.DESCRIPTOR.name
        raise RequestError(
            f"found {len(data)} bytes that are no {name}: expected a message of that type, with texts in UTF-8"
        ) from error
    return message


def read_request(reader: RequestReader, message: Message) -> PredictionRequest:
    """Read the tensors of a request for the model of this reader; RequestError for all that does not fit."""
    raw, inputs = message.raw_input_contents, message.inputs
    if raw and len(raw) != len(inputs):
        raise RequestError(
            f"found {len(inputs)} inputs and {len(raw)} raw_input_contents: expected one for each input, or none"
        )
    places = {tensor.name: place for place, tensor in enumerate(inputs)}

    def read_tensor(head: InputTensor, column: ColumnReader, rows: int) -> NDArray[Any]:
        place = places[head.name]
        block = raw[place] if raw else _pack(inputs[place], rows * column.size)
        return read_block(column, block, 0, len(block), rows)

    envelope = V2Envelope(
        inputs=[_head(tensor, is_raw=bool(raw)) for tensor in inputs],
        outputs=[OutputChoice(name=each.name, parameters=_parameters(each.parameters)) for each in message.outputs],
        id=message.id,
    )
    return reader.read_tensors(envelope, read_tensor)


def write_answer(answer: Answer, wanted: Sequence[RequestedOutput], *, is_raw: bool) -> bytes:
    """The answer with its tensors in binary, as Triton gives them, or with typed contents."""
    message = ModelInferResponse(id=answer.id)
    arrays = [answer.outputs[output.name] for output in wanted]
    is_raw = is_raw or any(DATATYPE_OF[array.dtype] not in FIELDS for array in arrays)
    for output, array in zip(wanted, arrays, strict=True):
        datatype = DATATYPE_OF[array.dtype]
        tensor = message.outputs.add(name=output.name, datatype=datatype, shape=array.shape)
        if is_raw:
            message.raw_output_contents.append(write_block(array))
        else:
            getattr(tensor.contents, FIELDS[datatype][0]).extend(_values(array))
    # Serialized messages that stand one after the other are read as one, so the part that never changes is kept.
    return _introduce(answer.model, answer.version, answer.bundle, answer.classes, *marks_of(answer)) + bytes(
        message.SerializeToString()
    )


def _head(tensor: Message, *, is_raw: bool) -> InputTensor:
    if is_raw and tensor.HasField("contents"):
        raise RequestError(f"input {show(tensor.name)} has contents beside raw_input_contents: expected one of them")
    if "shared_memory_region" in tensor.parameters:
        raise RequestError(f"input {show(tensor.name)} is in shared memory: expected its data in the message")
    return InputTensor(name=tensor.name, shape=list(tensor.shape), datatype=tensor.datatype)


def _pack(tensor: Message, count: int) -> bytes:
    """The typed contents of a tensor as the bytes that the raw form would have."""
    field, kind = FIELDS.get(tensor.datatype, ("", ""))
    found = [each.name for each, _ in tensor.contents.ListFields()]
    if not field or found != [field]:
        expected = f"{field} or raw_input_contents" if field else "raw_input_contents"
        raise RequestError(
            f"input {tensor.name!r} of {tensor.datatype} has {' and '.join(found) or 'no data'}: expected {expected}"
        )
    values = getattr(tensor.contents, field)
    if len(values) != count:
        raise RequestError(
            f"data of {tensor.name!r} has {len(values)} values: expected {count} for shape {list(tensor.shape)}"
        )
    if kind == "object":
        return b"".join(part for text in values for part in (LENGTH.pack(len(text)), text))
    try:
        return np.array(list(values), kind).tobytes()
    except OverflowError as error:
        wrong = next(value for value in values if not _holds(kind, value))
        raise RequestError(f"data of {tensor.name!r} has {wrong}: expected numbers of {tensor.datatype}") from error


def _holds(kind: str, value: int) -> bool:
    limits = np.iinfo(kind)
    return bool(limits.min <= value <= limits.max)


def _values(array: NDArray[Any]) -> list[Any]:
    values: list[Any] = array.ravel().tolist()
    return [text.encode() for text in values] if array.dtype.kind == "O" else values


def _parameters(found: Mapping[str, Message]) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("parameter_choice") or "", None) for name, value in found.items()}


@lru_cache(maxsize=256)
def _introduce(model: str, version: str, bundle: str, classes: tuple[str, ...], *marks: tuple[str, str]) -> bytes:
    """What all answers of a model have; a parameter may be no list, so the classes go as JSON text."""
    parameters = {"bundle": bundle, "classes": msgspec.json.encode(classes).decode(), **dict(marks)}
    message = ModelInferResponse(model_name=model, model_version=version)
    for name, value in parameters.items():
        message.parameters[name].string_param = value
    return bytes(message.SerializeToString(deterministic=True))
