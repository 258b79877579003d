"""Identity: name a training by all that its result depends on, so that no other one goes on from its checkpoint."""

from __future__ import annotations

import hashlib

import msgspec
import torch

from noria.ml.device import name_kernels
from noria.ml.feeding import Examples
from noria.ml.training import TrainingParameters
from noria.task import Task


def identify(
    task: Task,
    training: Examples,
    validation: Examples,
    parameters: TrainingParameters,
    network: torch.nn.Module,
    precision: torch.dtype,
    device: torch.device,
) -> str:
    """The sha256 of rows, parameters, structure and first weights of the network, precision, torch and device.

    The first weights stand for the seed and for how the network is built; the device chooses torch's kernels.
    """
    digest = hashlib.sha256()
    digest.update(msgspec.json.encode(parameters, order="deterministic"))
    digest.update(f"{task.name} {precision} {torch.__version__} {name_kernels(device)}".encode())
    for name, tensor in (*_tensors(training), *_tensors(validation), *network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(examples: Examples) -> list[tuple[str, torch.Tensor]]:
    return [(str(place), tensor) for place, tensor in enumerate((*examples.features, examples.labels))]
