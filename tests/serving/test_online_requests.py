"""Requests that are completed from the online store, on every protocol, and what they are held to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from airline import (
    ASKED,
    EVENT,
    FACTS,
    FOUND,
    HOUR,
    INFER,
    NAME,
    NOON,
    NOTHING,
    PREDICT,
    at,
    full,
    make_airline_model,
    one_row,
    pack,
    rows_of,
    v1,
    v2,
)
from numpy.typing import NDArray
from online_stores import redis
from predictor import Predictor, predictor
from questions import outputs
from triton_client import channel_to, raw_message, rpc_predictor, send, typed_message, typed_outputs, wanted

from noria.ml.bundle import Facts
from noria.stores.online.store import OnlineStore, open_online

Rows = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="module")
def bundle(publish: Callable[[bytes, Facts], Path]) -> Path:
    return publish(make_airline_model(), FACTS)


@pytest.fixture(scope="module", params=["SQLite", "Redis"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("online")
    if request.param == "SQLite":
        yield str(folder / "online.db")
    else:
        with redis(folder) as server:
            yield server.address


@pytest.fixture(scope="module")
def store(address: str) -> Iterator[OnlineStore]:
    store = open_online(address)
    store.write(rows_of())
    yield store
    store.close()


@pytest.fixture(scope="module")
def running(bundle: Path, home: Path, address: str, store: OnlineStore) -> Iterator[Predictor]:
    # Patience beyond the ordinary: these tests are about what is answered, on a machine that may be busy.
    with rpc_predictor(["--bundle", bundle, "--online", address, "--online-seconds", "5"], home) as running:
        yield running


def ask(running: Predictor, rows: Rows) -> Any:
    answer = running.client.post(INFER, json=v2(rows))
    assert answer.status_code == 200, answer.text
    return answer


def chances(answer: Any) -> NDArray[np.float64]:
    return outputs(answer.json())["probabilities"]


def views(answer: Any) -> dict[str, dict[str, int]]:
    """What the answer says of its features; header and body say alike whether there is something."""
    said = answer.json()["parameters"]
    assert answer.headers.get("noria-features") == said.get("features")
    return json.loads(said.get("feature_views", "{}"))


def ask_v1(running: Predictor, rows: Rows) -> Any:
    answer = running.client.post(PREDICT, json=v1(rows))
    assert answer.status_code == 200, answer.text
    return [row["probabilities"] for row in answer.json()["predictions"]]


def ask_binary(running: Predictor, rows: Rows) -> Any:
    from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

    inputs = []
    for each in v2(rows)["inputs"]:
        values = np.array(["" if one is None else one for one in rows[each["name"]]], rows[each["name"]].dtype)
        inputs.append(InferInput(each["name"], each["shape"], each["datatype"]).set_data_from_numpy(values))
    client = InferenceServerClient(f"127.0.0.1:{running.port}")
    try:
        asked = [InferRequestedOutput("probabilities", binary_data=True)]
        return client.infer(NAME, inputs, outputs=asked).as_numpy("probabilities")
    finally:
        client.close()


def ask_raw(running: Predictor, rows: Rows) -> Any:
    with channel_to(running) as channel:
        answer = send(channel, _as_message(raw_message, rows).SerializeToString())
    return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(answer.outputs[0].shape)


def ask_typed(running: Predictor, rows: Rows) -> Any:
    with channel_to(running) as channel:
        answer = send(channel, _as_message(typed_message, rows).SerializeToString())
    return typed_outputs(answer)["probabilities"]


def _as_message(make: Callable[..., Any], rows: Rows) -> Any:
    texts = {
        name: np.array([each.encode() for each in values], object) if values.dtype == object else values
        for name, values in rows.items()
    }
    return make(texts, NAME)


@pytest.mark.parametrize("way", [ask_v1, ask_binary, ask_raw, ask_typed])
def test_a_completed_request_gets_the_answer_of_one_that_brings_all(running: Predictor, way: Any):
    expected = chances(ask(running, full()))
    assert len(np.unique(expected, axis=0)) == 2
    np.testing.assert_allclose(way(running, {**ASKED, **at(NOON)}), expected, atol=1e-7)
    np.testing.assert_allclose(way(running, full()), expected, atol=1e-7)


def test_v2_in_json_is_completed_too_and_says_nothing_where_all_is_fresh(running: Predictor):
    answer = ask(running, {**ASKED, **at(NOON)})
    np.testing.assert_array_equal(chances(answer), chances(ask(running, full())))
    assert "features" not in answer.json()["parameters"]
    assert "noria-features" not in answer.headers


def test_who_is_asked_about_may_be_said_and_changes_nothing(running: Predictor):
    """Not even a full request with keys is completed: what it brings counts, and not what the store has."""
    flight = {"flight": np.array(["2026-01-01 AA 1", "2026-01-01 UA 2"], object), **at(NOON)}
    own = full(seats=np.array([1, 900]))
    for rows, same in (({**flight, **ASKED}, full()), ({**own, **flight, "tailnum": ASKED["tailnum"]}, own)):
        expected = chances(ask(running, same))
        answer = ask(running, rows)
        np.testing.assert_array_equal(chances(answer), expected)
        assert "2026-01-01" not in answer.text
        np.testing.assert_allclose(ask_v1(running, rows), expected, atol=1e-7)


@pytest.mark.parametrize("text", ["2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00", "2026-01-01 12:00:00", NOON])
def test_v1_takes_a_moment_as_text_or_in_microseconds(running: Predictor, text: object):
    body = v1(ASKED)
    for row in body["instances"]:
        row["asked"] = text
    answer = running.client.post(PREDICT, json=body)
    found = [row["probabilities"] for row in answer.json()["predictions"]]
    np.testing.assert_allclose(found, chances(ask(running, full())), atol=1e-7)
    assert "features" not in answer.json()


def test_a_value_counts_from_its_event_until_its_ttl_both_ends_included(running: Predictor):
    row = one_row(ASKED)
    for moment, status in (
        (EVENT - 1, "newer"),
        (EVENT, None),
        (EVENT + 3 * HOUR, None),
        (EVENT + 3 * HOUR + 1, "expired"),
    ):
        answer = ask(running, {**row, **at(moment, 1)})
        found = views(answer).get("weather")
        assert found == (None if status is None else {status: 1}), moment
        assert answer.json()["parameters"].get("features") == (None if not views(answer) else "defaults")


def test_each_row_has_its_own_moment_and_its_own_status(running: Predictor):
    asked = {**ASKED, "asked": np.array([NOON, EVENT + 2 * HOUR])}
    found = views(ask(running, asked))
    assert found == {"routes": {"fresh": 1, "expired": 1}}
    late = {name: values[1:] for name, values in full(flights=np.array([12.0, np.nan])).items()}
    late["idle"] = np.array([1.0 + 90.0])
    np.testing.assert_allclose(chances(ask(running, asked))[1:], chances(ask(running, late)), atol=1e-7)


def test_an_age_grows_with_the_moment(running: Predictor):
    row = one_row(ASKED)
    for minutes in (0.0, 25.5):
        asked = {**row, **at(NOON + int(minutes * 60e6), 1)}
        expected = {**one_row(full()), "idle": np.array([90 + minutes])}
        np.testing.assert_allclose(chances(ask(running, asked)), chances(ask(running, expected)), atol=1e-7)


def test_entities_that_the_store_does_not_know_get_the_declared_defaults(running: Predictor):
    asked = {**one_row(ASKED), "origin": np.array(["LGA"], object), "tailnum": np.array(["N404"], object)}
    answer = ask(running, {**asked, **at(NOON, 1)})
    own = {name: asked[name] for name in ("carrier", "origin", "distance", "shelf")}
    np.testing.assert_allclose(chances(answer), chances(ask(running, {**own, **NOTHING})), atol=1e-7)
    assert views(answer) == {view: {"unknown": 1} for view in ("weather", "aircraft", "routes")}
    assert answer.json()["parameters"]["features"] == "defaults"


def test_a_key_that_the_schema_lets_be_missing_finds_nothing_and_is_no_fault(running: Predictor):
    rows = {**ASKED, "tailnum": np.array([None, "N2"], object), **at(NOON)}
    expected = chances(
        ask(
            running,
            full(kind=np.array(["", "prop"], object), seats=np.array([7, 40]), idle=np.array([np.nan, 1.0])),
        )
    )
    answer = ask(running, rows)
    np.testing.assert_allclose(chances(answer), expected, atol=1e-7)
    assert views(answer) == {"aircraft": {"unknown": 1, "fresh": 1}}
    np.testing.assert_allclose(ask_v1(running, rows), expected, atol=1e-7)
    np.testing.assert_allclose(ask_binary(running, rows), expected, atol=1e-7)


def test_a_new_carrier_is_answered_like_a_missing_one_and_finds_no_route(running: Predictor):
    answer = ask(running, {**one_row(ASKED), "carrier": np.array(["ZZ"], object), **at(NOON, 1)})
    assert views(answer) == {"routes": {"unknown": 1}}


def test_a_new_value_is_taken_at_once(running: Predictor, store: OnlineStore):
    asked = {**one_row(ASKED), "tailnum": np.array(["N7"], object), **at(NOON, 1)}
    before = ask(running, asked)
    store.write([pack("aircraft", ["N7"], ("jet", 321, None), EVENT)])
    after = ask(running, asked)
    assert (views(before), views(after)) == ({"aircraft": {"unknown": 1}}, {})
    expected = {**one_row(full()), "seats": np.array([321]), "idle": np.array([np.nan])}
    np.testing.assert_allclose(chances(after), chances(ask(running, expected)), atol=1e-7)


def test_without_a_moment_it_is_now_and_a_clock_that_is_a_little_ahead_harms_nobody(
    running: Predictor, store: OnlineStore
):
    import time

    ahead = int(time.time() * 1e6) + 20_000_000
    store.write([pack("aircraft", ["N8"], ("jet", 1, ahead / 1e6), ahead)])
    asked = {**one_row(ASKED), "tailnum": np.array(["N8"], object)}
    found = views(ask(running, asked))
    assert found == {"weather": {"expired": 1}, "routes": {"expired": 1}}
    assert views(ask(running, {**asked, **at(ahead - 1, 1)}))["aircraft"] == {"newer": 1}


def test_many_rows_are_completed_in_one_request(running: Predictor):
    rows = 1000
    many = {name: np.resize(values, rows) for name, values in {**ASKED, **at(NOON)}.items()}
    many["tailnum"] = np.array([f"N{row % 700}" for row in range(rows)], object)
    answer = ask(running, many)
    known = sum(f"N{row % 700}" in {"N1", "N2", "N7"} for row in range(rows))
    assert views(answer)["aircraft"]["unknown"] >= rows - known - 2
    few = {name: values[701:703] for name, values in many.items()}
    np.testing.assert_allclose(chances(answer)[701:703], chances(ask(running, few)), atol=1e-6)


def test_what_was_read_is_counted_by_view_and_status(running: Predictor):
    def count(status: str) -> float:
        return running.metric("noria_feature_rows_total", model=NAME, view="aircraft", status=status)

    before = count("fresh"), count("unknown")
    ask(running, {**ASKED, "tailnum": np.array(["N1", "N404"], object), **at(NOON)})
    assert (count("fresh"), count("unknown")) == (before[0] + 1, before[1] + 1)
    assert running.metric("noria_online_breaker_open") == 0
    assert running.metric("noria_online_read_seconds_count") > 0


def test_grpc_answers_say_what_is_not_fresh(running: Predictor):
    rows = {**one_row(ASKED), "tailnum": np.array(["N404"], object), **at(NOON, 1)}
    with channel_to(running) as channel:
        answer = send(channel, _as_message(raw_message, rows).SerializeToString())
    assert answer.parameters["features"].string_param == "defaults"
    assert json.loads(answer.parameters["feature_views"].string_param) == {"aircraft": {"unknown": 1}}


def test_grpc_refuses_a_mix_with_words(running: Predictor):
    rows = {**one_row(ASKED), "gust": np.array([1.0], np.float32)}
    with channel_to(running) as channel, pytest.raises(grpc.RpcError) as refused:
        send(channel, _as_message(raw_message, rows).SerializeToString())
    assert refused.value.code().name == "INVALID_ARGUMENT"
    assert "all of the 6 features that the service airline_v1 supplies, or none" in refused.value.details()


def test_the_metadata_tell_what_may_be_left_out(running: Predictor):
    found = running.client.get(f"/v2/models/{NAME}").json()
    assert [each["name"] for each in found["inputs"]] == [column.name for column in FACTS.schema.features]
    service = json.loads(found["parameters"]["feature_service"])
    assert service["name"] == "airline_v1"
    assert service["supplies"] == list(FOUND)
    assert {each["name"]: each["datatype"] for each in service["inputs"]} == {
        "carrier": "BYTES",
        "origin": "BYTES",
        "distance": "FP32",
        "shelf": "INT64",
        "tailnum": "BYTES",
    }
    assert {each["name"]: each["datatype"] for each in service["optional"]} == {"flight": "BYTES", "asked": "INT64"}


def test_without_a_store_full_requests_are_answered_and_others_told_what_is_missing(bundle: Path, home: Path):
    with predictor(["--bundle", bundle], home) as running:
        assert running.client.post(INFER, json=v2(full())).status_code == 200
        for path, body in ((INFER, v2(ASKED)), (PREDICT, v1(ASKED))):
            refused = running.client.post(path, json=body)
            assert refused.status_code == 400
            assert "this predictor reads no online store for the service airline_v1" in refused.json()["error"]
            assert "--online" in refused.json()["error"]
        assert "feature_service" not in running.client.get(f"/v2/models/{NAME}").json()["parameters"]


def test_wanted_outputs_are_chosen_of_a_completed_request(running: Predictor):
    assert [each.name() for each in wanted("label")] == ["label"]
    body = v2({**ASKED, **at(NOON)}, outputs=[{"name": "label"}], id="mine")
    answer = running.client.post(INFER, json=body).json()
    assert ([each["name"] for each in answer["outputs"]], answer["id"]) == (["label"], "mine")
