"""Context from the online store: read beside the model where a request has a key, and of no effect on any answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from airline import NOON
from jsonschema_rs import is_valid
from numpy.typing import NDArray
from online_stores import free_port
from predictor import Predictor, predictor, wait_until
from questions import v2
from schemathesis import Case, GenerationMode
from test_openapi import BINARY, EXAMPLES, make_valid, operations_of, send_many
from tiny_models import ONE, facts_of, make_model

from noria.errors import BundleError
from noria.features import Age, FeatureService, FeatureView, Field
from noria.ml.bundle import Facts
from noria.schema import Column, Schema
from noria.stores.online.rows import OnlineRow, Packer, row_key
from noria.stores.online.store import open_online
from serving.features.plan import make_plan

VIEW = FeatureView(
    name="looks",
    keys=("garment",),
    fields=(
        Field(name="light", type="float64"),
        Field(name="made", type="float64"),
        Field(name="maker", type="string"),
    ),
    ttl_seconds=3600,
)
SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="garment", type="string", role="key"),
        *ONE,
        Column(name="light", type="float64", role="context", minimum=0, maximum=255),
        Column(name="maker", type="string", role="context", choices=("Ada",)),
        Column(name="age", type="float64", role="context"),
        Column(name="label", type="int64", role="label"),
    )
)
SERVICE = FeatureService(name="wardrobe_v1", views=(VIEW,), ages=(Age(name="age", of="made"),))
FACTS = replace(facts_of(ONE), schema=SCHEMA, service=SERVICE)
PLAIN = facts_of(ONE)
MODEL = make_model(ONE)
INFER, PREDICT = "/v2/models/wardrobe/infer", "/v1/models/wardrobe:predict"
PICTURES = {"pixels": np.arange(8, dtype=np.uint8).reshape(2, 2, 2)}
KEYED = {**PICTURES, "garment": np.array(["coat", "shawl"], object), "time": np.full(2, NOON)}


def v1(columns: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """A row of texts or numbers is what stands in its list."""
    rows = {name: values.tolist() for name, values in columns.items()}
    return {"instances": [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]}


@pytest.fixture
def online(tmp_path: Path) -> Path:
    path = tmp_path / "online.db"
    store = open_online(str(path))
    row = OnlineRow(event=NOON, created=NOON, values=(41.5, NOON / 1e6 - 120, "Ada"))
    store.write([(row_key("looks", ("coat",)), Packer(VIEW).pack(row))])
    store.close()
    return path


@pytest.fixture
def running(publish: Callable[[bytes, Facts], Path], home: Path, online: Path, tmp_path: Path) -> Iterator[Predictor]:
    log = ["--features-log", tmp_path / "log.jsonl", "--features-log-share", "1"]
    with predictor(["--bundle", publish(MODEL, FACTS), "--online", online, *log], home) as running:
        yield running


@pytest.fixture
def alone(publish: Callable[[bytes, Facts], Path], home: Path) -> Iterator[Predictor]:
    with predictor(["--bundle", publish(MODEL, FACTS)], home) as running:
        yield running


def answer(running: Predictor, path: str, body: dict[str, Any]) -> Any:
    """What it answers, without what is another one each time; and nothing about features stands in it."""
    found = running.client.post(path, json=body)
    assert found.status_code == 200, found.text
    assert "noria-features" not in found.headers
    said = found.json()
    assert "feature" not in json.dumps(said)
    return said.get("predictions") or said["outputs"]


def looked_up(running: Predictor) -> dict[str, float]:
    statuses = ("fresh", "unknown", "newer", "expired", "unread", "last known")
    found = {one: running.metric("noria_feature_rows_total", view="looks", status=one) for one in statuses}
    return {status: rows for status, rows in found.items() if rows}


def test_the_answer_is_the_same_with_the_key_and_without_it(running: Predictor):
    for path, form in ((INFER, v2), (PREDICT, v1)):
        plain = answer(running, path, form(PICTURES))
        assert answer(running, path, form(KEYED)) == plain
        assert answer(running, path, form({"id": KEYED["garment"], **PICTURES})) == plain
    assert answer(running, PREDICT, {"instances": PICTURES["pixels"].tolist()}) == plain


def test_keys_are_found_wherever_they_stand(running: Predictor):
    pixels = PICTURES["pixels"].tolist()
    rows = [{"pixels": pixels[0], "garment": "coat"}, {"garment": "coat", "pixels": pixels[1]}]
    plain = answer(running, PREDICT, v1(PICTURES))
    assert answer(running, PREDICT, {"instances": rows}) == plain
    assert answer(running, PREDICT, {"instances": [dict(reversed(row.items())) for row in rows]}) == plain
    assert sum(looked_up(running).values()) == 4


def test_only_a_request_with_its_key_has_the_store_read(running: Predictor):
    for body in (v2(PICTURES), v2({**PICTURES, "time": KEYED["time"]})):
        answer(running, INFER, body)
    answer(running, PREDICT, {"instances": PICTURES["pixels"].tolist()})
    assert looked_up(running) == {}
    assert running.metric("noria_online_reads_total", outcome="answered") == 0
    answer(running, INFER, v2(KEYED))
    assert looked_up(running) == {"fresh": 1, "unknown": 1}
    assert running.metric("noria_online_reads_total", outcome="answered") == 1
    answer(running, PREDICT, v1({**KEYED, "time": np.full(2, NOON + 3_600_000_001)}))
    assert looked_up(running) == {"fresh": 1, "unknown": 2, "expired": 1}


def test_what_was_found_is_logged_for_the_comparison_with_training(running: Predictor, tmp_path: Path):
    answer(running, INFER, v2({**KEYED, "time": np.full(2, NOON + 60_000_000)}, id="mine"))
    wait_until(lambda: running.metric("noria_features_log_rows_total", outcome="written") == 2, "all is written")
    first, second = (json.loads(line) for line in (tmp_path / "log.jsonl").read_bytes().splitlines())
    assert first == {
        "moment": NOON + 60_000_000,
        "id": "mine",
        "keys": {"garment": "coat"},
        "given": {},  # a picture is no single value
        "features": {"light": 41.5, "maker": "Ada", "age": 3.0},
        "views": {"looks": "fresh"},
    }
    assert second["features"] == {"light": None, "maker": None, "age": None}
    assert second["views"] == {"looks": "unknown"}


def test_a_store_that_fails_holds_nobody_up_and_marks_no_answer(publish, home: Path):
    address = f"redis://127.0.0.1:{free_port()}/0"
    with predictor(["--bundle", publish(MODEL, FACTS), "--online", address, "--online-seconds", "5"], home) as running:
        plain = answer(running, INFER, v2(PICTURES))
        for _ in range(5):
            assert answer(running, INFER, v2(KEYED)) == plain
        wait_until(lambda: looked_up(running) == {"unread": 10}, "the reads are given up")
        assert running.metric("noria_degraded_answers_total") == 0


def test_without_a_store_keys_are_taken_and_left(alone: Predictor):
    assert answer(alone, INFER, v2(KEYED)) == answer(alone, INFER, v2(PICTURES))
    assert "feature_service" not in alone.client.get("/v2/models/wardrobe").json()["parameters"]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"garment": KEYED["garment"]}, "['pixels']"),
        ({"garment": KEYED["garment"], "time": KEYED["time"]}, "found no ['pixels']"),
        ({**PICTURES, "light": np.array([1.0, 2.0])}, "found the columns ['light']: expected ['pixels']"),
        ({**KEYED, "light": np.array([1.0, 2.0])}, "found the columns ['light']"),
        ({**KEYED, "garment": np.array(["coat", ""], object)}, "key 'garment' is empty at [1]"),
        ({**KEYED, "time": np.full(2, 5)}, "data of 'time' has 5"),
    ],
)
@pytest.mark.parametrize("where", ["running", "alone"])
def test_context_is_no_input_and_keys_are_held_to_the_schema(columns, told: str, where: str, request):
    running = request.getfixturevalue(where)
    found = running.client.post(INFER, json=v2(columns))
    assert found.status_code == 400
    assert told in found.json()["error"]


def test_in_v1_a_wrong_column_is_named_as_well(running: Predictor):
    found = running.client.post(PREDICT, json=v1({**PICTURES, "light": np.array([1.0, 2.0])}))
    assert found.status_code == 400
    assert "found the columns ['light']" in found.json()["error"]


def test_clients_are_shown_the_model_as_it_is_without_a_service_and_may_add_the_key(running: Predictor, home, publish):
    said = running.client.get("/v2/models/wardrobe").json()
    service = json.loads(said["parameters"].pop("feature_service"))
    assert (service["supplies"], service["context"]) == ([], ["light", "maker", "age"])
    assert [column["name"] for column in service["inputs"]] == ["pixels"]
    assert "garment" in {column["name"] for column in service["optional"]}
    with predictor(["--bundle", publish(MODEL, PLAIN)], home) as plain:
        known = plain.client.get("/v2/models/wardrobe").json()
        page = running.client.get("/", headers={"accept": "text/html"}).text
    assert said["inputs"] == known["inputs"]
    assert "wardrobe" in page
    assert "wardrobe_v1" not in page
    document = running.client.get("/openapi.json").json()
    for part, form in (("V2Request", v2), ("V1Request", v1)):
        schema = {"$ref": f"#/components/schemas/wardrobe.{part}", "components": document["components"]}
        for columns in (PICTURES, KEYED, {**PICTURES, "garment": KEYED["garment"]}):
            assert is_valid(schema, form(columns)), (part, columns)
        assert not is_valid(schema, form({**PICTURES, "light": np.array([1.0, 2.0])}))
        assert "garment" not in json.dumps(document["components"]["schemas"][f"wardrobe.{part}"]["examples"])


def make_alike(case: Case) -> None:
    """What the document says in words only: objects all have the same columns, and a key names something."""
    make_valid(case)
    rows = case.body.get("instances", []) if isinstance(case.body, dict) else []
    if rows and all(isinstance(row, dict) for row in rows):
        common = set.intersection(*(set(row) for row in rows))
        case.body["instances"] = [{name: row[name] for name in common} for row in rows]


def test_whatever_fits_the_document_is_answered_as_it_says(running: Predictor):
    document = running.client.get("/openapi.json").json()
    for path in document["paths"].values():
        path.get("post", {"requestBody": {"content": {}}})["requestBody"]["content"].pop(BINARY, None)
    for operation in operations_of(document):
        if operation.body and "version" not in operation.path:
            url = str(running.client.base_url)
            statuses = send_many(operation, GenerationMode.POSITIVE, make_alike, url)
            assert (set(statuses), statuses[200] >= EXAMPLES) == ({200}, True), operation.label
            refused = send_many(operation, GenerationMode.NEGATIVE, lambda _: None, url)
            assert set(refused) <= {400, 404, 413}, operation.label
    assert looked_up(running)["unknown"] > 0


def test_context_may_be_missing_and_has_to_fit_its_field():
    assert make_plan(FACTS).supplied == ()
    wide = tuple(
        replace(column, shape=(2,), choices=()) if column.name == "maker" else column for column in SCHEMA.columns
    )
    with pytest.raises(BundleError, match="field 'maker' of string is 'maker'"):
        make_plan(replace(FACTS, schema=Schema(columns=wide)))
    without = tuple(column for column in SCHEMA.columns if column.role != "context")
    assert make_plan(replace(FACTS, schema=Schema(columns=without))) is None


def test_a_key_that_the_model_takes_itself_has_the_store_read_as_well(publish, home: Path, online: Path):
    shelf = Column(name="shelf", type="int64", role="feature", minimum=0, maximum=4)
    view = replace(VIEW, keys=("shelf",))
    columns = tuple(shelf if column.name == "garment" else column for column in SCHEMA.columns)
    facts = replace(FACTS, schema=Schema(columns=columns), service=replace(SERVICE, views=(view,)))
    bundle = publish(make_model((shelf, *ONE)), facts)
    asked = {"shelf": np.array([1, 2]), **PICTURES}
    with predictor(["--bundle", bundle, "--online", online], home) as running:
        assert answer(running, INFER, v2(asked)) == answer(running, INFER, v2(asked))
        answer(running, PREDICT, v1(asked))
        assert looked_up(running) == {"unknown": 6}
