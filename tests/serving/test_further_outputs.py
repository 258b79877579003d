"""What a model's graph gives besides probabilities: told, asked for, and given in each form of the protocol."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
import tritonclient.http as triton_http
from jsonschema_rs import is_valid
from onnx import TensorProto, helper
from predictor import Predictor, predictor
from questions import DATATYPES, outputs, v2
from tiny_models import CLASSES, ONE, facts_of, make_model
from triton_client import channel_to, inputs, rpc_predictor, send, triton, typed_message, wanted
from website import load

from noria.errors import BundleError
from noria.ml.bundle import Facts
from noria.ml.inference import Session, check_fit

WORDS = ("kühl", "warm", "")
PIXELS = np.array([[[9, 1], [2, 3]], [[0, 0], [0, 0]], [[1, 2], [250, 3]]], np.uint8)
ROWS = {"pixels": PIXELS}
EXPECTED = {
    "grey": PIXELS / np.float32(4),
    "darkest": PIXELS.min(axis=(1, 2)),
    "word": np.array([WORDS[0], WORDS[0], WORDS[2]], object),
    "log": np.array([math.log(15), -math.inf, math.log(256)], np.float16),
}
NAMES = ["probabilities", "label", *EXPECTED]
OUTPUTS = {
    "grey": (TensorProto.FLOAT, ["rows", 2, 2]),
    "darkest": (TensorProto.UINT8, ["rows"]),
    "word": (TensorProto.STRING, ["rows"]),
    "log": (TensorProto.FLOAT16, ["rows"]),
}
Publish = Callable[[bytes, Facts], Path]


def enrich(
    nodes: Sequence[onnx.NodeProto], named: Sequence[onnx.ValueInfoProto], *constants: onnx.TensorProto
) -> bytes:
    """The tiny model of one feature, with nodes and outputs besides its own."""
    model = onnx.load_from_string(make_model(ONE))
    model.graph.node.extend(nodes)
    model.graph.output.extend(named)
    model.graph.initializer.extend(constants)
    return bytes(model.SerializeToString(deterministic=True))


def rich_model() -> bytes:
    """It gives grey levels, the darkest of them, a word for where the brightest is, and the logarithm of their sum."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["plain"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["plain", "four"], ["grey"]),
        helper.make_node("ReduceMin", ["pixels", "sides"], ["darkest"], keepdims=0),
        helper.make_node("Reshape", ["plain", "wide"], ["flat"]),
        helper.make_node("ArgMax", ["flat"], ["place"], axis=1, keepdims=0),
        helper.make_node("Gather", ["words", "place"], ["word"]),
        helper.make_node("ReduceSum", ["plain", "sides"], ["sum"], keepdims=0),
        helper.make_node("Log", ["sum"], ["long"]),
        helper.make_node("Cast", ["long"], ["log"], to=TensorProto.FLOAT16),
    ]
    words = [word.encode() for word in (*WORDS, "")]
    return enrich(
        nodes,
        [helper.make_tensor_value_info(name, *spec) for name, spec in OUTPUTS.items()],
        helper.make_tensor("four", TensorProto.FLOAT, [], [4]),
        helper.make_tensor("sides", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("words", TensorProto.STRING, [4], words),
    )


@pytest.fixture(scope="module")
def rich(publish: Publish) -> Path:
    return publish(rich_model(), facts_of(ONE))


@pytest.fixture(scope="module")
def running(rich: Path, home: Path) -> Iterator[Predictor]:
    with rpc_predictor(["--bundle", rich], home) as started:
        yield started


def ask(running: Predictor, **more: object) -> httpx.Response:
    return running.client.post("/v2/models/wardrobe/infer", json=v2(ROWS, **more))


def test_metadata_tells_every_output_with_its_datatype_and_shape(running: Predictor):
    told = running.client.get("/v2/models/wardrobe").json()["outputs"]
    assert told == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(CLASSES)]},
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "grey", "datatype": "FP32", "shape": [-1, 2, 2]},
        {"name": "darkest", "datatype": "UINT8", "shape": [-1]},
        {"name": "word", "datatype": "BYTES", "shape": [-1]},
        {"name": "log", "datatype": "FP16", "shape": [-1]},
    ]
    with triton(running) as client:
        named = [output.name for output in client.get_model_metadata("wardrobe").outputs]
    assert named == NAMES


def test_v2_gives_all_of_them_unless_some_are_named(running: Predictor):
    answer = ask(running).json()
    assert [output["name"] for output in answer["outputs"]] == NAMES
    found = outputs(answer)
    for name in ("grey", "darkest", "word"):
        np.testing.assert_array_equal(found[name], EXPECTED[name])
    some = ask(running, outputs=[{"name": "word"}, {"name": "label"}]).json()
    assert [output["name"] for output in some["outputs"]] == ["word", "label"]
    refused = ask(running, outputs=[{"name": "mood"}])
    assert (refused.status_code, "'word', 'log'" in refused.json()["error"]) == (400, True), refused.text


def test_v1_answers_as_it_does_for_any_model(running: Predictor):
    answer = running.client.post("/v1/models/wardrobe:predict", json={"instances": PIXELS.tolist()}).json()
    assert [set(row) for row in answer["predictions"]] == [{"label", "probabilities"}] * len(PIXELS)


def test_a_number_that_json_cannot_hold_is_null_there_and_itself_in_binary(running: Predictor):
    (plain,) = ask(running, outputs=[{"name": "log"}]).json()["outputs"]
    assert (plain["datatype"], plain["data"][1]) == ("FP16", None)
    np.testing.assert_allclose(plain["data"][::2], EXPECTED["log"][::2])
    packed = ask(running, outputs=[{"name": "log", "parameters": {"binary_data": True}}])
    body = packed.content[int(packed.headers["inference-header-content-length"]) :]
    np.testing.assert_allclose(np.frombuffer(body, np.float16), EXPECTED["log"])


def test_texts_in_binary_stand_each_behind_its_length_in_utf_8(running: Predictor):
    answer = ask(running, outputs=[{"name": "word", "parameters": {"binary_data": True}}])
    length = int(answer.headers["inference-header-content-length"])
    (head,) = json.loads(answer.content[:length])["outputs"]
    expected = b"\5\0\0\0k\xc3\xbchl" * 2 + b"\0\0\0\0"
    assert (head["datatype"], head["shape"]) == ("BYTES", [3])
    assert (head["parameters"]["binary_data_size"], answer.content[length:]) == (len(expected), expected)


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_tritons_http_client_gets_what_it_asks_for(running: Predictor, *, binary: bool):
    tensor = triton_http.InferInput("pixels", list(PIXELS.shape), DATATYPES["uint8"])
    tensor.set_data_from_numpy(PIXELS, binary_data=binary)
    asked = [triton_http.InferRequestedOutput(name, binary_data=binary) for name in ("grey", "word", "darkest")]
    client = triton_http.InferenceServerClient(f"127.0.0.1:{running.port}")
    try:
        answer = client.infer("wardrobe", [tensor], outputs=asked)
    finally:
        client.close()
    assert [output["name"] for output in answer.get_response()["outputs"]] == ["grey", "word", "darkest"]
    np.testing.assert_array_equal(answer.as_numpy("grey"), EXPECTED["grey"])
    np.testing.assert_array_equal(answer.as_numpy("darkest"), EXPECTED["darkest"])
    words = [word.decode() if binary else word for word in answer.as_numpy("word")]
    assert words == EXPECTED["word"].tolist()


def test_tritons_grpc_client_gets_what_it_asks_for(running: Predictor):
    with triton(running) as client:
        answer = client.infer("wardrobe", inputs(ROWS), outputs=wanted("log", "word"))
        assert [output.name for output in answer.get_response().outputs] == ["log", "word"]
        np.testing.assert_allclose(answer.as_numpy("log"), EXPECTED["log"])
        assert [word.decode() for word in answer.as_numpy("word")] == EXPECTED["word"].tolist()
        assert len(client.infer("wardrobe", inputs(ROWS)).get_response().outputs) == len(NAMES)


def test_typed_contents_hold_texts_as_bytes(running: Predictor):
    message = typed_message(ROWS)
    message.outputs.add(name="word")
    with channel_to(running) as channel:
        (output,) = send(channel, message.SerializeToString()).outputs
    assert (output.datatype, list(output.contents.bytes_contents)) == ("BYTES", [b"k\xc3\xbchl", b"k\xc3\xbchl", b""])


def test_the_document_for_tools_lists_them_and_holds_for_answers(running: Predictor):
    document = running.client.get("/openapi.json").json()
    parts = document["components"]["schemas"]
    named = parts["wardrobe.V2Request"]["properties"]["outputs"]["items"]["properties"]["name"]["enum"]
    assert named == NAMES
    assert is_valid(parts["wardrobe.V2Answer"], ask(running).json())


def test_requests_that_run_together_get_each_their_own_rows(rich: Path, home: Path):
    model = load(rich, home)
    one, two = (model.predict({"pixels": PIXELS[part]}) for part in (slice(0, 1), slice(1, 3)))
    both = model.predict(ROWS)
    for name in NAMES:
        np.testing.assert_array_equal(np.concatenate([one[name], two[name]]), both[name])


COPY = helper.make_node("Cast", ["pixels"], ["more"], to=TensorProto.FLOAT)
COMPRESS = helper.make_node("Compress", ["shares", "kept"], ["more"], axis=1)
UNSERVABLE = {
    "no rows": ([helper.make_node("ReduceSum", ["shares"], ["more"], keepdims=0)], [], r"output more float32 \(\)"),
    "rows fixed": ([COPY], [3, 2, 2], r"output more float32 \(3, 2, 2\) cannot be served"),
    "free length": ([COMPRESS], ["rows", "side"], r"output more float32 \(any, any\) cannot be served"),
}


@pytest.mark.parametrize(("nodes", "shape", "message"), UNSERVABLE.values(), ids=UNSERVABLE)
def test_an_output_that_has_no_fixed_shape_for_each_row_is_refused(nodes, shape, message):
    kept = helper.make_tensor("kept", TensorProto.BOOL, [3], [True, False, True])
    model = enrich(nodes, [helper.make_tensor_value_info("more", TensorProto.FLOAT, shape)], kept)
    with pytest.raises(BundleError, match=message + ".*export the model again"):
        check_fit(Session.load(model), facts_of(ONE).schema)


def test_an_output_that_has_the_name_of_the_decision_is_refused():
    nodes = [helper.make_node("ArgMax", ["shares"], ["label"], axis=1, keepdims=0)]
    model = enrich(nodes, [helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"])])
    with pytest.raises(BundleError, match=r"an output named label.*another name"):
        check_fit(Session.load(model), facts_of(ONE).schema)


def test_an_output_that_is_no_tensor_of_a_known_type_is_refused():
    shares = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    sequence = helper.make_value_info("parts", helper.make_sequence_type_proto(shares))
    with pytest.raises(BundleError, match=r"'parts' is of type seq\(tensor\(float\)\).*export the model again"):
        Session.load(enrich([helper.make_node("SplitToSequence", ["shares"], ["parts"])], [sequence]))
    short = helper.make_tensor_value_info("short", TensorProto.BFLOAT16, ["rows", 3])
    with pytest.raises(BundleError, match=r"'short' is of type tensor\(bfloat16\)"):
        Session.load(enrich([helper.make_node("Cast", ["shares"], ["short"], to=TensorProto.BFLOAT16)], [short]))


def test_an_output_whose_first_dimension_is_not_the_rows_is_found_before_it_is_served(publish: Publish, home: Path):
    halves = helper.make_node("Reshape", ["pixels", "pairs"], ["halves"])
    pairs = helper.make_tensor("pairs", TensorProto.INT64, [2], [-1, 2])
    named = helper.make_tensor_value_info("halves", TensorProto.UINT8, ["more", 2])
    folder = publish(enrich([halves], [named], pairs), facts_of(ONE))
    with pytest.raises(BundleError, match=r"'halves' has shape \(2, 2\) for 1 rows: expected \(1, 2\)"):
        load(folder, home)
    with pytest.raises(AssertionError, match="did not pass its warm-up"), predictor(["--bundle", folder], home):
        pass


def test_an_output_whose_rows_depend_on_the_values_fails_alone(publish: Publish, home: Path):
    nodes = [
        helper.make_node("Cast", ["pixels"], ["lit"], to=TensorProto.BOOL),
        helper.make_node("Not", ["lit"], ["dark"]),
        helper.make_node("NonZero", ["dark"], ["found"]),
        helper.make_node("Transpose", ["found"], ["places"], perm=[1, 0]),
        helper.make_node("Slice", ["places", "none", "four", "none", "fours"], ["kept"]),
    ]
    constants = [helper.make_tensor("none", TensorProto.INT64, [1], [0]), helper.make_tensor("four", TensorProto.INT64,
                 [1], [2**40]), helper.make_tensor("fours", TensorProto.INT64, [1], [4])]  # fmt: skip
    named = helper.make_tensor_value_info("kept", TensorProto.INT64, ["dark", 3])
    folder = publish(enrich(nodes, [named], *constants), facts_of(ONE))
    with predictor(["--bundle", folder], home) as running:
        black = {"pixels": np.zeros((2, 2, 2), np.uint8)}
        assert running.client.post("/v2/models/wardrobe/infer", json=v2(black)).status_code == 200
        refused = ask(running)
        assert refused.status_code == 503
        assert "'kept' has shape" in refused.json()["error"]
        assert running.client.post("/v2/models/wardrobe/infer", json=v2(black)).status_code == 200
