"""Device: a training goes where it was told to, whole, and nowhere else."""

import os
from dataclasses import replace

import circles
import numpy as np
import pytest
import torch
from circles import Circles, make_rows
from pretended_gpu import NAME, pretend

from noria.errors import TrainingError
from noria.ml.determinism import WORKSPACE, deterministic_cuda, reproducible
from noria.ml.device import CPU, find_device, name_kernels
from noria.ml.export import check_parity, export_onnx
from noria.ml.loop import train
from noria.ml.progress import silent
from noria.schema import Column, Schema

TRAINING, VALIDATION = make_rows(400, 1), make_rows(200, 2)
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU on this machine")


class Kept:
    """A checkpoint in memory."""

    data = None

    def load(self):
        return self.data

    def save(self, data):
        self.data = data


class InterruptionError(Exception):
    pass


def fit(device, checkpoints=None, progress=silent, task=None, rows=(TRAINING, VALIDATION), **changes):
    parameters = replace(circles.PARAMETERS, device=device, **changes)
    return train(task or Circles(), *rows, parameters, checkpoints or Kept(), progress)


def fit_interrupted(device, **changes):
    """Trained in two parts; the second goes on from the checkpoint of the first."""
    checkpoints = Kept()

    def interrupt(text, done):
        if text.startswith("epoch 3/"):
            raise InterruptionError

    with pytest.raises(InterruptionError):
        fit(device, checkpoints, interrupt, **changes)
    return fit(device, checkpoints, **changes), checkpoints


def weights(trained):
    return {name: tensor.numpy().tobytes() for name, tensor in trained.network.state_dict().items()}


@without_gpu
def test_a_gpu_that_is_not_there_is_told_and_the_processor_never_takes_its_place():
    checkpoints = Kept()
    with pytest.raises(
        TrainingError, match=r"training\.device is cuda, and torch .*: expected an NVIDIA GPU .*--gpus 1"
    ):
        fit("cuda", checkpoints)
    assert checkpoints.data is None


def test_the_processor_is_what_a_training_takes_unless_it_is_told_otherwise():
    assert circles.PARAMETERS.device == "cpu"
    assert find_device("cpu") == CPU
    assert weights(fit("cpu")) == weights(train(Circles(), TRAINING, VALIDATION, circles.PARAMETERS, Kept(), silent))


def test_what_chooses_kernels_is_the_processors_own():
    assert name_kernels(CPU) == str(torch.cpu.get_capabilities())


@pytest.mark.filterwarnings("ignore:.*is a no-op")
@pytest.mark.parametrize("changes", [{}, {"class_weight": "balanced"}])
def test_on_a_gpu_every_tensor_is_there_and_the_network_comes_back(monkeypatch, changes):
    told, expected = [], fit("cpu", **changes)
    with pretend(monkeypatch):
        trained = fit("cuda", progress=lambda text, done: told.append(text), **changes)
        resumed, _ = fit_interrupted("cuda", **changes)
    assert told[0] == f"training on 400 rows in float32 on {NAME}"
    assert {type(tensor) for tensor in trained.network.state_dict().values()} == {torch.Tensor}
    assert weights(trained) == weights(resumed) == weights(expected)  # the numbers are the processor's
    assert trained.history == resumed.history == expected.history


class Bright:
    """Is the picture brighter on its right side? Convolutions, normalisation and dropout."""

    name = "bright"
    classes = ("left", "right")
    schema = Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name="picture", type="float32", shape=(1, 8, 8), role="feature"),
            Column(name="label", type="int64", role="label"),
        )
    )

    def __init__(self, pool=torch.nn.MaxPool2d):
        self.pool = pool

    def build_network(self, options):
        convolution = torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
        return torch.nn.Sequential(
            *convolution, self.pool(6), torch.nn.Flatten(), torch.nn.Dropout(0.1), torch.nn.Linear(4, 2)
        )

    def augment(self, features, generator):
        return (features[0] + 0.1 * torch.randn(features[0].shape, generator=generator),)


def bright_rows(count=160):
    labels = np.arange(count) % 2
    pictures = np.random.default_rng(3).normal(size=(count, 1, 8, 8)).astype(np.float32)
    pictures[labels == 1, ..., 4:] += 1
    return {"picture": pictures, "label": labels}


@pytest.mark.filterwarnings("ignore:.*is a no-op")
def test_pictures_are_trained_on_a_gpu_as_a_whole(monkeypatch):
    rows = (bright_rows(), bright_rows(40))
    expected = fit("cpu", task=Bright(), rows=rows, precision="float32")
    monkeypatch.setattr("noria.ml.loop.count_shards", lambda *_: 3)  # of which a GPU takes no notice
    with pretend(monkeypatch):
        trained = fit("cuda", task=Bright(), rows=rows)
    assert weights(trained) == weights(expected)


def test_an_operation_that_does_not_repeat_on_a_gpu_is_named(monkeypatch):
    task = Bright(lambda size: torch.nn.AdaptiveMaxPool2d(1))
    with pretend(monkeypatch), pytest.raises(TrainingError, match="adaptive_max_pool2d_backward gives other bits each"):
        fit("cuda", task=task, rows=(bright_rows(), bright_rows(40)))


def test_a_batch_that_stays_behind_is_noticed(monkeypatch):
    monkeypatch.setattr("noria.ml.loop.move", lambda features, device: features)
    with pretend(monkeypatch), pytest.raises(RuntimeError, match="expected all tensors to be on the same device"):
        fit("cuda")


@pytest.mark.filterwarnings("ignore:.*is a no-op")
def test_a_gpu_does_not_go_on_from_the_checkpoint_of_a_processor_or_of_another_model(monkeypatch):
    checkpoints, told = Kept(), []
    fit("cpu", checkpoints)
    for model, first in (
        (NAME, "checkpoint not used: the checkpoint belongs to training"),
        (NAME, "going on after epoch 6/6"),
        ("Pretended 2", "checkpoint not used: the checkpoint belongs to training"),
    ):
        with pretend(monkeypatch, model):
            fit("cuda", checkpoints, lambda text, done: told.append(text))
        assert told[1].startswith(first)
        told.clear()


def test_an_operation_that_does_not_repeat_is_named_on_a_processor_as_well():
    with (
        pytest.raises(TrainingError, match=r"the network's put_ gives other bits each time on cpu"),
        reproducible(1),
    ):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), reproducible(1):
        torch.zeros(2, 3) @ torch.zeros(2, 3)


def test_cudas_libraries_are_told_to_repeat_and_left_as_they_were(monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    library = torch.backends.cudnn

    def state():
        return library.deterministic, library.benchmark, library.allow_tf32

    before = state()
    with deterministic_cuda():
        assert state() == (True, False, False)
        assert os.environ[WORKSPACE] == ":4096:8"
    assert state() == before


@with_gpu
@pytest.mark.parametrize("picture", [False, True])
def test_a_gpu_gives_the_same_bits_again_and_a_network_that_can_be_exported(picture):
    changes = {"task": Bright(), "rows": (bright_rows(), bright_rows(40))} if picture else {}
    task, rows = changes.get("task", Circles()), changes.get("rows", (TRAINING, VALIDATION))
    first, again = fit("cuda", **changes), fit("cuda", **changes)
    resumed, checkpoints = fit_interrupted("cuda", **changes)
    assert weights(first) == weights(again) == weights(resumed)
    assert first.history == again.history == resumed.history
    assert checkpoints.data
    model = export_onnx(first.network, task.schema, 1.0)
    assert check_parity(first.network, 1.0, task.schema, model, rows[1]) < 1e-5
    assert first.best.validation_accuracy > 0.8
