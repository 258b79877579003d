import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from predictor import PATIENCE, Predictor
from questions import outputs, rows_of_many, v1, v2
from tiny_models import MANY, make_model

from noria.ml.inference import Session, predict

INFER = "/v2/models/wardrobe/infer"
PREDICT = "/v1/models/wardrobe:predict"
GOOD = v2(rows_of_many(2))


def bend(name: str, /, **changes: object) -> bytes:
    """A good V2 request with one input changed."""
    inputs = [{**each, **changes} if each["name"] == name else each for each in GOOD["inputs"]]
    return json.dumps({"inputs": inputs}).encode()


def without(key: str) -> bytes:
    inputs = [{k: v for k, v in each.items() if k != key} for each in GOOD["inputs"]]
    return json.dumps({"inputs": inputs}).encode()


def splice(name: str, text: str) -> bytes:
    """A good V2 request whose data of one input is this text, which need not be JSON."""
    return bend(name, data="@@").replace(b'"@@"', text.encode())


def bend_v1(**changes: object) -> bytes:
    instances = v1(rows_of_many(2))["instances"]
    instances[1].update(changes)
    return json.dumps({"instances": instances}).encode()


V2_BODIES: dict[str, bytes] = {
    "empty body": b"",
    "blank body": b"   ",
    "no JSON": b"hello",
    "truncated JSON": json.dumps(GOOD).encode()[:-1],
    "two documents": json.dumps(GOOD).encode() * 2,
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "bad UTF-8 in a name": bend("pixels", name="@@").replace(b"@@", b"\xff\xfe"),
    "bad UTF-8 in an unknown field": b'{"zz": "\xff", ' + json.dumps(GOOD).encode()[1:],
    "lone surrogate": bend("pixels", name="@@").replace(b"@@", b"\\ud800"),
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "no inputs": b"{}",
    "empty inputs": b'{"inputs": []}',
    "inputs null": b'{"inputs": null}',
    "inputs an object": b'{"inputs": {}}',
    "inputs of numbers": b'{"inputs": [1, 2]}',
    "one input missing": json.dumps({"inputs": GOOD["inputs"][1:]}).encode(),
    "one input twice": json.dumps({"inputs": [*GOOD["inputs"], GOOD["inputs"][0]]}).encode(),
    "one input instead of another": json.dumps({"inputs": [*GOOD["inputs"][1:], GOOD["inputs"][1]]}).encode(),
    "unknown input": bend("pixels", name="pixel"),
    "extra input": json.dumps({"inputs": [*GOOD["inputs"], {**GOOD["inputs"][0], "name": "x"}]}).encode(),
    "name a number": bend("pixels", name=7),
    "no names": without("name"),
    "no shapes": without("shape"),
    "no datatypes": without("datatype"),
    "no data": without("data"),
    "id a number": json.dumps({**GOOD, "id": 7}).encode(),
    "id too long": json.dumps({**GOOD, "id": "x" * 1000}).encode(),
    "outputs unknown": json.dumps({**GOOD, "outputs": [{"name": "logits"}]}).encode(),
    "outputs twice": json.dumps({**GOOD, "outputs": [{"name": "label"}] * 2}).encode(),
    "outputs of texts": json.dumps({**GOOD, "outputs": ["label"]}).encode(),
    "wrong datatype": bend("pixels", datatype="INT64"),
    "datatype of another width": bend("wind speed", datatype="FP64"),
    "unknown datatype": bend("pixels", datatype="uint8"),
    "datatype a number": bend("pixels", datatype=1),
    "shape empty": bend("pixels", shape=[]),
    "shape null": bend("pixels", shape=None),
    "shape a number": bend("pixels", shape=8),
    "shape of texts": bend("pixels", shape=["2", "2", "2"]),
    "shape of floats": bend("pixels", shape=[2.0, 2, 2]),
    "shape without rows": bend("pixels", shape=[2, 2]),
    "shape with another order": bend("price", shape=[1, 4]),
    "shape with one dimension more": bend("shelf", shape=[2, 1]),
    "shape with an equal product": bend("pixels", shape=[2, 4, 1]),
    "negative dimension": bend("pixels", shape=[-2, -2, 2]),
    "negative rows": bend("pixels", shape=[-1, 2, 2]),
    "zero rows": json.dumps(v2({name: rows[:0] for name, rows in rows_of_many(1).items()})).encode(),
    "huge dimension": bend("pixels", shape=[2, 2**62, 2]),
    "huge rows": bend("pixels", shape=[2**62, 2, 2]),
    "rows beyond 64 bits": bend("pixels", shape=[2**70, 2, 2]),
    "a dimension of 5,000 digits": bend("pixels", shape="@@").replace(b'"@@"', b"[" + b"9" * 5000 + b",2,2]"),
    "rows that differ between inputs": bend("shelf", shape=[1], data=[1]),
    "data shorter than shape": bend("pixels", data=[1] * 7),
    "data longer than shape": bend("pixels", data=[1] * 9),
    "data empty": bend("pixels", data=[]),
    "data null": bend("pixels", data=None),
    "data a number": bend("pixels", data=7),
    "data an object": bend("pixels", data={"0": 1}),
    "data a text": bend("pixels", data="1,2,3,4,5,6,7,8"),
    "data an object with the right number of commas": bend("shelf", data={"a": 1, "b": 2}),
    "ragged data": bend("pixels", data=[[[1, 2], [3, 4]], [[5, 6], [7]], [[8]]]),
    "ragged data of the right number": bend("pixels", data=[[[1, 2, 3], [4]], [[5, 6], [7, 8]]]),
    "nested data of another shape": bend("price", data=[[1.0], [2.0], [3.0], [4.0]]),
    "data nested by half": bend("pixels", data=[[1, 2, 3, 4], [5, 6, 7, 8]]),
    "data nested too deeply": bend("pixels", data=[[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]]),
    "data half flat": bend("price", data=[[1.0, 2.0], 3.0, 4.0]),
    "uint8 over its range": bend("pixels", data=[256] + [1] * 7),
    "uint8 below its range": bend("pixels", data=[-1] + [1] * 7),
    "uint8 with a fraction": bend("pixels", data=[1.5] + [1] * 7),
    "int64 over its range": bend("shelf", data=[2**63, 1]),
    "int64 below its range": bend("shelf", data=[-(2**63) - 1, 1]),
    "int64 with a fraction": bend("shelf", data=[0.5, 1]),
    "text among numbers": bend("wind speed", data=["1.0", 1.0]),
    "bool among numbers": bend("shelf", data=[True, 1]),
    "number among bools": bend("new", data=[1, 0]),
    "null among numbers": bend("wind speed", data=[None, 1.0]),
    "NaN": splice("wind speed", "[NaN, 1.0]"),
    "Infinity": splice("wind speed", "[Infinity, 1.0]"),
    "minus Infinity": splice("wind speed", "[-Infinity, 1.0]"),
    "too large for float64": splice("price", "[1e400, 1.0, 1.0, 1.0]"),
    "too large for float32": splice("wind speed", "[1e300, 1.0]"),
    "hexadecimal": splice("shelf", "[0x1, 1]"),
    "leading zero": splice("shelf", "[01, 1]"),
    "comma too many": splice("shelf", "[1,]"),
    "deep data": splice("shelf", "[" * 5000 + "]" * 5000),
    "deep data that never ends": splice("shelf", "[" * 9000),
    "deep unknown field": b'{"zz": ' + b"[" * 5000 + b"]" * 5000 + b"," + json.dumps(GOOD).encode()[1:],
    "deep objects": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "V1 body": json.dumps(v1(rows_of_many(2))).encode(),
}
V1_BODIES: dict[str, bytes] = {
    "empty body": b"",
    "no instances": b"{}",
    "instances null": b'{"instances": null}',
    "instances empty": b'{"instances": []}',
    "instances an object": b'{"instances": {}}',
    "bare lists for several features": b'{"instances": [[1, 2]]}',
    "unknown column": bend_v1(colour="red"),
    "text": bend_v1(shelf="1"),
    "null": bend_v1(shelf=None),
    "ragged": bend_v1(pixels=[[1, 2], [3]]),
    "flat image": bend_v1(pixels=[1, 2, 3, 4]),
    "image too large": bend_v1(pixels=[[1, 2, 3], [4, 5, 6]]),
    "out of range": bend_v1(pixels=[[1, 2], [3, 256]]),
    "too large for float32": bend_v1(**{"wind speed": 1e39}),
    "list for a number": bend_v1(shelf=[1]),
    "missing column": json.dumps({"instances": [{"shelf": 1}]}).encode(),
    "deep": b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "V2 body": json.dumps(GOOD).encode(),
}


def check_refused(many: Predictor, path: str, body: bytes, status: int = 400) -> str:
    response = many.client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    assert "Traceback" not in response.text
    return str(response.json()["error"])


@pytest.fixture(autouse=True, scope="module")
def _the_server_still_answers_afterwards(many: Predictor) -> Iterator[None]:
    yield
    found = outputs(many.client.post(INFER, json=GOOD).json())["probabilities"]
    np.testing.assert_allclose(found, predict(Session.load(make_model(MANY)), rows_of_many(2)), atol=1e-6)
    assert "Traceback" not in many.log.read_text()


@pytest.mark.parametrize("body", V2_BODIES.values(), ids=V2_BODIES.keys())
def test_a_malformed_v2_request_is_refused(many: Predictor, body: bytes):
    too_many = body == V2_BODIES["huge rows"] or body == V2_BODIES["rows beyond 64 bits"]
    assert check_refused(many, INFER, body, 413 if too_many else 400)


@pytest.mark.parametrize("body", V1_BODIES.values(), ids=V1_BODIES.keys())
def test_a_malformed_v1_request_is_refused(many: Predictor, body: bytes):
    assert check_refused(many, PREDICT, body)


def test_a_refusal_says_what_was_found_and_what_is_expected(many: Predictor):
    assert check_refused(many, INFER, bend("pixels", shape=[2, 4, 1])) == (
        "input 'pixels' has shape [2, 4, 1]: expected [2, 2, 2]"
    )
    assert check_refused(many, INFER, bend("pixels", data=[256] + [1] * 7)) == (
        "data of 'pixels': Expected `int` <= 255 - at `$[0]`"
    )
    assert check_refused(many, INFER, bend("pixels", data=[1] * 9)) == (
        "data of 'pixels' has 9 values: expected 8 for shape [2, 2, 2]"
    )


def test_more_rows_than_the_limit_are_refused(many: Predictor):
    assert many.client.post(INFER, json=v2(rows_of_many(8))).status_code == 200
    for path, body in ((INFER, v2(rows_of_many(9))), (PREDICT, v1(rows_of_many(9)))):
        assert "expected at most 8" in check_refused(many, path, json.dumps(body).encode(), 413)


def test_more_instances_than_the_limit_are_refused_for_a_single_feature(one: Predictor):
    def ask(rows: int) -> int:
        body = {"instances": np.zeros((rows, 2, 2), int).tolist()}
        return one.client.post("/v1/models/shoes:predict", json=body).status_code

    assert (ask(1024), ask(1025)) == (200, 413)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nothing", 404, None),
        ("GET", "/v2/", 404, None),
        ("GET", "/v2/models", 404, None),
        ("GET", "/v2/models/wardrobe/", 404, None),
        ("POST", "/v2/models//infer", 404, None),
        ("POST", "/v2/models/other/infer", 404, None),
        ("POST", "/v2/models/wardrobe/versions/1/infer", 404, None),
        ("GET", "/v2/models/wardrobe/versions/000000000000/ready", 404, None),
        ("GET", "/v2/models/other", 404, None),
        ("GET", "/v2/models/other/ready", 404, None),
        ("GET", "/v1/models/other", 404, None),
        ("POST", "/v1/models/other:predict", 404, None),
        ("POST", "/v1/models/wardrobe:explain", 404, None),
        ("GET", "/v2/models/..%2f..%2fetc%2fpasswd", 404, None),
        ("GET", "/v2/models/%00%ff", 404, None),
        ("POST", "/v2/repository/models/wardrobe/unload", 404, None),
        ("GET", INFER, 405, "POST"),
        ("PUT", INFER, 405, "POST"),
        ("GET", PREDICT, 405, "POST"),
        ("POST", "/v2", 405, "GET"),
        ("DELETE", "/v2/models/wardrobe", 405, "GET"),
        ("POST", "/metrics", 405, "GET"),
        ("POST", "/", 405, "GET"),
    ],
)
def test_a_wrong_address_or_method_is_refused(many: Predictor, method: str, path: str, status: int, allow: str | None):
    response = many.client.request(method, path)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert response.headers.get("allow") == allow


def test_a_body_whose_packing_is_unknown_or_broken_is_refused(many: Predictor):
    body = json.dumps(GOOD).encode()
    assert many.client.post(INFER, content=body, headers={"content-encoding": "br"}).status_code == 415
    assert many.client.post(INFER, content=body, headers={"content-encoding": "gzip"}).status_code == 400
    assert many.client.post(INFER, content=gzip.compress(body), headers={"content-encoding": "gzip"}).status_code == 200


def test_a_packed_body_that_unpacks_to_more_than_the_limit_is_refused(many: Predictor):
    bomb = gzip.compress(b" " * 10_000_000)
    assert many.client.post(INFER, content=bomb, headers={"content-encoding": "gzip"}).status_code == 413


def test_a_body_over_the_limit_is_refused_by_its_length_before_it_is_sent(many: Predictor):
    with socket.create_connection(("127.0.0.1", many.port), timeout=PATIENCE) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {10**12}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_over_the_limit_is_refused_while_its_chunks_arrive(many: Predictor):
    with socket.create_connection(("127.0.0.1", many.port), timeout=PATIENCE) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        client.sendall(b"3000\r\n" + b" " * 0x3000 + b"\r\n")
        client.sendall(b"3000\r\n" + b" " * 0x3000 + b"\r\n")  # the end of the body never comes
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_has_sent_all_of_a_body_over_the_limit_still_reads_why_it_is_refused(many: Predictor):
    for _ in range(5):
        connection = http.client.HTTPConnection("127.0.0.1", many.port, timeout=PATIENCE)
        connection.request("POST", INFER, b" " * 3_000_000)
        refused = connection.getresponse()
        assert (refused.status, refused.headers["connection"]) == (413, "close")
        assert "more than 20,000" in json.loads(refused.read())["error"]
        connection.close()


def test_a_client_that_goes_away_in_the_middle_harms_nobody(many: Predictor):
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", many.port), timeout=PATIENCE) as client:
            client.sendall(f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{{".encode())
    assert many.client.post(INFER, json=GOOD).status_code == 200


def test_a_model_that_fails_on_some_rows_answers_503_and_the_connection_stays(many: Predictor):
    with many.connect() as client:
        features: dict[str, Any] = rows_of_many(2) | {"shelf": np.array([1, 9])}
        refused = client.post(INFER, json=v2(features))
        assert refused.status_code == 503
        assert "the model failed" in refused.json()["error"]
        assert "connection" not in refused.headers
        assert client.post(INFER, json=GOOD).status_code == 200
    assert many.metric("noria_requests_total", protocol="v2", code="503") >= 1
