"""Models: the three that every server serves, the same ONNX file in each, with pictures and their right answers."""

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.ml.bundle import MODEL_FILE, Calibration, Facts, write_bundle
from noria.ml.inference import PROBABILITIES, Session
from noria.ml.signature import make_key
from noria.schema import Column, Schema

CLASSES = 10
INPUT = "image"
SHAPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "fashion": ("uint8", (28, 28)),
    "nothing": ("uint8", (28, 28)),
    "resnet": ("float32", (3, 224, 224)),
}
TORCH_FILE = "model.pt"  # beside the bundle of the fashion model, for the server that runs torch
DATATYPES = {"uint8": "UINT8", "float32": "FP32"}
TOLERANCE = 1e-4  # between two ways to compute one probability


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model on disk: a bundle, whose ONNX file every peer gets as well."""

    name: str
    bundle: Path

    @property
    def file(self) -> Path:
        return self.bundle / MODEL_FILE

    @property
    def datatype(self) -> str:
        return DATATYPES[SHAPES[self.name][0]]

    def rows(self, count: int, seed: int = 0) -> NDArray[Any]:
        """Pictures of noise: what they show changes nothing about the cost, and every one has an answer of its own."""
        kind, shape = SHAPES[self.name]
        random = np.random.default_rng(seed)
        if kind == "uint8":
            return random.integers(0, 256, (count, *shape), np.uint8)
        # Quarters: exact in float32, and as short in JSON as a real picture's values would be.
        return (random.integers(-8, 9, (count, *shape)) / 4).astype(np.float32)

    def answers(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """What ONNX Runtime itself says."""
        return load_once(self.file).run({INPUT: rows})[PROBABILITIES]


@functools.cache
def load_once(file: Path) -> Session:
    return Session.load(file.read_bytes())


def make_models(home: Path, names: tuple[str, ...]) -> dict[str, Model]:
    """Write the bundles below the home, signed with its key; in a process of its own, which alone pays for torch."""
    subprocess.run([sys.executable, "-m", "bench.serving.models", home, *names], check=True)
    return {name: Model(name=name, bundle=home / name) for name in names}


def schema_of(name: str) -> Schema:
    kind, shape = SHAPES[name]
    return Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name=INPUT, type=kind, role="feature", shape=shape),  # type: ignore[arg-type]
            Column(name="label", type="int64", role="label"),
        )
    )


def facts_of(name: str) -> Facts:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Facts(
        task=name,
        schema=schema_of(name),
        classes=tuple(f"class {place}" for place in range(CLASSES)),
        costs=tuple(tuple(line) for line in (1 - np.eye(CLASSES)).tolist()),
        temperature=1.0,
        calibration=Calibration(ece_before=0.0, ece_after=0.0),
        training_data="0" * 64,
        training_rows=1,
        training_start=now,
        training_end=now,
        parameters={},
        metrics={},
        parity=0.0,
        code="bench",
    )


def make_nothing() -> bytes:
    """A graph that looks at nothing of its picture, and says that all classes are equally likely."""
    from onnx import TensorProto, helper, numpy_helper

    kind, shape = SHAPES["nothing"]
    equal = helper.make_tensor("equal", TensorProto.FLOAT, [1], [1 / CLASSES])
    nodes = [
        helper.make_node("Shape", [INPUT], ["rows"], start=0, end=1),
        helper.make_node("Concat", ["rows", "classes"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], [PROBABILITIES], value=equal),
    ]
    graph = helper.make_graph(
        nodes,
        "nothing",
        [helper.make_tensor_value_info(INPUT, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), ["rows", *shape])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["rows", CLASSES])],
        [numpy_helper.from_array(np.array([CLASSES], np.int64), "classes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString(deterministic=True))


def make_network(name: str) -> tuple[bytes, Any]:
    """The real network with fresh weights, which cost what learnt ones do: as ONNX, and as torch has it."""
    import torch

    from noria.ml.export import export_onnx
    from noria.tasks.vision import ensure_torchvision

    torch.manual_seed(1)
    if name == "resnet":
        ensure_torchvision()
        from torchvision.models import resnet18

        network: Any = resnet18(weights=None, num_classes=CLASSES)
    else:
        from noria.tasks.fashion_network import build

        network = build({})
    network.eval()
    return export_onnx(network, schema_of(name), temperature=1.0), network


def save_torch(network: Any, name: str, path: Path) -> None:
    """The network with its probabilities as a TorchScript program, which runs where its source is not."""
    import torch

    kind, shape = SHAPES[name]
    example = torch.zeros((2, *shape), dtype=getattr(torch, kind))
    torch.jit.trace(torch.nn.Sequential(network, torch.nn.Softmax(dim=1)).eval(), example).save(str(path))


def write_model(home: Path, name: str) -> None:
    if name == "nothing":
        model = make_nothing()
    else:
        model, network = make_network(name)
        if name == "fashion":
            save_torch(network, name, home / TORCH_FILE)
    signer = make_key(home / "keys")
    write_bundle(home / name, model=model, facts=facts_of(name), profile=b"{}", signer=signer)


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        write_model(Path(sys.argv[1]), wanted)
