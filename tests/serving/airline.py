"""A small task with a feature service: questions about flights, whose features lie in an online store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tiny_models import CLASSES, TYPES, facts_of

from noria.features import Age, FeatureService, FeatureView, Field, Stored
from noria.ml.choices import DOMAIN, VERSION, placing_node
from noria.schema import Column, Schema
from noria.stores.online.rows import OnlineRow, Packer, row_key

HOUR = 3600 * 10**6
SHELVES = 5  # fewer than the schema allows: the model fails beyond
NAME = "airline"
INFER, PREDICT = f"/v2/models/{NAME}/infer", f"/v1/models/{NAME}:predict"


def _feature(name: str, kind: str, **more: Any) -> Column:
    return Column(name=name, type=kind, role="feature", **more)  # type: ignore[arg-type]


OWN = (
    _feature("carrier", "string", choices=("AA", "UA"), maximum_null_share=0.1),
    _feature("origin", "string", choices=("EWR", "JFK", "LGA")),
    _feature("distance", "float32", minimum=0, maximum=5000),
    _feature("shelf", "int64", minimum=0, maximum=9),
)
SUPPLIED = (
    _feature("temperature", "float64", minimum=-100, maximum=150, maximum_null_share=0.5),
    _feature("gust", "float32", minimum=0, maximum=200, maximum_null_share=1.0),
    _feature("kind", "string", choices=("jet", "prop"), maximum_null_share=0.5),
    _feature("seats", "int64", minimum=0, maximum=1000),
    _feature("idle", "float64", minimum=0, maximum=10**6, maximum_null_share=0.5),
    _feature("flights", "float64", minimum=0, maximum=10**6, maximum_null_share=0.9),
)
FEATURES = (*OWN[:2], *SUPPLIED[:3], *OWN[2:], *SUPPLIED[3:])  # mixed, as nothing promises an order
SCHEMA = Schema(
    columns=(
        Column(name="flight", type="string", role="id"),
        Column(name="asked", type="timestamp", role="time"),
        Column(name="tailnum", type="string", role="key", maximum_null_share=0.1),
        *FEATURES,
        Column(name="label", type="int64", role="label"),
    )
)
WEATHER = FeatureView(
    name="weather",
    keys=("origin",),
    fields=(Field(name="temperature", type="float64"), Field(name="gust", type="float64")),
    ttl_seconds=3 * 3600,
)
AIRCRAFT = FeatureView(
    name="aircraft",
    keys=("tailnum",),
    fields=(
        Field(name="kind", type="string"),
        Field(name="seats", type="int64", default=7),
        Field(name="landed", type="float64"),
    ),
    ttl_seconds=48 * 3600,
)
ROUTES = FeatureView(
    name="routes", keys=("carrier", "origin"), fields=(Field(name="flights", type="int64"),), ttl_seconds=3600
)
SERVICE = FeatureService(name="airline_v1", views=(WEATHER, AIRCRAFT, ROUTES), ages=(Age(name="idle", of="landed"),))
FACTS = replace(facts_of(OWN), task=NAME, schema=SCHEMA, service=SERVICE)
VIEWS = {view.name: view for view in SERVICE.views}

NOON = 1_767_268_800_000_000  # 1 January 2026, 12:00 in UTC
EVENT = NOON - HOUR // 2
VALUES: dict[tuple[str, tuple[str, ...]], tuple[Stored, ...]] = {
    ("weather", ("EWR",)): (41.5, 20.0),
    ("weather", ("JFK",)): (30.25, None),
    ("aircraft", ("N1",)): ("jet", 180, NOON / 1e6 - 5400),
    ("aircraft", ("N2",)): ("prop", 40, NOON / 1e6 - 60),
    ("routes", ("AA", "EWR")): (12,),
    ("routes", ("UA", "JFK")): (3,),
}
# Two flights, and what is known of them at noon.
ASKED = {
    "carrier": np.array(["AA", "UA"], object),
    "origin": np.array(["EWR", "JFK"], object),
    "distance": np.array([100, 2000], np.float32),
    "shelf": np.array([1, 3]),
    "tailnum": np.array(["N1", "N2"], object),
}
FOUND = {
    "temperature": np.array([41.5, 30.25]),
    "gust": np.array([20, np.nan], np.float32),
    "kind": np.array(["jet", "prop"], object),
    "seats": np.array([180, 40]),
    "idle": np.array([90.0, 1.0]),
    "flights": np.array([12.0, 3.0]),
}
NOTHING = {
    "temperature": np.array([np.nan]),
    "gust": np.array([np.nan], np.float32),
    "kind": np.array([""], object),
    "seats": np.array([7]),
    "idle": np.array([np.nan]),
    "flights": np.array([np.nan]),
}
DATATYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "object": "BYTES"}


def pack(view: str, keys: Sequence[str], values: Sequence[Stored], event: int = EVENT) -> tuple[bytes, bytes]:
    row = OnlineRow(event=event, created=event, values=tuple(values))
    return row_key(view, keys), Packer(VIEWS[view]).pack(row)


def rows_of(event: int = EVENT) -> list[tuple[bytes, bytes]]:
    """All rows of the store, with values that are known since then."""
    return [pack(view, keys, values, event) for (view, keys), values in VALUES.items()]


def at(moment: int, rows: int = 2) -> dict[str, NDArray[Any]]:
    return {"asked": np.full(rows, moment)}


def one_row(columns: Mapping[str, NDArray[Any]], row: int = 0) -> dict[str, NDArray[Any]]:
    return {name: values[row : row + 1] for name, values in columns.items()}


def full(**changes: Any) -> dict[str, NDArray[Any]]:
    """The whole question about the flights, as one asks who has the features oneself."""
    known = {**ASKED, **FOUND, **changes}
    return {column.name: known[column.name] for column in FEATURES}


def v2(columns: Mapping[str, NDArray[Any]], **more: object) -> dict[str, Any]:
    inputs = [
        {"name": name, "datatype": DATATYPES[values.dtype.name], "shape": [len(values)], "data": listed(values)}
        for name, values in columns.items()
    ]
    return {"inputs": inputs, **more}


def v1(columns: Mapping[str, NDArray[Any]], **more: object) -> dict[str, Any]:
    lists = {name: listed(values) for name, values in columns.items()}
    rows = len(next(iter(lists.values())))
    return {"instances": [{name: values[row] for name, values in lists.items()} for row in range(rows)], **more}


def listed(values: NDArray[Any]) -> list[Any]:
    return [None if value is None or value != value else value for value in values.tolist()]


def make_airline_model(features: Sequence[Column] = FEATURES, classes: int = len(CLASSES)) -> bytes:
    """A linear layer over all features, what is missing as -1; it fails on a shelf from SHELVES on."""
    random = np.random.default_rng(3)
    nodes, flat = [], []
    for place, column in enumerate(features):
        source, number, value = column.name, f"n{place}", f"v{place}"
        if column.type == "string":
            nodes.append(placing_node(column, source, f"p{place}"))
            source = f"p{place}"
        elif column.name == "shelf":
            nodes.append(helper.make_node("Gather", ["table", source], ["shelved"]))
            source = "shelved"
        nodes += [
            helper.make_node("Cast", [source], [number], to=TensorProto.FLOAT),
            helper.make_node("IsNaN", [number], [f"m{place}"]),
            helper.make_node("Where", [f"m{place}", "minus", number], [value]),
            helper.make_node("Reshape", [value, "wide"], [f"f{place}"]),
        ]
        flat.append(f"f{place}")
    nodes += [
        helper.make_node("Concat", flat, ["joined"], axis=1),
        helper.make_node("Div", ["joined", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {
        "table": random.normal(size=SHELVES).astype(np.float32),
        "wide": np.array([0, 1], np.int64),
        "minus": np.array(-1, np.float32),
        "scale": np.array([1000 if column.maximum and column.maximum > 999 else 10 for column in features], np.float32),
        "weights": random.normal(size=(len(features), classes)).astype(np.float32),
    }
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info(c.name, TYPES[c.type], ["rows"]) for c in features],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, VERSION)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
