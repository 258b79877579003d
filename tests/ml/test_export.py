"""Export: the graph gives the network's answers, and the same network gives the same bytes everywhere."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from circles import Circles, CirclesNetwork, make_rows

from noria.errors import BundleError
from noria.ml.export import check_parity, export_onnx
from noria.ml.feeding import compute_logits, read_features
from noria.ml.inference import Session, predict
from noria.tasks.fashion import Fashion

PICTURES = {"image": np.random.default_rng(1).integers(0, 256, (1000, 28, 28), np.uint8)}

EXPORT = """
import hashlib, sys
sys.path.insert(0, {folder!r})
from test_export import circles_network, pictures_network, Circles, Fashion, export_onnx
for network, task in ((circles_network(), Circles()), (pictures_network(), Fashion())):
    print(hashlib.sha256(export_onnx(network, task.schema, 1.5)).hexdigest())
"""


def settle(network, features):
    """Give the norms of a new network the statistics of some rows, as training would."""
    network.train()
    with torch.no_grad():
        network(*features)
    return network.eval()


def circles_network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return settle(CirclesNetwork(16), read_features(Circles.schema, make_rows(200, 1)))


def pictures_network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = Fashion().build_network({"width": 8})
        return settle(network.to(memory_format=torch.channels_last), read_features(Fashion.schema, PICTURES))


@pytest.fixture(scope="module")
def pictures():
    network = pictures_network()
    return network, export_onnx(network, Fashion.schema, 1.5)


def test_the_graph_answers_as_the_network_does(pictures):
    network, model = pictures
    assert check_parity(network, 1.5, Fashion.schema, model, PICTURES) < 1e-5
    logits = compute_logits(network, read_features(Fashion.schema, PICTURES))
    probabilities = predict(Session.load(model), PICTURES)
    np.testing.assert_allclose(probabilities, torch.softmax(torch.from_numpy(logits) / 1.5, 1), atol=1e-5)


def test_parity_sees_another_temperature_and_another_network(pictures):
    network, model = pictures
    assert check_parity(network, 1.6, Fashion.schema, model, PICTURES) > 1e-4
    other = pictures_network()
    with torch.no_grad():
        other.head[-1].bias[3] += 0.01
    assert check_parity(other, 1.5, Fashion.schema, model, PICTURES) > 1e-4


@pytest.mark.parametrize("rows", [1, 2, 7, 1000])
def test_any_number_of_rows_goes_through(pictures, rows):
    session = Session.load(pictures[1])
    some = {"image": PICTURES["image"][:rows]}
    assert session.run(some)["probabilities"].shape == (rows, 10)
    np.testing.assert_allclose(session.run(some)["probabilities"], predict(session, PICTURES)[:rows], atol=1e-6)


def test_the_inputs_are_the_raw_columns(pictures):
    (image,) = Session.load(pictures[1]).inputs
    assert (image.name, image.dtype, image.shape) == ("image", np.dtype(np.uint8), (None, 28, 28))
    network = circles_network()
    model = export_onnx(network, Circles.schema, 1.0)
    session = Session.load(model)
    assert [str(spec) for spec in session.inputs] == [
        "east float32 (any)", "north float32 (any)", "steps int64 (any)", "inside bool (any)",
    ]  # fmt: skip
    assert [spec.name for spec in session.outputs] == ["probabilities"]
    assert check_parity(network, 1.0, Circles.schema, model, make_rows(1000, 3)) < 1e-5


def test_the_graph_computes_in_float32_with_norms_folded_into_convolutions(pictures):
    graph = onnx.load_from_string(pictures[1]).graph
    assert {tensor.data_type for tensor in graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


def test_equal_networks_give_equal_bytes_in_any_process_and_folder(pictures, tmp_path):
    here = [
        hashlib.sha256(export_onnx(circles_network(), Circles.schema, 1.5)).hexdigest(),
        hashlib.sha256(pictures[1]).hexdigest(),
    ]
    command = [sys.executable, "-c", EXPORT.format(folder=str(Path(__file__).parent))]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert outcome.stdout.split() == here
    assert outcome.stderr == ""


def test_the_bytes_tell_nothing_of_this_machine(pictures):
    for trace in (b"/", b".py", b"site-packages", b"stack_trace"):
        model = onnx.load_from_string(pictures[1])
        for tensor in model.graph.initializer:
            tensor.ClearField("raw_data")  # random weights may hold any bytes
        assert trace not in model.SerializeToString()


def test_nothing_is_printed_or_warned_of(capfd):
    export_onnx(circles_network(), Circles.schema, 1.0)
    assert capfd.readouterr() == ("", "")


def test_a_network_without_onnx_form_is_refused():
    class Branching(CirclesNetwork):
        def forward(self, east, *others):
            return super().forward(east, *others) if east.sum() > 0 else super().forward(-east, *others)

    with pytest.raises(BundleError, match="cannot be written as an ONNX graph"):
        export_onnx(Branching(4), Circles.schema, 1.0)


def test_a_network_that_was_training_is_exported_as_it_predicts():
    network = circles_network().train()
    assert export_onnx(network, Circles.schema, 1.0) == export_onnx(circles_network(), Circles.schema, 1.0)


class CountsRows(CirclesNetwork):
    """A network that turns the number of rows into a Python number, which the exporter takes for a constant."""

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        logits = super().forward(*features)
        return logits + torch.zeros(len(logits), logits.shape[1])


def test_a_graph_that_has_fixed_the_number_of_rows_is_refused_with_the_likely_cause():
    features = make_rows(50, 1)
    network = settle(CountsRows(16), read_features(Circles.schema, features))
    model = export_onnx(network, Circles.schema, 1.5)
    with pytest.raises(BundleError, match=r"does not take 50 rows .* len\(\) or int\(\)"):
        check_parity(network, 1.5, Circles.schema, model, features)
