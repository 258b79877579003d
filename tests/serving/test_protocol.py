"""Requests that are good, and answers, between bytes and arrays."""

from __future__ import annotations

import gzip
import json
import struct
import uuid
import zlib
from typing import Any

import numpy as np
import pytest
from corpus.forms import CUSTOMER, FORMS, MAX_ROWS, PICTURE, Form, dump

from serving.packing import unpack
from serving.protocol import (
    Answer,
    OutputSpec,
    PredictionRequest,
    RequestedOutput,
    RequestReader,
    describe_inputs,
    describe_outputs,
    encode_v1,
    encode_v2,
    new_id,
    parse_json_length,
)
from serving.refusal import RequestError

OUTPUTS = (
    OutputSpec(name="probabilities", datatype="FP32", shape=(3,)),
    OutputSpec(name="label", datatype="INT64", shape=()),
    OutputSpec(name="word", datatype="BYTES", shape=()),
)
READERS = {form.model: RequestReader(form.columns, OUTPUTS, MAX_ROWS) for form in FORMS}
ANSWER = Answer(
    id='mine "quoted"',
    model="shoes",
    version="0123",
    bundle="f" * 64,
    classes=("bag", "çoat"),
    outputs={
        "probabilities": np.array([[0.25, 0.75], [0.5, 0.1]], np.float32),
        "label": np.array([1, 0]),
        "word": np.array(["", "né"], object),
    },
)
FORM = pytest.mark.parametrize("form", FORMS, ids=[form.model for form in FORMS])


def check_read(form: Form, request: PredictionRequest, rows: int = 2) -> None:
    assert request.rows == rows
    assert request.features.keys() == {column.name for column in form.columns}
    for column in form.columns:
        found, expected = request.features[column.name], form.make(rows)[column.name]
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


def decode_v2(body: bytes, length: int | None) -> dict[str, Any]:
    """The outputs of an answer as a client reads them."""
    content = json.loads(body if length is None else body[:length])
    at, found = length or 0, {}
    for output in content["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = output["data"]
        else:
            found[output["name"]] = body[at : at + size]
            at += size
    assert length is None or at == len(body)
    return found


@FORM
@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_json_is_read_however_it_is_laid_out(form: Form, layout: dict[str, Any]):
    check_read(form, READERS[form.model].read_v2(json.dumps(form.v2(), **layout).encode(), None))


@FORM
@pytest.mark.parametrize("rows", [1, 2, MAX_ROWS])
def test_nested_json_and_instances_are_read(form: Form, rows: int):
    body = form.v2(rows)
    for each in body["inputs"]:
        each["data"] = form.make(rows)[each["name"]].tolist()
    check_read(form, READERS[form.model].read_v2(dump(body), None), rows)
    check_read(form, READERS[form.model].read_v1(dump(form.v1(rows))), rows)


@FORM
def test_binary_is_read_alone_and_beside_json_and_with_inputs_in_any_order(form: Form):
    reader = READERS[form.model]
    for json_inputs in ((), (form.first.name,), tuple(column.name for column in form.columns)):
        body, size = form.binary(json_inputs=json_inputs)
        check_read(form, reader.read_v2(body, parse_json_length(str(size).encode(), len(body))))
    body = form.v2()
    body["inputs"].reverse()
    check_read(form, reader.read_v2(dump(body), None))


@pytest.mark.parametrize("pad", range(9))
def test_binary_is_aligned_whatever_the_length_of_its_json(pad: int):
    body, size = CUSTOMER.binary(id="x" * (pad + 1))
    for array in READERS["customer"].read_v2(body, size).features.values():
        assert array.flags.aligned


def test_one_feature_comes_as_objects_too():
    body = {"instances": [{"image": rows} for rows in PICTURE.v1()["instances"]]}
    check_read(PICTURE, READERS["picture"].read_v1(dump(body)))


def test_a_value_may_be_missing_where_the_schema_says_so():
    reader, missing = READERS["customer"], [1.0, 2.0, 3.0, None, None, None]
    expected = np.array([[1, 2, 3], [np.nan] * 3])
    for data in (missing, [missing[:3], missing[3:]]):
        found = reader.read_v2(CUSTOMER.bend("scores", data=data), None).features["scores"]
        np.testing.assert_array_equal(found, expected)
    body, size = CUSTOMER.binary(blocks={"scores": expected.tobytes()})
    np.testing.assert_array_equal(reader.read_v2(body, size).features["scores"], expected)


def test_texts_with_commas_brackets_quotes_and_escapes_are_read():
    texts = ['a,[b]]"', '\\"\\\\,\u20ac\x00\U0001f45f']
    found = READERS["customer"].read_v2(CUSTOMER.bend("city", data=texts), None)
    assert found.features["city"].tolist() == texts
    blocks = {"city": b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)}
    body, size = CUSTOMER.binary(blocks=blocks)
    assert READERS["customer"].read_v2(body, size).features["city"].tolist() == texts


def test_ids_and_parameters_are_let_through_and_unknown_members_too():
    more = {
        "parameters": {"priority": 1, "timeout": 2.5, "user": "me", "trace": True},
        "model_name": "x",
        "zz": {"a": [{"b": None}]},
    }
    reader = READERS["picture"]
    assert reader.read_v2(dump(PICTURE.v2(id="mine", **more)), None).id == "mine"
    assert reader.read_v1(dump({**PICTURE.v1(), "id": "mine", **more})).id == "mine"
    nothing = {"id": None, "outputs": None, "parameters": None}
    assert len(reader.read_v2(dump(PICTURE.v2(**nothing)), None).id) == 36
    assert len({reader.read_v1(dump(PICTURE.v1())).id for _ in range(100)}) == 100


def test_a_new_id_is_a_random_uuid():
    made = uuid.UUID(new_id())
    assert (made.version, made.variant) == (4, uuid.RFC_4122)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "probabilities label word"),
        ({"outputs": []}, "probabilities label word"),
        ({"outputs": [{"name": "label"}]}, "label"),
        ({"outputs": [{"name": "label"}, {"name": "probabilities"}]}, "label probabilities"),
        ({"parameters": {"binary_data_output": True}}, "probabilities+ label+ word+"),
        ({"parameters": {"binary_data_output": False}}, "probabilities label word"),
        ({"outputs": [{"name": "label", "parameters": {"binary_data": True}}, {"name": "word"}]}, "label+ word"),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "label", "parameters": {"binary_data": False}}, {"name": "word"}],
            },
            "label word+",
        ),
    ],
)
def test_the_outputs_that_are_asked_for_come_in_the_form_that_is_asked_for(more: dict[str, Any], expected: str):
    request = READERS["picture"].read_v2(dump(PICTURE.v2(**more)), None)
    assert " ".join(output.name + "+" * output.binary for output in request.outputs) == expected


def test_an_answer_in_json_is_what_the_protocol_says():
    body, length = encode_v2(ANSWER, [RequestedOutput(name=spec.name, binary=False) for spec in OUTPUTS])
    assert length is None
    assert json.loads(body) == {
        "model_name": "shoes",
        "model_version": "0123",
        "id": 'mine "quoted"',
        "parameters": {"bundle": "f" * 64, "classes": '["bag","çoat"]'},
        "outputs": [
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [2, 2],
                "data": [0.25, 0.75, 0.5, float(np.float32(0.1))],
            },
            {"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]},
            {"name": "word", "datatype": "BYTES", "shape": [2], "data": ["", "né"]},
        ],
    }


def test_an_answer_may_be_binary_in_part():
    wanted = [RequestedOutput(name=spec.name, binary=spec.name != "label") for spec in OUTPUTS]
    body, length = encode_v2(ANSWER, wanted)
    assert length is not None
    assert decode_v2(body, length) == {
        "probabilities": ANSWER.outputs["probabilities"].tobytes(),
        "label": [1, 0],
        "word": b"\0\0\0\0\3\0\0\0n\xc3\xa9",
    }


def test_an_answer_without_the_model_says_so():
    wanted = [RequestedOutput(name="label", binary=False)]
    outputs = ANSWER.outputs
    fallback = Answer(id="", model="m", version="1", bundle="b", classes=("a", "b"), outputs=outputs, fallback="rule")
    assert json.loads(encode_v2(fallback, wanted)[0])["parameters"]["fallback"] == "rule"
    assert json.loads(encode_v1(fallback))["fallback"] == "rule"
    assert "fallback" not in json.loads(encode_v2(ANSWER, wanted)[0])["parameters"]
    assert "fallback" not in json.loads(encode_v1(ANSWER))


def test_a_v1_answer_names_the_class_of_each_row():
    assert json.loads(encode_v1(ANSWER)) == {
        "predictions": [
            {"label": "çoat", "probabilities": [0.25, 0.75]},
            {"label": "bag", "probabilities": [0.5, float(np.float32(0.1))]},
        ],
        "model_name": "shoes",
        "model_version": "0123",
        "bundle": "f" * 64,
        "id": 'mine "quoted"',
    }


def test_metadata_name_every_input_and_output():
    assert describe_inputs(CUSTOMER.columns)[:3] == [
        {"name": "age", "datatype": "INT64", "shape": [-1]},
        {"name": "income", "datatype": "FP32", "shape": [-1]},
        {"name": "scores", "datatype": "FP64", "shape": [-1, 3]},
    ]
    assert describe_outputs(OUTPUTS)[:2] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "label", "datatype": "INT64", "shape": [-1]},
    ]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b" X-GZIP ", gzip.compress),
        (b"gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        (b"deflate", zlib.compress),
        (b"deflate", lambda data: zlib.compress(data)[2:-4]),
        (b"identity", bytes),
        (b"", bytes),
    ],
    ids=["gzip", "x-gzip", "two members", "deflate", "bare deflate", "identity", "none"],
)
@pytest.mark.parametrize("size", [0, 1, 65_536, 200_000])
def test_a_packed_body_is_unpacked_up_to_the_limit(encoding: bytes, pack: Any, size: int):
    data = np.random.default_rng(1).bytes(size)
    assert unpack(pack(data), encoding, limit=size) == data
    if size and encoding.strip() not in {b"identity", b""}:
        with pytest.raises(RequestError, match="unpacks to more") as refusal:
            unpack(pack(data), encoding, limit=size - 1)
        assert refusal.value.status == 413


def test_a_bomb_costs_no_more_memory_than_the_limit():
    import tracemalloc

    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(RequestError):
        unpack(bomb, b"gzip", limit=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_500_000
