import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from predictor import PATIENCE, ROOT, Predictor
from questions import outputs, rows_of_many, v2
from tiny_models import MANY, make_model
from triton_client import (
    SERVICE,
    channel_to,
    inputs,
    raw_message,
    refusal,
    rpc_predictor,
    send,
    stream,
    triton,
    typed_message,
    typed_outputs,
    wanted,
)
from tritonclient.grpc import InferenceServerClient, service_pb2
from tritonclient.utils import InferenceServerException

from noria import __version__
from noria.ml.inference import Session, predict

EXPECTED = predict(Session.load(make_model(MANY)), rows_of_many(5))
SCHEMA = ROOT / "serving" / "rpc" / "inference.proto"


@pytest.fixture(scope="module")
def running(many_bundle: Path, home: Path) -> Iterator[Predictor]:
    with rpc_predictor(["--bundle", many_bundle, "--max-rows", "8"], home) as running:
        yield running


@pytest.fixture(scope="module")
def client(running: Predictor) -> Iterator[InferenceServerClient]:
    with triton(running) as client:
        yield client


@pytest.fixture(scope="module")
def channel(running: Predictor) -> Iterator[grpc.Channel]:
    with channel_to(running) as channel:
        yield channel


def test_raw_tensors_are_answered_raw_and_equal_offline_answers(running: Predictor, client: InferenceServerClient):
    answer = client.infer("wardrobe", inputs(rows_of_many(5)), request_id="mine")
    message = answer.get_response()
    assert (message.model_name, message.model_version, message.id) == (
        "wardrobe",
        str(running.ready["digest"])[:12],
        "mine",
    )
    assert {name: value.string_param for name, value in message.parameters.items()} == {
        "bundle": running.ready["digest"],
        "classes": '["ankle boot","bag","coat"]',
    }
    assert [(out.name, out.datatype, list(out.shape)) for out in message.outputs] == [
        ("probabilities", "FP32", [5, 3]),
        ("label", "INT64", [5]),
    ]
    assert len(message.raw_output_contents) == 2
    np.testing.assert_allclose(answer.as_numpy("probabilities"), EXPECTED, atol=1e-6)
    np.testing.assert_array_equal(answer.as_numpy("label"), EXPECTED.argmax(axis=1))


def test_typed_contents_are_answered_typed_and_equal_offline_answers(channel: grpc.Channel):
    message = send(channel, typed_message(rows_of_many(5)).SerializeToString())
    assert not message.raw_output_contents
    found = typed_outputs(message)
    np.testing.assert_allclose(found["probabilities"], EXPECTED, atol=1e-6)
    np.testing.assert_array_equal(found["label"], EXPECTED.argmax(axis=1))


def test_http_and_grpc_give_the_same_numbers(running: Predictor, client: InferenceServerClient):
    rows = rows_of_many(8, seed=3)
    http = outputs(running.client.post("/v2/models/wardrobe/infer", json=v2(rows)).json())
    found = client.infer("wardrobe", inputs(rows)).as_numpy("probabilities")
    np.testing.assert_allclose(found, http["probabilities"], atol=1e-6)


@pytest.mark.parametrize("length", [12, 64])
def test_a_version_answers_by_its_short_and_its_full_name(
    running: Predictor, client: InferenceServerClient, length: int
):
    version = str(running.ready["digest"])[:length]
    assert client.is_model_ready("wardrobe", version)
    answer = client.infer("wardrobe", inputs(rows_of_many(1)), model_version=version)
    assert answer.as_numpy("label").shape == (1,)


def test_only_the_requested_outputs_come_and_in_their_order(client: InferenceServerClient):
    def names(*asked: str) -> list[str]:
        answer = client.infer("wardrobe", inputs(rows_of_many(1)), outputs=wanted(*asked))
        return [output.name for output in answer.get_response().outputs]

    assert names("label") == ["label"]
    assert names("label", "probabilities") == ["label", "probabilities"]


def test_each_answer_without_an_id_gets_one_of_its_own(client: InferenceServerClient):
    ids = {client.infer("wardrobe", inputs(rows_of_many(1))).get_response().id for _ in range(3)}
    assert len(ids) == 3
    assert all(len(each) == 36 for each in ids)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_packed_messages_are_understood(client: InferenceServerClient, algorithm: str):
    answer = client.infer("wardrobe", inputs(rows_of_many(5)), compression_algorithm=algorithm)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), EXPECTED, atol=1e-6)


def test_the_server_and_its_model_tell_what_they_are(running: Predictor, client: InferenceServerClient):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("wardrobe")
    server = client.get_server_metadata(as_json=True)
    assert (server["name"], server["version"]) == ("noria", __version__)
    http = running.client.get("/v2/models/wardrobe").json()
    told = client.get_model_metadata("wardrobe")
    assert (told.name, list(told.versions), told.platform) == (http["name"], http["versions"], http["platform"])
    for side in ("inputs", "outputs"):
        found = [{"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in getattr(told, side)]
        assert found == http[side]


def test_what_this_port_does_not_do_is_said_with_the_place_that_does(client: InferenceServerClient):
    for ask, advice in [
        (client.get_model_repository_index, "the admin port"),
        (lambda: client.load_model("wardrobe"), "the admin port"),
        (lambda: client.unload_model("wardrobe"), "the admin port"),
        (lambda: client.get_model_config("wardrobe"), "ModelMetadata"),
        (client.get_inference_statistics, "/metrics"),
        (lambda: client.register_system_shared_memory("all", "/all", 64), "in the message"),
        (client.get_trace_settings, "traces"),
        (client.get_log_settings, "command line"),
    ]:
        with pytest.raises(InferenceServerException, match=advice) as caught:
            ask()
        assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


def test_a_method_that_nobody_has_is_not_found(channel: grpc.Channel):
    assert refusal(channel, b"", "ModelExplain")[0] == "UNIMPLEMENTED"


def test_a_stream_is_answered_in_its_order_and_survives_a_refusal(client: InferenceServerClient):
    rows = rows_of_many(5)
    with stream(client) as answers:
        for place in range(5):
            model = "nothing" if place == 2 else "wardrobe"
            row = {name: values[[place]] for name, values in rows.items()}
            client.async_stream_infer(model, inputs(row), request_id=str(place))
        found = [answers.get(timeout=PATIENCE) for _ in range(5)]
    assert [error is None for _, error in found] == [True, True, False, True, True]
    assert "no model 'nothing'" in str(found[2][1])
    for place in (0, 1, 3, 4):
        answer = found[place][0]
        assert answer.get_response().id == str(place)
        np.testing.assert_allclose(answer.as_numpy("probabilities"), EXPECTED[[place]], atol=1e-6)


def test_a_refusal_in_a_stream_names_the_request(channel: grpc.Channel):
    ask = channel.stream_stream(
        SERVICE + "ModelStreamInfer",
        request_serializer=service_pb2.ModelInferRequest.SerializeToString,
        response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
    )
    wrong = raw_message(rows_of_many(1))
    wrong.id = "wrong"
    wrong.inputs[0].shape[0] = -1
    first, second = ask(iter([wrong, raw_message(rows_of_many(1))]), timeout=PATIENCE)
    assert first.infer_response.id == "wrong"
    assert "found -1 rows" in first.error_message
    assert not second.error_message


def test_a_stream_longer_than_what_may_be_in_work_is_answered_whole(client: InferenceServerClient):
    with stream(client) as answers:
        for place in range(100):
            client.async_stream_infer("wardrobe", inputs(rows_of_many(1)), request_id=str(place))
        ids = [answers.get(timeout=PATIENCE)[0].get_response().id for _ in range(100)]
    assert ids == [str(place) for place in range(100)]


def test_calls_are_counted_by_model_protocol_and_status(running: Predictor, client: InferenceServerClient):
    labels = {"model": "wardrobe", "protocol": "grpc"}
    client.infer("wardrobe", inputs(rows_of_many(1)))
    good = running.metric("noria_requests_total", code="200", **labels)
    seconds = running.metric("noria_request_seconds_count", **labels)
    client.infer("wardrobe", inputs(rows_of_many(1)))
    with pytest.raises(InferenceServerException):
        client.infer("wardrobe", inputs(rows_of_many(1))[:1])
    with pytest.raises(InferenceServerException):
        client.infer("nothing", inputs(rows_of_many(1)))
    assert running.metric("noria_requests_total", code="200", **labels) == good + 1
    assert running.metric("noria_requests_total", code="400", **labels) >= 1
    assert running.metric("noria_requests_total", code="404", model="", protocol="grpc") >= 1
    assert running.metric("noria_request_seconds_count", **labels) == seconds + 2
    assert running.metric("noria_refused_inputs_total", model="wardrobe", kind="malformed") >= 1


def test_without_a_grpc_port_nothing_of_grpc_is_loaded(one: Predictor, running: Predictor):
    def loads(process: subprocess.Popen[bytes]) -> bool:
        return "cygrpc" in Path(f"/proc/{process.pid}/maps").read_text()

    assert "grpc_port" not in one.ready
    assert loads(running.process)
    assert not loads(one.process)


def test_the_compiled_schema_is_what_its_source_compiles_to(tmp_path: Path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    fresh = tmp_path / "inference.binpb"
    command = ["-m", "grpc_tools.protoc", f"-I{SCHEMA.parent}", f"--descriptor_set_out={fresh}", str(SCHEMA)]
    subprocess.run([sys.executable, *command], check=True)
    assert fresh.read_bytes() == SCHEMA.with_suffix(".binpb").read_bytes()


def test_names_and_numbers_of_the_messages_are_those_of_triton():
    from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

    def fields(message: DescriptorProto) -> set[tuple[object, ...]]:
        own = {(one.name, one.number, one.type, one.label, one.type_name) for one in message.field}
        return own.union(*({(nested.name, *field) for field in fields(nested)} for nested in message.nested_type))

    ours = FileDescriptorSet.FromString(SCHEMA.with_suffix(".binpb").read_bytes()).file[0]
    for message in ours.message_type:
        theirs = DescriptorProto()
        service_pb2.DESCRIPTOR.message_types_by_name[message.name].CopyToProto(theirs)
        assert fields(message) == fields(theirs), message.name
    methods = {method.name for method in ours.service[0].method}
    assert methods <= set(service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name)
