"""The models behind the two forms: they take the features as they are, and look only at their first."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tiny_models import CLASSES, TYPES

from corpus.forms import Form


def make_form_model(form: Form) -> bytes:
    """A linear layer over the first feature; the others, texts among them, are taken and left alone."""
    width = int(np.prod(form.first.shape))
    weights = (np.random.default_rng(1).normal(size=(width, len(CLASSES))) / 64).astype(np.float32)
    constants = {"wide": np.array([-1, width]), "weights": weights}
    nodes = [
        helper.make_node("Cast", [form.first.name], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "wide"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        form.model,
        [helper.make_tensor_value_info(c.name, TYPES[c.type], ["n", *c.shape]) for c in form.columns],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(CLASSES)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
