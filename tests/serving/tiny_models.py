"""Tiny ONNX models, made by hand: several features of several types, and ways to be slow or to fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from noria.ml.bundle import Calibration, Facts
from noria.ml.choices import DOMAIN, VERSION, placing_node
from noria.schema import Column, Schema
from noria.task import Task

CLASSES = ("ankle boot", "bag", "coat")
TYPES = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "string": TensorProto.STRING,
    "timestamp": TensorProto.INT64,
}
REST = (
    Column(name="id", type="string", role="id"),
    Column(name="time", type="timestamp", role="time"),
    Column(name="label", type="int64", role="label"),
)
ONE = (Column(name="pixels", type="uint8", role="feature", shape=(2, 2), minimum=0, maximum=255),)
MANY = (
    *ONE,
    Column(name="wind speed", type="float32", role="feature", unit="m/s"),
    Column(name="price", type="float64", role="feature", shape=(2,)),
    Column(name="shelf", type="int64", role="feature", minimum=0, maximum=9),
    Column(name="new", type="bool", role="feature"),
)
SLOW = (*ONE, Column(name="rounds", type="int64", role="feature"))
SHELVES = 5  # fewer than the schema allows, so that the model fails on some rows


def schema_of(features: Sequence[Column]) -> Schema:
    return Schema(columns=(*REST[:2], *features, REST[2]))


def facts_of(features: Sequence[Column], costs: Sequence[Sequence[float]] | None = None) -> Facts:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Facts(
        task="wardrobe",
        schema=schema_of(features),
        classes=CLASSES,
        costs=tuple(tuple(line) for line in costs or (1 - np.eye(len(CLASSES))).tolist()),
        temperature=1.0,
        calibration=Calibration(ece_before=0.1, ece_after=0.01),
        training_data="0" * 64,
        training_rows=10,
        training_start=now,
        training_end=datetime(2026, 2, 1, tzinfo=UTC),
        parameters={"seed": 1},
        metrics={"accuracy": 0.9},
        parity=0.0,
        code="test",
    )


def facts_for(task: Task) -> Facts:
    """The facts of a bundle of the task, as training would give them."""
    return replace(facts_of(ONE), task=task.name, schema=task.schema, classes=task.classes, costs=task.costs)


def make_model(
    features: Sequence[Column],
    *,
    seed: int = 1,
    classes: int = len(CLASSES),
    softmax: bool = True,
    rows: int | str = "rows",
) -> bytes:
    """A linear layer over all features. An int64 "shelf" outside its table makes it fail; "rounds" makes it slow."""
    random = np.random.default_rng(seed)
    width = sum(int(np.prod(column.shape)) for column in features)
    nodes, flat = [], []
    for place, column in enumerate(features):
        source = column.name
        if column.name == "shelf":
            nodes.append(helper.make_node("Gather", ["table", source], ["shelved"]))
            source = "shelved"
        nodes += [
            helper.make_node("Cast", [source], [f"c{place}"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", [f"c{place}", "wide"], [f"f{place}"]),
        ]
        flat.append(f"f{place}")
    nodes += [
        helper.make_node("Concat", flat, ["joined"], axis=1),
        helper.make_node("MatMul", ["joined", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["shares"], axis=1) if softmax else _copy("logits", "shares"),
    ]
    constants = {
        "table": random.normal(size=SHELVES).astype(np.float32),
        "wide": np.array([0, -1], np.int64),
        "weights": (random.normal(size=(width, classes)) / 64).astype(np.float32),
    }
    if any(column.name == "rounds" for column in features):
        nodes += _spin(constants, random)
    else:
        nodes.append(_copy("shares", "probabilities"))
    # Reshape copies dimension 0, which a bare number per row has as its only one.
    inputs = [helper.make_tensor_value_info(c.name, TYPES[c.type], [rows, *c.shape]) for c in features]
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [rows, classes])
    graph = helper.make_graph(
        nodes, "tiny", inputs, [output], [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def make_placing_model(features: Sequence[Column]) -> bytes:
    """The model of the places of texts: each column has choices, and they come in raw."""
    numbers = [replace(column, type="int64", choices=(), name=f"place of {column.name}") for column in features]
    model = onnx.load_from_string(make_model(numbers))
    pairs = zip(features, numbers, strict=True)
    nodes = [placing_node(column, column.name, number.name) for column, number in pairs]
    nodes += model.graph.node
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(nodes)
    model.graph.input.extend(helper.make_tensor_value_info(c.name, TYPES[c.type], ["rows", *c.shape]) for c in features)
    model.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def slow_rows(rounds: int) -> dict[str, object]:
    """A V2 request for the slow model that keeps it busy."""
    return {
        "inputs": [
            {"name": "pixels", "datatype": "UINT8", "shape": [1, 2, 2], "data": [1, 2, 3, 4]},
            {"name": "rounds", "datatype": "INT64", "shape": [1], "data": [rounds]},
        ]
    }


def _copy(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Identity", [source], [target])


def _spin(constants: dict[str, np.ndarray], random: np.random.Generator) -> list[onnx.NodeProto]:
    """Multiply matrices as often as the largest "rounds" says, and add nothing of it to the answer."""
    constants["big"] = (random.normal(size=(256, 256)) / 256).astype(np.float32)
    constants["zero"] = np.array(0, np.float32)
    constants["yes"] = np.ones((), bool)
    body = helper.make_graph(
        [_copy("going", "goes"), helper.make_node("MatMul", ["state", "big"], ["next"])],
        "round",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [256, 256]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [256, 256]),
        ],
    )
    return [
        helper.make_node("ReduceMax", ["rounds"], ["most"], keepdims=0),
        helper.make_node("Loop", ["most", "yes", "big"], ["end"], body=body),
        helper.make_node("ReduceMax", ["end"], ["peak"], keepdims=0),
        helper.make_node("Mul", ["peak", "zero"], ["nothing"]),
        helper.make_node("Add", ["shares", "nothing"], ["probabilities"]),
    ]
