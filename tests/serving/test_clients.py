"""The predictor asked by clients that others wrote, as they are."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from predictor import KSERVE, PATIENCE, Predictor
from questions import DATATYPES, rows_of_many, v2
from tiny_models import CLASSES, MANY, make_model
from triton_client import rpc_predictor
from tritonclient.utils import InferenceServerException

from noria.ml.inference import Session, predict

ROWS = rows_of_many(5)
EXPECTED = predict(Session.load(make_model(MANY)), ROWS)


@pytest.fixture(scope="module")
def running(many_bundle: Path, home: Path) -> Iterator[Predictor]:
    with rpc_predictor(["--bundle", many_bundle], home) as running:
        yield running


@pytest.fixture(scope="module")
def client(running: Predictor) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(f"127.0.0.1:{running.port}")
    yield client
    client.close()


@pytest.fixture(scope="module")
def kserve(running: Predictor, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What KServe's clients found, in an environment of their own: they bring eighty packages along."""
    if not KSERVE.exists():
        pytest.skip("no .bench/kserve with kserve in it: `make bench-peers` makes one")
    file = tmp_path_factory.mktemp("kserve") / "rows.npz"
    np.savez(file, **ROWS)
    ports = [str(running.port), str(running.ready["grpc_port"])]
    program = Path(__file__).with_name("kserve_client.py")
    done = subprocess.run(
        [KSERVE, program, *ports, file], check=False, capture_output=True, text=True, timeout=4 * PATIENCE
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def inputs(*, binary: bool) -> list[triton.InferInput]:
    made = []
    for name, values in ROWS.items():
        tensor = triton.InferInput(name, list(values.shape), DATATYPES[values.dtype.name])
        made.append(tensor.set_data_from_numpy(values, binary_data=binary))
    return made


@pytest.mark.parametrize("asked", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("answered", [False, True], ids=["json", "binary"])
def test_triton_over_http_in_json_and_in_binary_both_ways(
    client: triton.InferenceServerClient, *, asked: bool, answered: bool
):
    outputs = [triton.InferRequestedOutput(name, binary_data=answered) for name in ("label", "probabilities")]
    answer = client.infer("wardrobe", inputs(binary=asked), outputs=outputs, request_id="mine")
    assert answer.get_response()["id"] == "mine"
    assert ("data" in answer.get_output("label")) is not answered
    np.testing.assert_allclose(answer.as_numpy("probabilities"), EXPECTED, atol=1e-6)
    np.testing.assert_array_equal(answer.as_numpy("label"), EXPECTED.argmax(axis=1))


def test_triton_over_http_without_naming_outputs(client: triton.InferenceServerClient):
    answer = client.infer("wardrobe", inputs(binary=True))
    np.testing.assert_allclose(answer.as_numpy("probabilities"), EXPECTED, atol=1e-6)


def test_triton_over_http_with_mixed_forms(client: triton.InferenceServerClient):
    mixed = [*inputs(binary=True)[:2], *inputs(binary=False)[2:]]
    outputs = [
        triton.InferRequestedOutput("label", binary_data=False),
        triton.InferRequestedOutput("probabilities", binary_data=True),
    ]
    answer = client.infer("wardrobe", mixed, outputs=outputs)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), EXPECTED, atol=1e-6)
    np.testing.assert_array_equal(answer.as_numpy("label"), EXPECTED.argmax(axis=1))


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_triton_over_http_with_packed_bodies(client: triton.InferenceServerClient, algorithm: str):
    answer = client.infer("wardrobe", inputs(binary=True), request_compression_algorithm=algorithm)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), EXPECTED, atol=1e-6)


def test_triton_over_http_learns_what_the_server_is(running: Predictor, client: triton.InferenceServerClient):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("wardrobe")
    assert not client.is_model_ready("nothing")
    assert client.get_server_metadata()["name"] == "noria"
    assert client.get_model_metadata("wardrobe") == running.client.get("/v2/models/wardrobe").json()
    with pytest.raises(InferenceServerException, match="found inputs"):
        client.infer("wardrobe", inputs(binary=True)[:1])


@pytest.mark.parametrize("form", ["json", "binary"])
def test_kserves_rest_client(kserve: dict[str, Any], form: str):
    found = kserve["rest"][form]
    assert found["id"] == "mine"
    np.testing.assert_allclose(found["probabilities"], EXPECTED, atol=1e-6)
    assert found["label"] == EXPECTED.argmax(axis=1).tolist()


def test_kserves_rest_client_in_v1(kserve: dict[str, Any]):
    found = kserve["rest"]["v1"]
    np.testing.assert_allclose(found["probabilities"], EXPECTED, atol=1e-6)
    assert found["label"] == [CLASSES[label] for label in EXPECTED.argmax(axis=1)]


@pytest.mark.parametrize("form", ["raw", "typed"])
def test_kserves_grpc_client(kserve: dict[str, Any], form: str):
    found = kserve["grpc"][form]
    assert found["id"] == "mine"
    np.testing.assert_allclose(found["probabilities"], EXPECTED, atol=1e-6)
    assert found["label"] == EXPECTED.argmax(axis=1).tolist()


def test_kserves_clients_learn_what_the_server_is(kserve: dict[str, Any]):
    rest, rpc = kserve["rest"], kserve["grpc"]
    assert all(rest[name] for name in ("live", "ready", "model_ready", "v1_ready"))
    assert all(rpc[name] for name in ("live", "ready", "model_ready"))
    assert rpc["unknown"] == "NOT_FOUND"


def test_curl(running: Predictor):
    address = f"http://127.0.0.1:{running.port}/v2/models/wardrobe/infer"
    command = ["curl", "--silent", "--show-error", "--fail", "--json", "@-", address]
    done = subprocess.run(command, input=json.dumps(v2(ROWS)), capture_output=True, text=True, check=True)
    found = {output["name"]: output["data"] for output in json.loads(done.stdout)["outputs"]}
    assert found["label"] == EXPECTED.argmax(axis=1).tolist()
