import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema_rs import is_valid
from predictor import predictor
from schemathesis import APIOperation, Case, GenerationMode
from tiny_models import facts_of, make_model
from website import load

from noria.ml.bundle import Facts
from noria.schema import Column
from serving.app import App
from serving.hub import Hub
from serving.metrics import make_metrics
from serving.model import ServedModel
from serving.openapi import describe
from serving.options import Limits
from serving.protocol import RequestReader
from serving.refusal import RequestError

BOUNDED = (
    Column(name="pixels", type="uint8", role="feature", shape=(2, 2)),
    Column(name="wind speed", type="float32", role="feature", unit="m/s", minimum=0, maximum=60),
    Column(name="price", type="float64", role="feature", shape=(2,), minimum=-1e3, maximum=1e3),
    Column(name="shelf", type="int64", role="feature", minimum=0, maximum=4),
    Column(name="new", type="bool", role="feature"),
)
ONE = (replace(BOUNDED[2], shape=(2, 3)),)
MAX_ROWS = 8
EXAMPLES = 30
BINARY = "application/octet-stream"


@pytest.fixture(scope="module")
def make(publish: Callable[[bytes, Facts], Path], home: Path) -> Callable[..., tuple[Path, ServedModel]]:
    def publish_model(columns: tuple[Column, ...], seed: int = 1) -> tuple[Path, ServedModel]:
        folder = publish(make_model(columns, seed=seed), facts_of(columns))
        return folder, load(folder, home)

    return publish_model


@pytest.fixture(scope="module", params=[BOUNDED, ONE], ids=["several features", "one feature"])
def served(
    request: pytest.FixtureRequest, make: Callable[..., tuple[Path, ServedModel]], home: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A predictor's address, and its document."""
    folder, _ = make(request.param)
    with predictor(["--bundle", folder, "--max-rows", MAX_ROWS], home) as running:
        yield str(running.client.base_url), running.client.get("/openapi.json").json()


def settle(value: Any) -> Any:
    """Write whole numbers as integers, as clients do: to a JSON Schema 6.0 is an integer, to the server it is not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [settle(each) for each in value]
    return {key: settle(each) for key, each in value.items()} if isinstance(value, dict) else value


def fit_rows(body: dict[str, Any]) -> None:
    """Let all tensors have the same rows, and as much data as these need: no JSON Schema can ask for that."""
    strides = [1 if type(each["data"][0]) is list else math.prod(each["shape"][1:]) for each in body["inputs"]]
    rows = min(len(each["data"]) // stride for each, stride in zip(body["inputs"], strides, strict=True))
    for tensor, stride in zip(body["inputs"], strides, strict=True):
        tensor["shape"][0] = rows
        tensor["data"] = tensor["data"][: rows * stride]
    if body.get("outputs"):
        body["outputs"] = list({output["name"]: output for output in body["outputs"]}.values())


def send_many(operation: APIOperation, mode: GenerationMode, prepare: Callable[[Case], None], url: str) -> Counter[int]:
    """Send generated requests, and hold each answer to the document; returns how often each status came."""
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case) -> None:
        prepare(case)
        statuses[case.call_and_validate(base_url=url).status_code] += 1

    send()
    return statuses


def operations_of(document: dict[str, Any]) -> list[APIOperation]:
    schema = schemathesis.openapi.from_dict(document)
    schema.config.checks.negative_data_rejection.expected_statuses = ["400", "404", "413"]
    return [found.ok() for found in schema.get_all_operations()]


def make_valid(case: Case) -> None:
    """What the document says in words only: tensors have the rows of their shape, and the header goes with binary."""
    if isinstance(case.body, dict):
        case.headers.pop("Inference-Header-Content-Length", None)
        case.body = settle(case.body)
        if "inputs" in case.body:
            fit_rows(case.body)


def test_whatever_fits_the_document_is_answered_as_it_says(served: tuple[str, dict[str, Any]]) -> None:
    url, document = served
    document = json.loads(json.dumps(document))
    for path in document["paths"].values():  # bytes at random are no binary tensors
        path.get("post", {"requestBody": {"content": {}}})["requestBody"]["content"].pop(BINARY, None)
    for operation in operations_of(document):
        statuses = send_many(operation, GenerationMode.POSITIVE, make_valid, url)
        assert set(statuses) == {200}, operation.label
        assert not operation.body or statuses[200] >= EXAMPLES, operation.label


def test_whatever_does_not_fit_the_document_is_refused_as_it_says(served: tuple[str, dict[str, Any]]) -> None:
    url, document = served
    for operation in operations_of(document):
        if operation.body or operation.path_parameters:
            statuses = send_many(operation, GenerationMode.NEGATIVE, lambda _: None, url)
            assert set(statuses) <= {400, 404, 413}, operation.label
            assert statuses.total() >= EXAMPLES, operation.label


def test_the_examples_of_the_document_are_answered(served: tuple[str, dict[str, Any]]) -> None:
    url, document = served
    schemas = document["components"]["schemas"]
    for path, part in (("/v2/models/wardrobe/infer", "V2Request"), ("/v1/models/wardrobe:predict", "V1Request")):
        (example,) = schemas[f"wardrobe.{part}"]["examples"]
        assert httpx.post(url + path, json=example).status_code == 200


GAPS = (
    Column(name="way", type="float32", role="feature", shape=(2,), maximum_null_share=0.5, minimum=0),
    Column(name="carrier", type="string", role="feature"),
    Column(name="stops", type="int64", role="feature", maximum_null_share=0.5),
    Column(name="origin", type="string", role="feature", choices=("EWR", "JFK")),
    Column(name="makers", type="string", role="feature", shape=(2,), choices=("A", "B"), maximum_null_share=0.5),
)
KNOWN = {"origin": "JFK", "makers": ["A", "B"]}


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        ({"way": [0.5, 2], "carrier": "AA", "stops": 1}, True),
        ({"way": [None, None], "carrier": "", "stops": -(2**63)}, True),
        ({"way": [None, 2], "carrier": "AA", "stops": 1}, False),  # a value is missing as a whole
        ({"way": [-1, 2], "carrier": "AA", "stops": 1}, False),
        ({"way": [1e39, 2], "carrier": "AA", "stops": 1}, False),
        ({"way": [0.5, 2], "carrier": None, "stops": 1}, False),
        ({"way": [0.5, 2], "carrier": "AA", "stops": None}, False),  # an integer has no value for what is missing
        ({"way": [0.5, 2], "carrier": "AA", "stops": 2**63}, False),
        ({"way": [0.5, 2], "carrier": "AA", "stops": 1, "more": 1}, False),
        ({"way": [0.5, 2], "carrier": "AA"}, False),
        ({"way": [0.5, 2], "carrier": "AA", "stops": 1, "origin": "LGA"}, False),
        ({"way": [0.5, 2], "carrier": "AA", "stops": 1, "origin": None}, False),
        ({"way": [0.5, 2], "carrier": "AA", "stops": 1, "makers": ["C", ""]}, True),  # what may be missing, and is
        ({"way": [0.5, 2], "carrier": "AA", "stops": 1, "makers": [None, None]}, True),
        ({"way": [0.5, 2], "carrier": "AA", "stops": 1, "makers": ["A", None]}, False),
    ],
)
def test_document_and_reader_agree_on_gaps_and_texts(make: Any, row: dict[str, Any], fits: bool) -> None:
    row = KNOWN | row
    model = replace(make(ONE)[1], facts=facts_of(GAPS))
    schema = json.loads(describe([model], "1"))["components"]["schemas"]["wardrobe.V1Request"]
    assert is_valid(schema, {"instances": [row]}) == fits
    reader = RequestReader(GAPS, model.outputs, 8)
    with nullcontext() if fits else pytest.raises(RequestError):
        reader.read_v1(json.dumps({"instances": [row]}).encode())


def test_each_version_of_a_name_has_its_own_requests(make: Any) -> None:
    models = [make(BOUNDED)[1], make(ONE)[1]]
    document = json.loads(describe([*models, replace(models[1], name="other")], "1"))
    assert set(operations_by_path(document)) >= {"/v2/models/other/infer", "/v1/models/other:predict"}
    assert request_of(document, "/v2/models/wardrobe/infer") == {"$ref": "#/components/schemas/wardrobe.V2Request"}
    newer = f"wardrobe.{models[1].version}.V2Request"
    assert request_of(document, "/v2/models/wardrobe/versions/{version}/infer") == {
        "anyOf": [{"$ref": "#/components/schemas/wardrobe.V2Request"}, {"$ref": f"#/components/schemas/{newer}"}]
    }
    (version,) = document["paths"]["/v2/models/wardrobe/versions/{version}/infer"]["parameters"]
    assert version["schema"]["enum"] == [text for model in models for text in (model.version, model.digest)]
    schemathesis.openapi.from_dict(document).validate()


def operations_by_path(document: dict[str, Any]) -> dict[str, Any]:
    return {path: each.get("post", each.get("get")) for path, each in document["paths"].items()}


def request_of(document: dict[str, Any], path: str) -> Any:
    return operations_by_path(document)[path]["requestBody"]["content"]["application/json"]["schema"]


def test_the_document_names_every_address_that_the_predictor_has(served: tuple[str, dict[str, Any]]) -> None:
    _, document = served
    app = App(Hub(), Limits(), make_metrics(), SimpleNamespace(draining=False))
    paths = [path.replace("{version}", "v") for path in document["paths"]]
    for endpoint, pattern in app.addresses():
        assert any(re.fullmatch(pattern, path) for path in paths), f"{endpoint} is not in the document"
