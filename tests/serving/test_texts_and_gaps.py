"""Texts and gaps all the way: a network of torch, its graph, a bundle, the predictor, and every protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from predictor import Predictor
from questions import outputs
from tiny_models import CLASSES, facts_of, schema_of
from torch import nn
from triton_client import rpc_predictor, triton
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from noria.ml.bundle import Facts
from noria.ml.export import export_onnx
from noria.ml.feeding import compute_logits, read_features
from noria.schema import Column
from noria.tasks.tabular import Scaling

COLUMNS = (
    Column(name="carrier", type="string", role="feature", choices=("UA", "B6"), maximum_null_share=0.2),
    Column(name="origin", type="string", role="feature", choices=("EWR", "JFK", "LGA")),
    Column(name="gust", type="float64", role="feature", minimum=0, maximum=200, maximum_null_share=1.0),
    Column(name="distance", type="float32", role="feature", minimum=0, maximum=5000),
)
SCHEMA = schema_of(COLUMNS)
DATATYPES = {"carrier": "BYTES", "origin": "BYTES", "gust": "FP64", "distance": "FP32"}
ROWS = {
    "carrier": np.array(["UA", None, "", "Nobody", "B6"], object),
    "origin": np.array(["EWR", "JFK", "LGA", "EWR", "JFK"], object),
    "gust": np.array([30.0, np.nan, 0.0, np.nan, 200.0]),
    "distance": np.array([1, 200, 3000, 400, 5000], np.float32),
}
Ask = Callable[[dict[str, np.ndarray]], np.ndarray]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.carriers, self.origins = nn.Embedding(3, 2), nn.Embedding(4, 2)
        self.scaling = Scaling(COLUMNS[2:])
        self.layers = nn.Linear(4 + self.scaling.width, len(CLASSES))

    def forward(self, carrier: torch.Tensor, origin: torch.Tensor, *numbers: torch.Tensor) -> torch.Tensor:
        parts = [self.carriers(carrier), self.origins(origin), self.scaling(*numbers)]
        logits: torch.Tensor = self.layers(torch.cat(parts, dim=1))
        return logits


@pytest.fixture(scope="module")
def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Network().eval()


@pytest.fixture(scope="module")
def running(network: Network, publish: Callable[[bytes, Facts], Path], home: Path) -> Iterator[Predictor]:
    folder = publish(export_onnx(network, SCHEMA, 1.0), facts_of(COLUMNS))
    with rpc_predictor(["--bundle", folder], home) as running:
        yield running


def listed(values: np.ndarray) -> list[Any]:
    return [None if value != value else value for value in values.tolist()]  # NaN alone differs from itself


def ask_v1(running: Predictor, rows: dict[str, np.ndarray]) -> Any:
    columns = {name: listed(values) for name, values in rows.items()}
    instances = [{name: values[row] for name, values in columns.items()} for row in range(len(rows["gust"]))]
    return running.client.post("/v1/models/wardrobe:predict", json={"instances": instances})


def ask_v2(running: Predictor, rows: dict[str, np.ndarray]) -> Any:
    inputs = [
        {"name": name, "datatype": DATATYPES[name], "shape": [len(values)], "data": listed(values)}
        for name, values in rows.items()
    ]
    return running.client.post("/v2/models/wardrobe/infer", json={"inputs": inputs})


def ask_rpc(running: Predictor, rows: dict[str, np.ndarray]) -> np.ndarray:
    inputs = []
    for name, values in rows.items():
        filled = np.array([text or "" for text in values], object) if values.dtype == object else values
        inputs.append(InferInput(name, [len(values)], DATATYPES[name]).set_data_from_numpy(filled))
    with triton(running) as client:
        return np.asarray(_infer(client, inputs))


def _infer(client: InferenceServerClient, inputs: list[InferInput]) -> Any:
    return client.infer("wardrobe", inputs).as_numpy("probabilities")


def test_every_protocol_answers_what_torch_does(network: Network, running: Predictor) -> None:
    logits = compute_logits(network, read_features(SCHEMA, ROWS))
    expected = torch.softmax(torch.from_numpy(logits), 1).numpy()
    assert len(np.unique(expected.round(6), axis=0)) == len(expected)
    v1 = [row["probabilities"] for row in ask_v1(running, ROWS).json()["predictions"]]
    v2 = outputs(ask_v2(running, ROWS).json())["probabilities"]
    for found in (v1, v2, ask_rpc(running, ROWS)):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_unknown_text_is_answered_as_a_missing_one(running: Predictor) -> None:
    same = {name: np.repeat(values[:1], 3) for name, values in ROWS.items()}
    found = outputs(ask_v2(running, same | {"carrier": np.array([None, "", "XX"], object)}).json())["probabilities"]
    assert (found == found[0]).all()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("origin", "XX", "data of 'origin' has 'XX' at [1]: expected one of ['EWR', 'JFK', 'LGA']"),
        ("origin", None, "got `null`"),
        ("distance", np.nan, "got `null`"),
        ("gust", 201.0, "data of 'gust' has 201.0 at [1]: expected 0.0 to 200.0"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused(running: Predictor, column: str, value: Any, said: str) -> None:
    rows = {name: values.copy() for name, values in ROWS.items()}
    rows[column][1] = value
    for answer in (ask_v1(running, rows), ask_v2(running, rows)):
        assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text
    with pytest.raises(InferenceServerException, match=f"data of '{column}' has"):
        ask_rpc(running, rows)


def test_the_document_says_what_may_be_missing(running: Predictor) -> None:
    schemas = running.client.get("/openapi.json").json()["components"]["schemas"]
    row = schemas["wardrobe.V1Request"]["properties"]["instances"]["items"]["properties"]
    assert row["origin"] == {"type": "string", "enum": ["EWR", "JFK", "LGA"]}
    assert {"type": "null"} in row["carrier"]["anyOf"]
    assert {"type": "null"} in row["gust"]["anyOf"]
    assert row["distance"]["type"] == "number"
