"""Checkpoint: the whole state of a training between two epochs, as safetensors bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from noria.errors import TrainingError
from noria.ml.training import EpochResult

# Both travel as tensors of bytes: safetensors would write metadata of its own in random order.
FACTS = "__facts__"
DIGEST = "__digest__"
NETWORK, BEST, OPTIMIZER = "network.", "best.", "optimizer."


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """`training` names the rows, parameters and software that it belongs to; `history` has one entry an epoch done."""

    training: str
    history: tuple[EpochResult, ...]
    tensors: Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class _Facts:
    training: str
    history: tuple[EpochResult, ...]


def capture(
    network: torch.nn.Module, best: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Gather the weights, the best epoch's weights and the optimiser's moments under names of their own."""
    tensors = {f"{NETWORK}{name}": tensor for name, tensor in network.state_dict().items()}
    tensors.update({f"{BEST}{name}": tensor for name, tensor in best.items()})
    for number, moments in optimizer.state_dict()["state"].items():
        tensors.update({f"{OPTIMIZER}{number}.{name}": tensor for name, tensor in moments.items()})
    return tensors


def restore(
    tensors: Mapping[str, torch.Tensor], network: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Put captured tensors back where they were, and return the best epoch's weights."""
    network.load_state_dict(_under(NETWORK, tensors))
    state: dict[int, dict[str, torch.Tensor]] = {}
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for key, tensor in _under(OPTIMIZER, tensors).items():
        number, name = key.split(".", 1)
        weight = weights[int(number)]
        # The fused optimiser walks memory, so a moment must lie in memory as its weight does.
        moment = torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor
        state.setdefault(int(number), {})[name] = moment.detach()
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return _under(BEST, tensors)


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def encode(checkpoint: Checkpoint) -> bytes:
    """Write the checkpoint as bytes; equal checkpoints give equal bytes."""
    # safetensors refuses tensors that share memory or are not laid out row by row
    rowwise = torch.contiguous_format
    tensors = {name: tensor.detach().cpu().clone(memory_format=rowwise) for name, tensor in checkpoint.tensors.items()}
    facts = _Facts(training=checkpoint.training, history=checkpoint.history)
    tensors[FACTS] = _as_tensor(msgspec.json.encode(facts, order="deterministic"))
    tensors[DIGEST] = _as_tensor(_digest(tensors))
    return save(tensors)


def decode(data: bytes, training: str) -> Checkpoint:
    """Read a checkpoint back; TrainingError if it is damaged, or belongs to another training than the one named."""
    try:
        tensors = load(data)
        found = tensors.pop(DIGEST).numpy().tobytes()
        if found != _digest(tensors):
            raise TrainingError("the checkpoint's bytes are not those that were saved: training starts anew")
        facts = msgspec.json.decode(tensors.pop(FACTS).numpy().tobytes(), type=_Facts, strict=True)
    except (SafetensorError, KeyError, msgspec.DecodeError) as error:
        raise TrainingError(
            f"the checkpoint of {len(data)} bytes is damaged ({error}): training starts anew"
        ) from error
    if facts.training != training:
        raise TrainingError(
            f"the checkpoint belongs to training {facts.training[:12]}…, and this is {training[:12]}… with other rows, "
            "parameters or software: training starts anew"
        )
    return Checkpoint(training=facts.training, history=facts.history, tensors=tensors)


def _as_tensor(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _digest(tensors: Mapping[str, torch.Tensor]) -> bytes:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()
