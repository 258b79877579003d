"""What answers where the model cannot: each answer says who gave it, and by itself the model comes back."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from predictor import PATIENCE, Predictor, predictor, start, wait_until
from questions import outputs, v1, v2
from tiny_models import CLASSES, ONE, make_model
from triton_client import inputs, rpc_predictor, triton
from wary import (
    ENDLESS,
    FAILING,
    INFER,
    LONG,
    MODEL,
    PREDICT,
    RULE,
    SOON,
    WARY,
    asked,
    counted,
    expected,
    send,
    who,
    write,
)

from noria.ml.signature import Signer


@pytest.fixture(scope="module")
def bundle(signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bundles") / "bundle", signer)


@pytest.fixture(scope="module")
def running(bundle: Path, home: Path) -> Iterator[Predictor]:
    with rpc_predictor(["--bundle", bundle], home) as started:
        yield started


def test_the_model_answers_what_it_can_and_such_answers_say_nothing_more(running: Predictor):
    response = running.client.post(INFER, json=v2(asked()))
    assert who(response) == ""
    assert "fallback" not in response.json()["parameters"]
    np.testing.assert_allclose(outputs(response.json())["probabilities"], expected(MODEL, asked()), atol=1e-6)
    assert "fallback" not in running.client.post(PREDICT, json=v1(asked())).json()


def test_rows_that_the_model_fails_on_are_answered_by_the_rule_and_counted(running: Predictor):
    before = counted(running, "rule")
    response = running.client.post(INFER, json=v2(FAILING))
    assert who(response) == "rule"
    assert response.headers["noria-bundle"] == response.json()["parameters"]["bundle"] == running.ready["digest"]
    np.testing.assert_allclose(outputs(response.json())["probabilities"], expected(RULE, FAILING), atol=1e-6)
    assert counted(running, "rule") == before + 1
    assert counted(running, "last-good") == 0


def test_v1_says_who_answered(running: Predictor):
    response = running.client.post(PREDICT, json=v1(FAILING))
    assert (response.json()["fallback"], response.headers["noria-fallback"]) == ("rule", "rule")
    found = [each["probabilities"] for each in response.json()["predictions"]]
    np.testing.assert_allclose(found, expected(RULE, FAILING), atol=1e-6)


def test_binary_tensors_say_who_answered(running: Predictor):
    response = running.client.post(INFER, json=v2(FAILING, parameters={"binary_data_output": True}))
    length = int(response.headers["inference-header-content-length"])
    assert (
        json.loads(response.content[:length])["parameters"]["fallback"] == response.headers["noria-fallback"] == "rule"
    )
    found = np.frombuffer(response.content[length : length + 36], np.float32).reshape(3, 3)
    np.testing.assert_allclose(found, expected(RULE, FAILING), atol=1e-6)


def test_grpc_says_who_answered(running: Predictor):
    with triton(running) as client:
        result = client.infer("wardrobe", inputs(FAILING))
        assert result.get_response().parameters["fallback"].string_param == "rule"
        np.testing.assert_allclose(result.as_numpy("probabilities"), expected(RULE, FAILING), atol=1e-6)
        assert "fallback" not in client.infer("wardrobe", inputs(asked())).get_response().parameters


def test_what_is_wrong_with_a_request_is_told_and_no_fallback_answers(running: Predictor):
    assert running.client.post(INFER, json=v2({"pixels": FAILING["pixels"]})).status_code == 400


def test_neighbours_of_failing_rows_keep_the_models_own_answers(running: Predictor):
    wrong: list[object] = []

    def ask_often(features: dict[str, NDArray[Any]], by: str) -> None:
        truth = expected(RULE if by else MODEL, features)
        with running.connect() as client:
            for _ in range(20):
                response = client.post(INFER, json=v2(features))
                if who(response) != by or not np.allclose(outputs(response.json())["probabilities"], truth, atol=1e-6):
                    wrong.append(response.text)

    kinds = ((asked(), ""), (FAILING, "rule"), (asked(rows=5), ""), (asked(rows=2, shelf=8), "rule"))
    threads = [threading.Thread(target=ask_often, args=each) for each in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert wrong == []


def test_while_the_model_hangs_the_rule_answers_and_the_server_stays_ready(bundle: Path, home: Path):
    arguments = ["--bundle", bundle, *SOON, "--request-seconds", "1"]
    with rpc_predictor(arguments, home) as running:
        with send(running, asked(rounds=ENDLESS)) as client:
            answer = client.makefile("rb").read()
        hanging = time.monotonic()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nnoria-fallback: rule\r\n" in answer
        for count in range(2, 10):
            assert who(running.client.post(INFER, json=v2(asked()))) == "rule"
            assert counted(running, "rule") == count
        assert running.metric("noria_waiting_requests") == 0  # they do not wait for the model: they go to the rule
        with triton(running) as client:
            assert "fallback" in client.infer("wardrobe", inputs(asked())).get_response().parameters
        wait_until(lambda: time.monotonic() > hanging + 3.1, "it has hung for three times a request's limit")
        assert running.client.get("/v2/health/ready").status_code == 200
        assert running.client.get("/v2/models/wardrobe/ready").status_code == 200
        assert running.log.read_text().count("works on a batch for 0.2 s") == 1


def test_the_model_answers_again_as_soon_as_it_can(bundle: Path, home: Path):
    with predictor(["--bundle", bundle, *SOON], home) as running, send(running, asked(rounds=LONG)) as client:
        assert b"\r\nnoria-fallback: rule\r\n" in client.makefile("rb").read()
        assert who(running.client.post(INFER, json=v2(asked()))) == "rule"
        wait_until(lambda: not who(running.client.post(INFER, json=v2(asked()))), "the model answers again")


def test_requests_that_wait_behind_a_batch_that_hangs_go_on_to_the_rule_too(bundle: Path, home: Path):
    with predictor(["--bundle", bundle, "--fallback-seconds", "2"], home) as running:
        first = send(running, asked(rounds=ENDLESS))
        wait_until(lambda: running.metric("noria_in_flight_requests") == 2, "the model hangs")
        others = [send(running, asked()) for _ in range(3)]
        wait_until(lambda: running.metric("noria_waiting_requests") == 3, "three wait")
        for client in (first, *others):
            with client:
                assert b"\r\nnoria-fallback: rule\r\n" in client.makefile("rb").read()


def test_too_long_a_queue_is_told_and_not_hidden_by_the_rule(bundle: Path, home: Path):
    arguments = ["--bundle", bundle, "--max-waiting", "1", "--request-seconds", "60"]
    with predictor(arguments, home) as running:
        first = send(running, asked(rounds=LONG))
        wait_until(lambda: running.metric("noria_in_flight_requests") == 2, "the model works")
        second = send(running, asked())
        wait_until(lambda: running.metric("noria_waiting_requests") == 1, "one waits")
        refused = running.client.post(INFER, json=v2(asked()))
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        for client in (first, second):
            with client:
                assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
        assert counted(running, "rule") == 0


def test_a_stand_in_gives_the_outputs_that_it_has(signer: Signer, home: Path, tmp_path: Path):
    model = onnx.load_model_from_string(MODEL)
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", len(CLASSES)]))
    folder = write(tmp_path / "bundle", signer, model=model.SerializeToString(deterministic=True))
    with rpc_predictor(["--bundle", folder], home) as running:

        def names(features: Mapping[str, NDArray[Any]], *asked_for: str) -> list[str]:
            wanted = {"outputs": [{"name": name} for name in asked_for]} if asked_for else {}
            return list(outputs(running.client.post(INFER, json=v2(features, **wanted)).json()))

        assert names(asked()) == ["probabilities", "label", "logits"]
        assert names(FAILING) == ["probabilities", "label"]
        assert names(FAILING, "logits", "label") == ["label"]
        alone = running.client.post(INFER, json=v2(FAILING, outputs=[{"name": "logits"}]))
        assert (alone.status_code, counted(running, "rule")) == (503, 2)
        with triton(running) as client:
            given = client.infer("wardrobe", inputs(FAILING)).get_response().outputs
            assert [output.name for output in given] == ["probabilities", "label"]


def test_where_the_rule_fails_too_the_models_fault_is_told(signer: Signer, home: Path, tmp_path: Path):
    folder = write(tmp_path / "bundle", signer, rule=make_model(WARY, seed=2))
    with rpc_predictor(["--bundle", folder], home) as running:
        response = running.client.post(INFER, json=v2(FAILING))
        assert response.status_code == 503
        assert "the model failed on these rows" in response.json()["error"]
        assert counted(running, "rule") == 0
        with triton(running) as client, pytest.raises(Exception, match="UNAVAILABLE"):
            client.infer("wardrobe", inputs(FAILING))
        assert who(running.client.post(INFER, json=v2(asked()))) == ""


def test_a_bundle_without_a_rule_has_no_fallback(signer: Signer, home: Path, tmp_path: Path):
    with predictor(["--bundle", write(tmp_path / "bundle", signer, rule=None)], home) as running:
        response = running.client.post(INFER, json=v2(FAILING))
        assert response.status_code == 503
        assert "noria-fallback" not in response.headers
        assert "noria_fallbacks_total{" not in running.client.get("/metrics").text


def test_a_rule_that_does_not_fit_or_was_altered_is_not_served(signer: Signer, home: Path, tmp_path: Path):
    misfit = write(tmp_path / "misfit", signer, rule=make_model(ONE))
    altered = write(tmp_path / "altered", signer)
    with (altered / "rule.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\xff")
    for folder, complaint in ((misfit, "the bundle's schema has the features"), (altered, "rule.onnx was altered")):
        with start(["--bundle", folder], home, tmp_path / "log") as process:
            process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert complaint in (tmp_path / "log").read_text()


def test_a_fallback_must_come_before_the_end_of_a_request(bundle: Path, home: Path, tmp_path: Path):
    for seconds in ("10", "0"):
        with start(["--bundle", bundle, "--fallback-seconds", seconds], home, tmp_path / "log") as process:
            process.communicate(timeout=PATIENCE)
        assert process.returncode == 2
    assert "less than --request-seconds 10" in (tmp_path / "log").read_text()
