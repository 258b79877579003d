"""Inference: run a model's ONNX bytes on rows of raw values, with numpy and ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import BundleError, ServingError
from noria.ml.choices import fill_texts
from noria.schema import Schema

PROBABILITIES = "probabilities"  # the output that every model has: float32 (rows, classes)
LABEL = "label"  # the decision, which is made of the probabilities: no output of a model has this name

TENSOR_TYPES: Mapping[str, np.dtype[Any]] = {
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint32)": np.dtype(np.uint32),
    "tensor(uint64)": np.dtype(np.uint64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(string)": np.dtype(object),
}
# Column type -> datatype of the Open Inference Protocol, for the types that a model takes. There is no bfloat16: numpy
# has no such type, and JSON no such number.
DATATYPES: Mapping[str, str] = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """An input or output of a model; None stands for a dimension of any length."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        dims = ", ".join("any" if dim is None else str(dim) for dim in self.shape)
        return f"{self.name} {self.dtype} ({dims})"


class Session:
    """A model that is ready to run; `run` may be called from any thread."""

    def __init__(self, runtime: Any, faults: tuple[type[Exception], ...]) -> None:
        self._runtime = runtime
        self._faults = faults
        self.inputs = tuple(_spec(value) for value in runtime.get_inputs())
        self.outputs = tuple(_spec(value) for value in runtime.get_outputs())
        self._input_names = [spec.name for spec in self.inputs]
        self._output_names = [spec.name for spec in self.outputs]

    @classmethod
    def load(cls, model: bytes, threads: int = 1) -> Session:
        """Load ONNX bytes; BundleError if ONNX Runtime cannot run them."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # a fault comes as an exception; printing it as well tells nothing more
        # A thread that spins while it waits takes the processor from the server's own loop.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        faults = _fault_types()
        try:
            runtime = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except faults as error:
            raise BundleError(
                f"model of {len(model):,} bytes cannot be loaded by ONNX Runtime {onnxruntime.__version__}: {error}. "
                "Expected an ONNX model with its weights inside: publish the bundle again"
            ) from error
        return cls(runtime, faults)

    def run(self, features: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model on arrays of shape (rows, *shape), one per input; ServingError if the model fails on them."""
        try:
            values = self._runtime.run(self._output_names, {name: features[name] for name in self._input_names})
        except self._faults as error:
            raise ServingError(f"the model failed on these rows: {error}") from error
        return dict(zip(self._output_names, values, strict=True))


def check_fit(session: Session, schema: Schema) -> None:
    """Raise BundleError unless the model takes the schema's features, as they are, and gives probabilities.

    What else it gives must be something for each row, of one shape, so that it can be served beside them.
    """
    found = {spec.name: (spec.dtype, spec.shape) for spec in session.inputs}
    expected = {column.name: (column.dtype, (None, *column.shape)) for column in schema.features}
    if found != expected:
        wanted = (TensorSpec(name=name, dtype=dtype, shape=shape) for name, (dtype, shape) in expected.items())
        raise BundleError(
            f"the model takes {_list(session.inputs)}, but the bundle's schema has the features {_list(wanted)}: "
            "export the model with this schema, and publish again"
        )
    outputs = {spec.name: spec for spec in session.outputs}
    spec = outputs.get(PROBABILITIES)
    if spec is None or spec.dtype != np.float32 or len(spec.shape) != 2:
        raise BundleError(
            f"the model gives {_list(session.outputs)}: expected {PROBABILITIES} float32 (any, classes), "
            "so export the model again"
        )
    for spec in further_outputs(session):
        _check_further(spec)


def further_outputs(session: Session) -> tuple[TensorSpec, ...]:
    """What the model gives besides the probabilities, in its own order."""
    return tuple(spec for spec in session.outputs if spec.name != PROBABILITIES)


def _check_further(spec: TensorSpec) -> None:
    if spec.name == LABEL:
        raise BundleError(
            f"the model has an output named {LABEL}, which is the name of the decision that the predictor makes of "
            "the probabilities: export the model with another name for it"
        )
    # No length may be 0 or free: what clients are told of an output is its shape for one row.
    if not spec.shape or spec.shape[0] is not None or not all(spec.shape[1:]):
        raise BundleError(
            f"the model's output {spec} cannot be served: expected the rows (any) as its first dimension, and a fixed "
            "length of at least 1 for each other, so export the model again with such a shape, or without it"
        )


def predict(session: Session, features: Mapping[str, NDArray[Any]], batch: int = 512) -> NDArray[np.float64]:
    """Return probabilities of shape (rows, classes), computed `batch` rows at a time so that memory stays bounded.

    A missing text, None, goes to the model as "".
    """
    features = {spec.name: fill_texts(features[spec.name]) for spec in session.inputs}
    rows = len(features[session.inputs[0].name])
    parts = [
        session.run({name: values[start : start + batch] for name, values in features.items()})[PROBABILITIES]
        for start in range(0, max(rows, 1), batch)  # no rows still make one run, which tells the number of classes
    ]
    return np.concatenate(parts).astype(np.float64)


def _spec(value: Any) -> TensorSpec:
    if value.type not in TENSOR_TYPES:
        raise BundleError(
            f"the model's tensor {value.name!r} is of type {value.type}: expected one of {', '.join(TENSOR_TYPES)}, "
            "so export the model again with such a type, or without it"
        )
    # A dynamic dimension comes as its name, or as None where it has none.
    shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape)
    return TensorSpec(name=value.name, dtype=TENSOR_TYPES[value.type], shape=shape)


def _list(specs: Any) -> str:
    return "; ".join(sorted(str(spec) for spec in specs)) or "nothing"


def _fault_types() -> tuple[type[Exception], ...]:
    """ONNX Runtime's own exceptions; they share no base class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception))
    return (*own, RuntimeError, ValueError)
