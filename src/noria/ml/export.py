"""Export: a trained network as an ONNX graph from raw values to probabilities, equal bytes for equal networks."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.onnx.errors import OnnxExporterError

from noria.errors import BundleError, ServingError
from noria.ml.choices import DOMAIN, VERSION, placing_node
from noria.ml.feeding import compute_logits, read_features
from noria.ml.inference import Session, predict
from noria.schema import Column, Schema
from noria.task import Rows

OPSET = 20
ROWS = "rows"
OUTPUT = "probabilities"
DEBUGGING = ("metadata_props", "doc_string")


class _Probabilities(torch.nn.Module):
    """The network with its temperature: raw columns in, probabilities out."""

    def __init__(self, network: torch.nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, *columns: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.network(*columns).float() / self.temperature, dim=1)


def export_onnx(network: torch.nn.Module, schema: Schema, temperature: float) -> bytes:
    """Write the network as ONNX: one input per feature column, with its name, type and shape and any number of rows.

    A text goes in as it is; the graph finds the place of its choice, which is what the network takes.
    The output "probabilities" is float32 of shape (rows, classes). The bytes hold no path, time or stack trace.
    Raises BundleError where the network cannot be written as a graph.
    """
    columns = schema.features
    module = _Probabilities(network.eval(), temperature).eval()
    rows = torch.export.Dim(ROWS, min=1)
    inner = _inner_names(columns)
    try:
        with _silence():
            program = torch.onnx.export(
                module,
                tuple(_example(column) for column in columns),
                input_names=inner,
                output_names=[OUTPUT],
                dynamic_shapes=(tuple({0: rows} for _ in columns),),  # one argument, *columns, of many parts
                opset_version=OPSET,
                verbose=False,
                external_data=False,
            )
    except OnnxExporterError as error:
        raise BundleError(
            f"the network cannot be written as an ONNX graph ({_first_line(error)}): build it from operations that "
            "ONNX has, without branches on the values of a tensor"
        ) from error
    model: Any = program.model_proto if program else None
    _place_texts(model, dict(zip(inner, columns, strict=True)))
    _strip(model)
    return bytes(model.SerializeToString(deterministic=True))


def check_parity(network: torch.nn.Module, temperature: float, schema: Schema, model: bytes, features: Rows) -> float:
    """The largest absolute difference between the graph's and the network's probabilities over the rows.

    Raises BundleError for a graph that does not take them, such as one that was traced with a fixed number of rows.
    """
    logits = torch.from_numpy(compute_logits(network, read_features(schema, features)))
    expected = torch.softmax(logits.double() / temperature, dim=1).numpy()
    try:
        found = predict(Session.load(model), features)
    except ServingError as error:
        raise BundleError(
            f"the exported graph does not take {len(expected)} rows as the network does ({_first_line(error)}): the "
            "network may have made the number of rows a constant, by len() or int(); use tensor.shape[0] or -1 instead"
        ) from error
    return float(np.abs(found - expected).max())


def _example(column: Column) -> torch.Tensor:
    # two rows: the exporter takes a dimension of one for a constant
    return torch.from_numpy(np.zeros((2, *column.shape), dtype=np.int64 if column.choices else column.dtype))


def _inner_names(columns: tuple[Column, ...]) -> list[str]:
    """The names by which the network's own part of the graph knows the columns: a text's is no column's and no other's.

    The exporter makes no name with a space.
    """
    own = "place of text"
    while any(column.name.startswith(own) for column in columns):
        own += "/"
    return [f"{own} {number}" if column.choices else column.name for number, column in enumerate(columns)]


def _place_texts(model: Any, inner: Mapping[str, Column]) -> None:
    """Let the graph take the texts of the columns with choices in place of these choices' places."""
    from onnx import TensorProto, helper

    texts = {name: column for name, column in inner.items() if column.choices}
    if not texts:
        return
    for value in model.graph.input:
        if value.name in texts:
            value.name = texts[value.name].name
            value.type.tensor_type.elem_type = TensorProto.STRING
    nodes = [placing_node(column, column.name, name) for name, column in texts.items()] + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))


def _first_line(error: BaseException) -> str:
    return f"{error.__cause__ or error}".strip().split("\n", 1)[0]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's prints, warnings and log lines, which are about itself, from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _strip(message: Any) -> None:
    """Drop what the exporter notes for debugging, at every depth: it holds paths and stack traces of this machine."""
    for name in DEBUGGING:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, Iterable) else [value]:
                _strip(part)
