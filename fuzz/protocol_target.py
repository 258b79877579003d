"""Protocol target: whatever bytes come, the readers refuse them in words or give exactly what the schema says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fuzz.composing import compose
from fuzz.http_target import check_chunks
from noria.schema import Column
from serving.packing import unpack
from serving.protocol import (
    Answer,
    OutputSpec,
    PredictionRequest,
    RequestReader,
    encode_v1,
    encode_v2,
    parse_json_length,
)
from serving.refusal import RequestError

MAX_ROWS = 4
LIMIT = 100_000
STATUSES = {400, 413, 415}
OUTPUTS = (
    OutputSpec(name="probabilities", datatype="FP32", shape=(2,)),
    OutputSpec(name="label", datatype="INT64", shape=()),
    OutputSpec(name="word", datatype="BYTES", shape=()),
)
MODELS: tuple[tuple[Column, ...], ...] = (
    (Column(name="image", type="uint8", role="feature", shape=(2, 3), minimum=0, maximum=255),),
    (Column(name="city", type="string", role="feature"),),
    (
        Column(name="a", type="float32", role="feature", minimum=-1),
        Column(name="b", type="float64", role="feature", shape=(2,), maximum_null_share=0.1),
        Column(name="c", type="int64", role="feature", maximum=100),
        Column(name="d", type="bool", role="feature"),
        Column(name="e", type="string", role="feature", shape=(2,)),
        Column(name="f", type="float16", role="feature"),
        Column(name="g", type="uint64", role="feature"),
    ),
)
READERS = tuple(RequestReader(columns, OUTPUTS, MAX_ROWS) for columns in MODELS)


def check(data: bytes) -> None:
    """Try one input; raises AssertionError, or what a reader raised, where the readers are at fault.

    The first byte chooses the model, the second what is tried, the next two the length of the JSON before binary.
    """
    if len(data) < 4:
        return
    columns, reader = MODELS[data[0] % len(MODELS)], READERS[data[0] % len(MODELS)]
    length, body = int.from_bytes(data[2:4], "little"), data[4:]
    way = data[1] % (len(WAYS) + 2)
    if way >= len(WAYS):
        way -= len(WAYS)
        body, length = compose(columns, body, binary=way == 1)
    try:
        request = WAYS[way](reader, body, length)
    except RequestError as error:
        _check_refusal(error)
        return
    if request is not None:
        _check_request(columns, request)
        _check_answer(request)


def _read_json(reader: RequestReader, body: bytes, _: int) -> PredictionRequest:
    request = reader.read_v2(body, None)
    for tensor in json.loads(body, object_pairs_hook=_once)["inputs"]:
        array = request.features[tensor["name"]]
        expected = np.array(tensor["data"], array.dtype).reshape(array.shape)
        np.testing.assert_array_equal(array, expected)
    return request


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    assert len(members) == len(pairs), "a key twice was let through"
    return members


def _read_binary(reader: RequestReader, body: bytes, length: int) -> PredictionRequest:
    return reader.read_v2(body, parse_json_length(str(length % (len(body) + 2)).encode(), len(body)))


def _read_v1(reader: RequestReader, body: bytes, _: int) -> PredictionRequest:
    return reader.read_v1(body)


def _read_packed(_: RequestReader, body: bytes, length: int) -> None:
    encoding = (b"gzip", b"deflate", b"identity", b"br")[length % 4]
    assert len(unpack(body, encoding, LIMIT)) <= LIMIT or encoding == b"identity"


def _read_length(_: RequestReader, body: bytes, length: int) -> None:
    assert 0 < parse_json_length(body, length) <= length


def _read_http(_: RequestReader, body: bytes, length: int) -> None:
    check_chunks(body, 1 + length % 64)


# Two more ways compose a nearly good request for the first two of these.
WAYS = (_read_json, _read_binary, _read_v1, _read_packed, _read_length, _read_http)


def _check_refusal(error: RequestError) -> None:
    assert error.status in STATUSES, error.status
    assert 0 < len(str(error)) < 2000, error
    json.dumps({"error": str(error)}).encode()


def _check_request(columns: tuple[Column, ...], request: PredictionRequest) -> None:
    assert 1 <= request.rows <= MAX_ROWS, request.rows
    assert 1 <= len(request.id) <= 256, request.id
    assert request.features.keys() == {column.name for column in columns}
    for column in columns:
        array = request.features[column.name]
        assert array.dtype == column.dtype, (column.name, array.dtype)
        assert array.shape == (request.rows, *column.shape), (column.name, array.shape)
        assert array.flags.aligned, column.name
        _check_values(column, array)


def _check_values(column: Column, array: NDArray[Any]) -> None:
    if array.dtype.kind == "O":
        assert all(type(text) is str and text.encode() is not None for text in array.ravel())
        return
    if array.dtype.kind == "b":
        assert array.view(np.uint8).max() <= 1, column.name
    there = array[~np.isnan(array)] if column.maximum_null_share else array
    assert np.isfinite(there).all(), column.name
    assert column.minimum is None or (there >= column.minimum).all(), column.name
    assert column.maximum is None or (there <= column.maximum).all(), column.name


def _check_answer(request: PredictionRequest) -> None:
    """Answer as a model would, and read the answer as a client would."""
    rows = request.rows
    arrays: dict[str, NDArray[Any]] = {
        "probabilities": np.full((rows, 2), 0.5, np.float32),
        "label": np.zeros(rows, np.int64),
        "word": np.full(rows, request.id, object),
    }
    answer = Answer(id=request.id, model="m", version="1", bundle="b", classes=("x", "y"), outputs=arrays)
    body, length = encode_v2(answer, request.outputs)
    assert (length is not None) == any(output.binary for output in request.outputs)
    content = json.loads(body[:length])
    assert content["id"] == json.loads(encode_v1(answer))["id"] == request.id
    at = len(body) if length is None else length
    for output, asked in zip(content["outputs"], request.outputs, strict=True):
        assert output["name"] == asked.name
        at += _check_output(output, arrays[asked.name], body, at)
    assert at == len(body)


def _check_output(output: Mapping[str, Any], array: NDArray[Any], body: bytes, at: int) -> int:
    """Compare one output with its array; returns its size in binary."""
    assert output["shape"] == list(array.shape)
    if "data" in output:
        assert output["data"] == array.ravel().tolist()
        return 0
    size = int(output["parameters"]["binary_data_size"])
    block = body[at : at + size]
    if array.dtype.kind == "O":
        text = array[0].encode()
        assert block == (len(text).to_bytes(4, "little") + text) * len(array)
    else:
        assert block == array.tobytes()
    return size
