"""Rule: a task's rule over its columns, and the ONNX graph that answers as it does where the model cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import BundleError, ServingError, TrainingError
from noria.ml.baselines import NearestMean, fit_nearest_mean
from noria.ml.inference import PROBABILITIES, Session, check_fit, predict
from noria.schema import Column, Schema
from noria.task import Rows, Rule, Task, WritesGraph

OPSET, IR_VERSION = 20, 10
TOLERANCE = 1e-5  # between the rule's own probabilities and those of its graph, which are float32


@dataclass(frozen=True, kw_only=True)
class NearestMeanRule:
    """The nearest class mean over some columns, whose numbers are laid side by side in their order."""

    columns: tuple[Column, ...]
    nearest: NearestMean

    def __call__(self, rows: Rows) -> NDArray[np.float64]:
        """Probabilities (rows, classes) for rows that have these columns."""
        return self.nearest(_side_by_side(self.columns, rows))

    def write_graph(self, schema: Schema) -> bytes:
        """The ONNX graph from all features of the schema, the unused ones too, to the same probabilities.

        It computes in float64, as the rule does: the squares of large numbers leave float32 few digits.
        """
        from onnx import TensorProto, helper, numpy_helper

        if any(column.name == PROBABILITIES for column in schema.features):
            raise TrainingError(f"a feature is called {PROBABILITIES!r}, as the answer is: give it another name")
        own = "rule/"
        while any(column.name.startswith(own) for column in schema.features):
            own += "/"
        nearest = self.nearest
        numbers = {
            f"{own}weights": 2.0 * nearest.means.T / nearest.temperature,
            f"{own}offsets": np.where(nearest.present, -(nearest.means**2).sum(axis=1) / nearest.temperature, -np.inf),
        }
        nodes, parts = [], []
        for place, column in enumerate(self.columns):
            parts.append(f"{own}part {place}")
            nodes += [
                helper.make_node("Cast", [column.name], [f"{own}number {place}"], to=TensorProto.DOUBLE),
                helper.make_node("Flatten", [f"{own}number {place}"], [parts[-1]], axis=1),
            ]
        nodes += [
            helper.make_node("Concat", parts, [f"{own}side by side"], axis=1),
            helper.make_node("MatMul", [f"{own}side by side", f"{own}weights"], [f"{own}products"]),
            helper.make_node("Add", [f"{own}products", f"{own}offsets"], [f"{own}scores"]),
            helper.make_node("Softmax", [f"{own}scores"], [f"{own}shares"], axis=1),
            helper.make_node("Cast", [f"{own}shares"], [PROBABILITIES], to=TensorProto.FLOAT),
        ]
        inputs = [
            helper.make_tensor_value_info(
                column.name, helper.np_dtype_to_tensor_dtype(column.dtype), ["rows", *column.shape]
            )
            for column in schema.features
        ]
        output = helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["rows", len(nearest.means)])
        constants = [numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in numbers.items()]
        graph = helper.make_graph(nodes, "rule", inputs, [output], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))


def fit_nearest_mean_rule(
    columns: tuple[Column, ...], rows: Rows, labels: NDArray[np.int64], classes: int
) -> NearestMeanRule:
    """Fit the nearest class mean on columns of numbers; TrainingError for one that holds none."""
    for column in columns:
        if column.type in ("string", "timestamp"):
            raise TrainingError(
                f"column {column.name!r} is a {column.type}: a nearest mean takes numbers; leave it out of the rule"
            )
    return NearestMeanRule(columns=columns, nearest=fit_nearest_mean(_side_by_side(columns, rows), labels, classes))


def export_rule(task: Task, rule: Rule, rows: Rows) -> bytes:
    """Write the rule as a graph, and let it answer the rows as the rule does.

    TrainingError where the rule cannot be written, or where its graph does not fit or answers otherwise.
    """
    if not isinstance(rule, WritesGraph):
        raise TrainingError(
            f"task {task.name} declares a fallback, but its rule ({type(rule).__name__}) has no write_graph: expected "
            "what noria.task.WritesGraph says, such as noria.ml.rule.NearestMeanRule; return that from fit_rule, or "
            "let the task's fallback be False"
        )
    graph = rule.write_graph(task.schema)
    try:
        session = Session.load(graph)
        check_fit(session, task.schema)
        found = predict(session, rows)
    except (BundleError, ServingError) as error:
        raise TrainingError(f"the graph of task {task.name}'s rule cannot be used: {error}") from error
    expected = rule(rows)
    difference = np.abs(found - expected).max() if found.shape == expected.shape else np.inf
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"the graph of task {task.name}'s rule differs from it by {difference:.2g} on {len(expected)} rows: "
            f"expected at most {TOLERANCE:g}; make write_graph say what the rule computes"
        )
    return graph


def _side_by_side(columns: tuple[Column, ...], rows: Rows) -> NDArray[Any]:
    """The columns as (rows, numbers); a single one is not copied."""
    parts = [rows[column.name].reshape(len(rows[column.name]), column.size) for column in columns]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
