"""Releases: bundles in an object store, promoted in a ledger, and what each of them rightly answers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.serving.models import CLASSES, INPUT, facts_of
from noria.ml.bundle import write_bundle
from noria.ml.inference import PROBABILITIES, Session
from noria.ml.signature import TrustedKeys, make_key
from noria.stores.opening import open_store
from noria.stores.releases import Ledger

TASK = "fashion"
PICTURE = (28, 28)
PICTURES = 16
TOLERANCE = 1e-4
DISTANCE = 1e-2  # two bundles' answers are at least so far apart, so that none can pass for the other's


class Output(msgspec.Struct):
    name: str
    data: list[float]


class Parameters(msgspec.Struct):
    bundle: str


class Answer(msgspec.Struct):
    outputs: list[Output]
    parameters: Parameters


READ = msgspec.json.Decoder(Answer).decode


class Releases:
    """A home with a store and a ledger; its bundles are published at once and become champion one after the other."""

    def __init__(self, home: Path, bundles: int) -> None:
        self.home = home
        self._signer = make_key(home / "keys")
        self._store = open_store(str(home / "objects"))
        self._ledger = Ledger(
            self._store,
            TASK,
            signer=self._signer,
            trusted=TrustedKeys(home / "keys" / "trusted"),
            anchors=home / "anchors",
            clock=lambda: datetime.now(UTC),
        )
        self._pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, *PICTURE), np.uint8)
        self._truth: dict[str, NDArray[np.float32]] = {}
        for seed in range(bundles):
            self._publish(make_linear(seed))
        self._coming = iter(list(self._truth))
        self._keep_apart()

    def promote_next(self) -> str:
        """Make the next bundle champion; gives its digest."""
        digest = next(self._coming)
        self._ledger.promote(
            bundle=digest,
            plan=f"{len(self._ledger.entries()):064d}",
            basis=self._ledger.basis(),
            evidence=self._ledger.put_evidence(b"{}"),
            reason="a rolling swap",
            actor="bench",
            code="bench",
        )
        return digest

    def requests(self) -> list[bytes]:
        """One V2 request for each picture, as it goes over the wire: a binary tensor in, JSON out."""
        return [_request(picture) for picture in self._pictures]

    def check(self, place: int, headers: Mapping[bytes, bytes], body: bytes) -> str:
        """The digest of the bundle that gave the answer; ValueError unless it is that bundle's answer."""
        try:
            answer = READ(body)
        except msgspec.MsgspecError as error:
            raise ValueError(f"found {body[:200]!r}: {error}") from error
        digest = answer.parameters.bundle
        if headers.get(b"noria-bundle", b"").decode() != digest:
            raise ValueError(f"the body names bundle {digest}: the header {headers.get(b'noria-bundle')!r}")
        if digest not in self._truth:
            raise ValueError(f"no bundle {digest} was ever promoted")
        (found,) = (output.data for output in answer.outputs if output.name == PROBABILITIES)
        # Written so that a NaN does not pass.
        if not np.abs(self._truth[digest][place] - found).max() <= TOLERANCE:
            raise ValueError(f"picture {place}: found {found}: bundle {digest} says {self._truth[digest][place]}")
        return digest

    def _publish(self, model: bytes) -> None:
        folder = self.home / "new"
        digest = write_bundle(folder, model=model, facts=facts_of(TASK), profile=b"{}", signer=self._signer)
        self._store.put_folder(f"bundles/{digest}", folder)
        shutil.rmtree(folder)
        self._truth[digest] = Session.load(model).run({INPUT: self._pictures})[PROBABILITIES]

    def _keep_apart(self) -> None:
        every = np.stack(list(self._truth.values()))
        apart = np.abs(every[:, None] - every[None]).max(axis=-1) + np.eye(len(every))[..., None]
        if apart.min() < DISTANCE:
            raise SystemExit(f"two bundles answer alike ({apart.min():.3g} apart): expected {DISTANCE} and more")


def make_linear(seed: int) -> bytes:
    """A linear layer with weights of its own: as quick as a model can be, so that the server is what is loaded."""
    from onnx import TensorProto, helper, numpy_helper

    width = PICTURE[0] * PICTURE[1]
    weights = np.random.default_rng(seed + 1).normal(size=(width, CLASSES)) / (128 * width**0.5)
    nodes = [
        helper.make_node("Cast", [INPUT], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "wide"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [PROBABILITIES], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["rows", *PICTURE])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["rows", CLASSES])],
        [
            numpy_helper.from_array(np.array([0, width], np.int64), "wide"),
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString(deterministic=True))


def _request(picture: NDArray[Any]) -> bytes:
    tensor = {"name": INPUT, "shape": [1, *PICTURE], "datatype": "UINT8", "parameters": {"binary_data_size": 784}}
    head = msgspec.json.encode({"inputs": [tensor], "outputs": [{"name": PROBABILITIES}]})
    lines = (
        f"POST /v2/models/{TASK}/infer HTTP/1.1",
        "Host: predictor",
        "Content-Type: application/octet-stream",
        f"Inference-Header-Content-Length: {len(head)}",
        f"Content-Length: {len(head) + picture.nbytes}",
    )
    return "\r\n".join((*lines, "", "")).encode() + head + picture.tobytes()
