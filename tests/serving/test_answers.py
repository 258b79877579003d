import numpy as np
import pytest
from predictor import Predictor, predictor
from questions import outputs, rows_of_many, v1, v2
from tiny_models import CLASSES, MANY, ONE, facts_of, make_model

from noria.ml.inference import Session, predict

INFER = "/v2/models/wardrobe/infer"
PREDICT = "/v1/models/wardrobe:predict"
EXPECTED = predict(Session.load(make_model(MANY)), rows_of_many(5))


def test_the_ready_line_names_port_model_and_digest(many: Predictor, many_bundle):
    manifest = (many_bundle / "manifest.json").read_bytes()
    import hashlib

    served = {"model": "wardrobe", "digest": hashlib.sha256(manifest).hexdigest()}
    assert many.ready == {"event": "ready", "port": many.port, **served, "models": [served]}


@pytest.mark.parametrize("nested", [False, True])
def test_v2_answers_equal_offline_answers(many: Predictor, nested: bool):
    response = many.client.post(INFER, json=v2(rows_of_many(5), nested=nested, id="mine"))
    answer = response.json()
    assert response.status_code == 200
    assert answer["id"] == "mine"
    assert answer["model_name"] == "wardrobe"
    assert answer["model_version"] == str(many.ready["digest"])[:12]
    assert answer["parameters"] == {
        "bundle": many.ready["digest"],
        "classes": '["ankle boot","bag","coat"]',
    }
    assert response.headers["noria-bundle"] == many.ready["digest"]
    assert [(out["name"], out["datatype"], out["shape"]) for out in answer["outputs"]] == [
        ("probabilities", "FP32", [5, 3]),
        ("label", "INT64", [5]),
    ]
    found = outputs(answer)
    np.testing.assert_allclose(found["probabilities"], EXPECTED, atol=1e-6)
    np.testing.assert_array_equal(found["label"], EXPECTED.argmax(axis=1))


def test_inputs_may_come_in_any_order(many: Predictor):
    body = v2(rows_of_many(5))
    body["inputs"].reverse()
    found = outputs(many.client.post(INFER, json=body).json())
    np.testing.assert_allclose(found["probabilities"], EXPECTED, atol=1e-6)


@pytest.mark.parametrize("version", ["short", "full"])
def test_v2_answers_under_a_version(many: Predictor, version: str):
    digest = str(many.ready["digest"])
    named = digest[:12] if version == "short" else digest
    response = many.client.post(f"/v2/models/wardrobe/versions/{named}/infer", json=v2(rows_of_many(1)))
    assert response.status_code == 200


def test_only_the_requested_outputs_come_and_in_their_order(many: Predictor):
    def names(*asked: str) -> list[str]:
        body = v2(rows_of_many(1), outputs=[{"name": name} for name in asked])
        return [out["name"] for out in many.client.post(INFER, json=body).json()["outputs"]]

    assert names("label") == ["label"]
    assert names("label", "probabilities") == ["label", "probabilities"]
    assert names() == ["probabilities", "label"]


def test_each_answer_without_an_id_gets_one_of_its_own(many: Predictor):
    ids = {many.client.post(INFER, json=v2(rows_of_many(1))).json()["id"] for _ in range(3)}
    ids |= {many.client.post(PREDICT, json=v1(rows_of_many(1))).json()["id"] for _ in range(3)}
    assert len(ids) == 6
    assert all(len(each) == 36 for each in ids)


def test_v1_answers_objects_by_column_name(many: Predictor):
    response = many.client.post(PREDICT, json=v1(rows_of_many(5)))
    answer = response.json()
    assert response.status_code == 200
    assert response.headers["noria-bundle"] == answer["bundle"] == many.ready["digest"]
    assert answer["model_name"] == "wardrobe"
    assert answer["model_version"] == str(many.ready["digest"])[:12]
    assert [each["label"] for each in answer["predictions"]] == [CLASSES[best] for best in EXPECTED.argmax(axis=1)]
    found = [each["probabilities"] for each in answer["predictions"]]
    np.testing.assert_allclose(found, EXPECTED, atol=1e-6)


def test_v1_answers_bare_lists_for_a_single_feature(one: Predictor):
    pixels = rows_of_many(3)["pixels"]
    answer = one.client.post("/v1/models/shoes:predict", json={"instances": pixels.tolist()}).json()
    expected = predict(Session.load(make_model(ONE)), {"pixels": pixels})
    np.testing.assert_allclose([each["probabilities"] for each in answer["predictions"]], expected, atol=1e-6)


def test_the_label_is_the_decision_of_least_cost(publish, home):
    costs = [[0, 1, 1], [1, 0, 1], [1000, 1000, 0]]  # who overlooks a coat pays dearly, so everything is a coat
    bundle = publish(make_model(ONE), facts_of(ONE, costs))
    with predictor(["--bundle", bundle], home) as running:
        body = {"instances": rows_of_many(4)["pixels"].tolist()}
        answer = running.client.post("/v1/models/wardrobe:predict", json=body).json()
    assert [each["label"] for each in answer["predictions"]] == ["coat"] * 4


def test_metadata_says_what_the_model_takes_and_gives(many: Predictor):
    metadata = many.client.get("/v2/models/wardrobe").json()
    assert metadata["versions"] == [str(many.ready["digest"])[:12]]
    assert metadata["inputs"] == [
        {"name": "pixels", "datatype": "UINT8", "shape": [-1, 2, 2]},
        {"name": "wind speed", "datatype": "FP32", "shape": [-1]},
        {"name": "price", "datatype": "FP64", "shape": [-1, 2]},
        {"name": "shelf", "datatype": "INT64", "shape": [-1]},
        {"name": "new", "datatype": "BOOL", "shape": [-1]},
    ]
    assert metadata["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "label", "datatype": "INT64", "shape": [-1]},
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/wardrobe/ready", {"name": "wardrobe", "ready": True}),
        ("/v1/models", {"models": ["wardrobe"]}),
        ("/v1/models/wardrobe", {"name": "wardrobe", "ready": True}),
    ],
)
def test_health_and_lists_answer(many: Predictor, path: str, expected: dict[str, object]):
    response = many.client.get(path)
    assert (response.status_code, response.json()) == (200, expected)


def test_the_server_describes_itself(many: Predictor):
    assert many.client.get("/v2").json()["name"] == "noria"
    assert many.client.get("/").json()["models"] == {"wardrobe": many.ready["digest"]}
    version = str(many.ready["digest"])[:12]
    assert many.client.get(f"/v2/models/wardrobe/versions/{version}").json()["name"] == "wardrobe"
    assert many.client.get(f"/v2/models/wardrobe/versions/{version}/ready").json()["ready"] is True


def test_a_body_in_chunks_is_answered(many: Predictor):
    import json

    data = json.dumps(v2(rows_of_many(5))).encode()
    chunks = (data[start : start + 100] for start in range(0, len(data), 100))
    found = outputs(many.client.post(INFER, content=chunks).json())
    np.testing.assert_allclose(found["probabilities"], EXPECTED, atol=1e-6)


def test_metrics_count_requests_and_name_the_bundle(many: Predictor):
    many.client.get("/v2/health/live")
    before = many.metric("noria_requests_total", protocol="live", code="200")
    many.client.get("/v2/health/live")
    assert many.metric("noria_requests_total", protocol="live", code="200") == before + 1
    assert many.metric("noria_model_info", model="wardrobe", bundle=str(many.ready["digest"])) == 1
    assert many.metric("noria_model_loads_total", outcome="served") == 1
    assert many.metric("noria_champion_refused") == 0
    assert many.metric("noria_in_flight_requests") == 1  # the one that asks
