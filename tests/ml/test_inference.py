import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from noria.errors import BundleError, ServingError
from noria.ml.inference import Session, TensorSpec, check_fit, predict
from noria.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="pixels", type="uint8", role="feature", shape=(2,)),
        Column(name="shelf", type="int64", role="feature", minimum=0, maximum=2),
        Column(name="label", type="int64", role="label"),
    )
)
OK = {"pixels": (TensorProto.UINT8, ["rows", 2]), "shelf": (TensorProto.INT64, ["rows"])}


def make_model(
    inputs: dict[str, tuple[int, list[object]]] | None = None,
    output: str = "probabilities",
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """Shares of the two pixels, on a shelf from 0 to 2."""
    taken = inputs or OK
    nodes = [
        helper.make_node("Cast", ["pixels"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Softmax", ["wide"], ["shares"], axis=1),
        helper.make_node("Gather", ["table", "shelf"], ["height"]),
        helper.make_node("Unsqueeze", ["height", "one"], ["column"]),
        helper.make_node("Mul", ["shares", "column"], ["product"]),
        helper.make_node("Cast", ["product"], [output], to=kind),
    ]
    constants = [
        helper.make_tensor("table", TensorProto.FLOAT, [3], [1, 1, 1]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, *spec) for name, spec in taken.items()],
        [helper.make_tensor_value_info(output, kind, ["rows", 2])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString(
        deterministic=True
    )


def make_rows(rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {"pixels": random.integers(0, 4, (rows, 2), dtype=np.uint8), "shelf": random.integers(0, 3, rows)}


def shares(pixels: np.ndarray) -> np.ndarray:
    powers = np.exp(pixels.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_session_names_what_it_takes_and_gives():
    session = Session.load(make_model())
    assert session.inputs == (
        TensorSpec(name="pixels", dtype=np.dtype(np.uint8), shape=(None, 2)),
        TensorSpec(name="shelf", dtype=np.dtype(np.int64), shape=(None,)),
    )
    assert session.outputs == (TensorSpec(name="probabilities", dtype=np.dtype(np.float32), shape=(None, 2)),)


@pytest.mark.parametrize(("rows", "batch"), [(1, 512), (7, 3), (6, 3), (0, 3)])
def test_predictions_do_not_depend_on_the_batch_size(rows: int, batch: int):
    features = make_rows(rows)
    found = predict(Session.load(make_model(), threads=2), features, batch=batch)
    assert found.dtype == np.float64
    assert found.shape == (rows, 2)
    np.testing.assert_allclose(found, shares(features["pixels"]), atol=1e-6)


def test_a_model_that_fits_its_schema_is_taken():
    check_fit(Session.load(make_model()), SCHEMA)


@pytest.mark.parametrize(
    "model",
    [
        make_model(OK | {"pixels": (TensorProto.INT64, ["rows", 2])}),
        make_model(OK | {"pixels": (TensorProto.UINT8, ["rows", 3])}),
        make_model(OK | {"pixels": (TensorProto.UINT8, ["rows", "columns"])}),
        make_model(OK | {"pixels": (TensorProto.UINT8, [4, 2])}),
        make_model(OK | {"more": (TensorProto.UINT8, ["rows"])}),
        make_model(output="logits"),
        make_model(kind=TensorProto.DOUBLE),
    ],
    ids=["type", "length", "free dimension", "rows fixed", "input too much", "output's name", "output's type"],
)
def test_a_model_that_does_not_fit_its_schema_is_refused(model: bytes):
    with pytest.raises(BundleError, match="export the model"):
        check_fit(Session.load(model), SCHEMA)


@pytest.mark.parametrize("model", [b"", b"no model", make_model()[:100]], ids=["empty", "text", "torn"])
def test_bytes_that_are_no_model_are_refused(model: bytes):
    with pytest.raises(BundleError, match="cannot be loaded by ONNX Runtime"):
        Session.load(model)


def test_a_tensor_of_a_type_that_no_column_has_is_refused():
    with pytest.raises(BundleError, match=r"'pixels' is of type tensor\(bfloat16\)"):
        Session.load(make_model(OK | {"pixels": (TensorProto.BFLOAT16, ["rows", 2])}))


def test_weights_outside_of_the_verified_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import onnx

    model = onnx.load_from_string(make_model())
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "weights.bin").write_bytes(np.ones(3, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="weights inside"):
        Session.load(model.SerializeToString())


def test_a_model_that_fails_on_rows_says_so_and_goes_on():
    session = Session.load(make_model())
    features = make_rows(2)
    with pytest.raises(ServingError, match="failed on these rows"):
        session.run(features | {"shelf": np.array([0, 9])})
    with pytest.raises(ServingError, match="failed on these rows"):
        session.run(features | {"pixels": features["pixels"].astype(np.int64)})
    assert session.run(features)["probabilities"].shape == (2, 2)


def test_importing_inference_imports_no_runtime():
    import subprocess

    code = "import sys, noria.ml.inference; sys.exit(any(name in sys.modules for name in ('onnxruntime', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
