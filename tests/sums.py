"""Sums: the smallest model that answers for rows: a softmax over three weighted sums of two numbers."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def sums_model(weight: float = 1.0) -> bytes:
    """The graph from `size`, (rows, 2), to `probabilities`; another weight, other answers."""
    weights = np.array([[weight, -1.0, 0.5], [-0.5, 1.0, 0.25]], np.float32)
    nodes = [
        helper.make_node("MatMul", ["size", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "sums",
        [helper.make_tensor_value_info("size", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(weights, "weights")],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(made.SerializeToString(deterministic=True))
