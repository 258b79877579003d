import gzip
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from predictor import Predictor, predictor
from questions import rows_of_many
from triton_client import (
    address,
    channel_to,
    inputs,
    raw_message,
    refusal,
    rpc_predictor,
    triton,
    typed_message,
)
from tritonclient.utils import InferenceServerException

BODY_BYTES = 20_000
Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def running(many_bundle: Path, home: Path) -> Iterator[Predictor]:
    limits = ["--max-rows", "8", "--max-body-bytes", BODY_BYTES, "--body-seconds", "0.5", "--max-head-bytes", "4096"]
    with rpc_predictor(["--bundle", many_bundle, *limits], home) as running:
        yield running
        log = running.log.read_text()
        assert "Traceback" not in log
        assert "fault while" not in log


@pytest.fixture(scope="module")
def channel(running: Predictor) -> Iterator[grpc.Channel]:
    with channel_to(running) as channel:
        yield channel


def name_of(message: Any, place: int, name: str) -> None:
    message.inputs[place].name = name


def cut(message: Any, place: int, by: int) -> None:
    message.raw_input_contents[place] = message.raw_input_contents[place][:-by]


def shape(message: Any, place: int, *dimensions: int) -> None:
    message.inputs[place].shape[:] = dimensions


def put(message: Any, place: int, array: object, kind: str) -> None:
    message.raw_input_contents[place] = np.array(array, kind).tobytes()


def type_of(message: Any, place: int, datatype: str) -> None:
    message.inputs[place].datatype = datatype


def contents(message: Any, place: int, **fields: list[Any]) -> None:
    """Other contents than those that stand there."""
    message.inputs[place].contents.Clear()
    for field, values in fields.items():
        getattr(message.inputs[place].contents, field).extend(values)


# The inputs are pixels, wind speed, price, shelf, new, with one row each; each change makes a good message a bad one.
RAW: dict[str, tuple[Change, str]] = {
    "no inputs": (lambda m: (m.ClearField("inputs"), m.ClearField("raw_input_contents")), "found inputs []"),
    "an input less": (lambda m: (m.inputs.pop(), m.raw_input_contents.pop()), "found inputs"),
    "an input twice": (lambda m: name_of(m, 0, "new"), "each once"),
    "an unknown input": (lambda m: name_of(m, 0, "pixel"), "'pixel'"),
    "an input without a name": (lambda m: name_of(m, 0, ""), "''"),
    "a name of 5,000 letters": (lambda m: name_of(m, 0, "n" * 5000), "…"),
    "another datatype": (lambda m: type_of(m, 0, "INT8"), "expected UINT8"),
    "an unknown datatype": (lambda m: type_of(m, 0, "pixels"), "expected UINT8"),
    "no datatype": (lambda m: type_of(m, 0, ""), "expected UINT8"),
    "no shape": (lambda m: shape(m, 0), "shape []"),
    "no rows": (lambda m: shape(m, 0, 0, 2, 2), "found 0 rows"),
    "negative rows": (lambda m: shape(m, 0, -1, 2, 2), "found -1 rows"),
    "a negative dimension": (lambda m: shape(m, 0, 1, -2, -2), "expected [1, 2, 2]"),
    "a huge dimension": (lambda m: shape(m, 0, 1, 2, 2**63 - 1), "expected [1, 2, 2]"),
    "dimensions whose product overflows": (lambda m: shape(m, 0, 1, 2**62, 2**62), "expected [1, 2, 2]"),
    "the smallest dimension": (lambda m: shape(m, 0, -(2**63), 2, 2), "rows"),
    "a thousand dimensions": (lambda m: shape(m, 0, 1, *[1] * 999), "expected [1, 2, 2]"),
    "a dimension less": (lambda m: shape(m, 0, 1, 4), "expected [1, 2, 2]"),
    "dimensions the other way round": (lambda m: shape(m, 2, 2, 1), "expected [1, 2]"),
    "rows that differ": (lambda m: shape(m, 1, 2), "expected [1]"),
    "data too short": (lambda m: cut(m, 0, 1), "expected 4"),
    "data too long": (lambda m: put(m, 0, [1, 2, 3, 4, 5], "uint8"), "expected 4"),
    "no data": (lambda m: cut(m, 0, 4), "expected 4"),
    "a block less than inputs": (lambda m: m.raw_input_contents.pop(), "4 raw_input_contents"),
    "a block more than inputs": (lambda m: m.raw_input_contents.append(b"1234"), "6 raw_input_contents"),
    "contents beside raw ones": (lambda m: contents(m, 0, uint_contents=[1, 2, 3, 4]), "expected one of them"),
    "empty contents beside raw ones": (lambda m: m.inputs[0].contents.SetInParent(), "expected one of them"),
    "NaN": (lambda m: put(m, 1, [np.nan], "float32"), "has nan"),
    "infinity": (lambda m: put(m, 1, [np.inf], "float32"), "has inf"),
    "NaN in a part": (lambda m: put(m, 2, [1.0, np.nan], "float64"), "has nan at [0, 1]"),
    "a number above its range": (lambda m: put(m, 3, [10], "int64"), "has 10"),
    "a number below its range": (lambda m: put(m, 3, [-1], "int64"), "has -1"),
    "a byte that is no bool": (lambda m: put(m, 4, [2], "uint8"), "byte of 2"),
    "shared memory": (
        lambda m: m.inputs[0].parameters["shared_memory_region"].__setattr__("string_param", "x"),
        "shared memory",
    ),
    "an unknown output": (lambda m: m.outputs.add(name="logits"), "'logits'"),
    "an output twice": (lambda m: (m.outputs.add(name="label"), m.outputs.add(name="label")), "at most once"),
    "a classification": (
        lambda m: m.outputs.add(name="label").parameters["classification"].__setattr__("int64_param", 1),
        "classification",
    ),
    "an output in shared memory": (
        lambda m: m.outputs.add(name="label").parameters["shared_memory_region"].__setattr__("string_param", "x"),
        "shared_memory_region",
    ),
    "an id of 300 letters": (lambda m: m.__setattr__("id", "i" * 300), "id has 300"),
}
TYPED: dict[str, tuple[Change, str]] = {
    "no contents": (lambda m: m.inputs[0].ClearField("contents"), "no data"),
    "empty contents": (lambda m: contents(m, 0), "no data"),
    "too few values": (lambda m: contents(m, 0, uint_contents=[1, 2, 3]), "has 3 values: expected 4"),
    "too many values": (lambda m: contents(m, 0, uint_contents=[1] * 5), "has 5 values: expected 4"),
    "contents of another type": (lambda m: contents(m, 0, int_contents=[1] * 4), "expected uint_contents"),
    "contents of two types": (lambda m: contents(m, 0, int_contents=[1], uint_contents=[1] * 4), "and uint_contents"),
    "a number that the type does not hold": (lambda m: contents(m, 0, uint_contents=[1, 2, 3, 256]), "has 256"),
    "the largest number": (lambda m: contents(m, 0, uint_contents=[2**32 - 1] * 4), "has 4294967295"),
    "a datatype without typed contents": (lambda m: type_of(m, 1, "FP16"), "expected FP32"),
    "an unknown datatype": (lambda m: type_of(m, 1, "FP8"), "expected FP32"),
    "NaN": (lambda m: contents(m, 1, fp32_contents=[np.nan]), "has nan"),
    "infinity": (lambda m: contents(m, 1, fp32_contents=[-np.inf]), "has -inf"),
    "a number above its range": (lambda m: contents(m, 3, int64_contents=[2**62]), "has 46116"),
    "negative rows": (lambda m: shape(m, 0, -1, 2, 2), "found -1 rows"),
    "a dimension that overflows": (lambda m: shape(m, 0, 1, 2**62, 4), "expected [1, 2, 2]"),
}


@pytest.mark.parametrize("case", RAW)
def test_a_malformed_raw_request_is_an_invalid_argument(channel: grpc.Channel, case: str):
    change, expected = RAW[case]
    message = raw_message(rows_of_many(1))
    change(message)
    code, text = refusal(channel, message.SerializeToString())
    assert code == "INVALID_ARGUMENT"
    assert expected in text
    assert "expected" in text
    assert len(text) < 600


@pytest.mark.parametrize("case", TYPED)
def test_a_malformed_typed_request_is_an_invalid_argument(channel: grpc.Channel, case: str):
    change, expected = TYPED[case]
    message = typed_message(rows_of_many(1))
    change(message)
    code, text = refusal(channel, message.SerializeToString())
    assert code == "INVALID_ARGUMENT"
    assert expected in text
    assert "expected" in text


GOOD = raw_message(rows_of_many(1)).SerializeToString()
NO_MESSAGE = {
    "random bytes": bytes(random.Random(1).randrange(256) for _ in range(500)),
    "text": b'{"inputs": []}',
    "a cut message": GOOD[:-1],
    "a length that lies": b"\x2a\xff\xff\xff\xff\x0f" + GOOD,
    "a number without end": b"\xff" * 30,
    "field 0": b"\x00\x00",
    "a group": b"\x2b\x2c",
    "a name that is not UTF-8": b"\x0a\x02\xff\xfe",
    "a wrong wire type": b"\x08\x01\x28\x01",
}


@pytest.mark.parametrize("case", NO_MESSAGE)
@pytest.mark.parametrize("method", ["ModelInfer", "ModelReady", "ModelMetadata"])
def test_bytes_that_are_no_message_are_an_invalid_argument(channel: grpc.Channel, method: str, case: str):
    code, text = refusal(channel, NO_MESSAGE[case], method)
    assert code in {"INVALID_ARGUMENT", "NOT_FOUND"}  # bytes of unknown fields are a message that names no model
    assert "expected" in text


def test_any_change_of_a_few_bytes_is_answered_or_the_clients_mistake(channel: grpc.Channel):
    chance = random.Random(7)
    seeds = [GOOD, typed_message(rows_of_many(2)).SerializeToString()]
    codes = set()
    for _ in range(600):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data))
            if chance.random() < 0.3:
                del data[place : place + chance.randint(1, 8)]
            else:
                data[place] = chance.randrange(256)
        codes.add(refusal(channel, bytes(data))[0])
    assert codes <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
    assert {"OK", "INVALID_ARGUMENT"} <= codes


def test_an_unknown_model_or_version_is_not_found(channel: grpc.Channel):
    message = raw_message(rows_of_many(1))
    message.model_version = "000000000000"
    assert refusal(channel, message.SerializeToString())[0] == "NOT_FOUND"
    code, text = refusal(channel, raw_message(rows_of_many(1), model="x" * 5000).SerializeToString())
    assert (code, len(text) < 300) == ("NOT_FOUND", True)
    assert refusal(channel, b"", "ModelReady")[0] == "NOT_FOUND"


def test_more_rows_than_the_limit_are_too_much(channel: grpc.Channel):
    code, text = refusal(channel, raw_message(rows_of_many(9)).SerializeToString())
    assert code == "RESOURCE_EXHAUSTED"
    assert "at most 8" in text


def test_a_message_over_the_limit_is_too_much_packed_or_not(running: Predictor, channel: grpc.Channel):
    large = b"\x3a\x80\xea\x30" + bytes(800_000)
    assert refusal(channel, large)[0] == "RESOURCE_EXHAUSTED"
    assert len(gzip.compress(large)) < BODY_BYTES
    assert refusal(channel, large, compression=grpc.Compression.Gzip)[0] == "RESOURCE_EXHAUSTED"
    assert refusal(channel, GOOD)[0] == "OK"


def test_a_message_of_many_small_parts_is_refused_before_they_are_made(many_bundle: Path, home: Path):
    parts = {
        "inputs": b"\x2a\x00" * 1_000_000,
        "blocks": b"\x3a\x00" * 1_000_000,
        "outputs": b"\x32\x00" * 1_000_000,
        "parameters of one input": b"\x2a\x80\x89\x7a" + b"\x22\x00" * 1_000_000,
        "unknown fields": b"\x78\x01" * 1_000_000,
        "names": b"\x0a\x00" * 1_000_000,
    }
    with rpc_predictor(["--bundle", many_bundle], home) as running, channel_to(running) as channel:
        for case, data in parts.items():
            started = time.monotonic()
            code, text = refusal(channel, data)
            assert (case, code) == (case, "RESOURCE_EXHAUSTED")
            assert "beside its data" in text
            assert time.monotonic() - started < 1
        peak = Path(f"/proc/{running.process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
    assert int(peak) < 300_000  # kB; the million inputs alone would take as much


def test_headers_over_the_limit_are_too_much(channel: grpc.Channel):
    code, _ = refusal(channel, GOOD, metadata=[("x", "y" * 8000)])
    assert code == "RESOURCE_EXHAUSTED"
    assert refusal(channel, GOOD, metadata=[("x", "y" * 80)])[0] == "OK"


def test_a_call_without_a_message_is_an_invalid_argument(channel: grpc.Channel):
    ask = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
    with pytest.raises(grpc.RpcError, match="found no message") as caught:
        ask(iter(()), timeout=10)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def test_a_message_that_does_not_come_whole_in_time_ends_its_call(running: Predictor):
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/inference.GRPCInferenceService/ModelInfer",
        ":authority": "predictor",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    block = b"".join(
        b"\x00" + bytes((len(part[0]),)) + part[0].encode() + bytes((len(part[1]),)) + part[1].encode()
        for part in headers.items()
    )
    host, port = address(running).split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        client.sendall(frame(1, 4, 1, block) + frame(0, 0, 1, b"\x00" + struct.pack(">I", 100) + b"only this"))
        found = b""
        while b"grpc-status" not in found:
            more = client.recv(65536)
            assert more, found
            found += more
    assert b"was not whole in time" in found


def test_a_model_that_fails_is_unavailable_and_the_next_call_is_answered(channel: grpc.Channel):
    rows = rows_of_many(1)
    failing = raw_message({**rows, "shelf": np.array([9])}).SerializeToString()
    code, text = refusal(channel, failing)
    assert code == "UNAVAILABLE"
    assert "the model failed" in text
    assert refusal(channel, GOOD)[0] == "OK"


def test_http_lives_on_while_grpc_refuses(running: Predictor):
    with triton(running) as client, pytest.raises(InferenceServerException):
        client.infer("wardrobe", inputs(rows_of_many(1))[:2])
    assert running.client.get("/v2/health/live").status_code == 200


def test_without_the_option_no_grpc_port_is_open(one_bundle: Path, home: Path):
    with predictor(["--bundle", one_bundle], home) as running:
        assert set(running.ready) == {"event", "port", "model", "digest", "models"}
