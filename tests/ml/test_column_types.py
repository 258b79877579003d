"""Every type that a column may have goes through a dataset, its descriptions and a model."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from onnx import TensorProto, helper

from noria.ml.column_rules import check_column, check_columns_are_there
from noria.ml.dataset import table_of, write_dataset
from noria.ml.dictionary import dictionary
from noria.ml.inference import DATATYPES, Session
from noria.schema import Column, ColumnType, Schema

NUMBERS = [kind for kind in get_args(ColumnType) if kind not in {"string", "timestamp", "bool"}]


def schema_with(kind: str, shape: tuple[int, ...] = ()) -> Schema:
    return Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name="x", type=kind, role="feature", shape=shape, minimum=0, maximum=2, maximum_null_share=0.5),
            Column(name="label", type="uint8", role="label"),
        )
    )


def rows_of(values: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "id": np.array([f"row {place}" for place in range(len(values))], object),
        "time": np.arange(len(values)).astype("datetime64[us]"),
        "x": values,
        "label": (np.arange(len(values)) % 2).astype(np.uint8),
    }


def test_every_type_but_an_instant_can_be_served():
    assert DATATYPES.keys() == set(get_args(ColumnType)) - {"timestamp"}


@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_every_type_come_back_from_a_dataset(tmp_path: Path, kind: str, shape: tuple[int, ...]):
    schema = schema_with(kind, shape)
    limits = np.finfo(kind) if kind.startswith("float") else np.iinfo(kind)
    values = np.array([limits.min, limits.max, 0, 1], kind).reshape(-1, *([1] * len(shape))) * np.ones(shape, kind)
    dataset = write_dataset(tmp_path / "data", "t", schema, [table_of(schema, rows_of(values))])
    found = dataset.load(["x"])["x"]
    np.testing.assert_array_equal(found, values, strict=True)


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_missing_number_of_any_type_is_known_as_missing(tmp_path: Path, kind: str):
    import pyarrow as pa

    schema = schema_with(kind)
    table = table_of(schema, rows_of(np.array([0, 1, 2, 1], kind)))
    values = pa.array([0, None, 2, None], pa.float64()).cast(table.schema.field("x").type)
    dataset = write_dataset(tmp_path / "data", "t", schema, [table.set_column(2, table.schema.field("x"), values)])
    assert dataset.nulls()["x"].tolist() == [False, True, False, True]
    rows = dataset.load()
    facts = {line.name: line for line in dictionary(schema, rows, dataset.nulls())}["x"]
    assert (facts.null_share, facts.observed_minimum, facts.observed_maximum) == (0.5, 0, 2)


@pytest.mark.parametrize("kind", NUMBERS)
def test_the_range_of_a_column_of_any_type_is_held(kind: str):
    schema = schema_with(kind)
    table, problems = check_columns_are_there(rows_of(np.array([0, 1, 2, 3], kind)), schema, {})
    assert not problems
    assert [(finding.rule, finding.rows) for finding in check_column(table, schema["x"])] == [("range", 1)]


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_model_takes_numbers_of_every_type(kind: str):
    tensor = {"float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}.get(
        kind
    ) or getattr(TensorProto, kind.upper())
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.DOUBLE)],
        "cast",
        [helper.make_tensor_value_info("x", tensor, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = Session.load(model.SerializeToString())
    assert session.inputs[0].dtype == np.dtype(kind)
    assert session.run({"x": np.array([0, 2], kind)})["y"].tolist() == [0, 2]
