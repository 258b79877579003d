"""Recipe: the optimiser, its learning rate over time, and the precision that a training computes in."""

from __future__ import annotations

import math

import torch

from noria.ml.device import CPU, computes_in_bfloat16

WARM_UP = 0.2  # share of the training in which the learning rate rises
FLOAT_TYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def make_optimizer(network: torch.nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW; weight decay falls on matrices and kernels alone, never on biases and the scales of normalisation."""
    weights = list(network.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=True)


def one_cycle(done: float) -> float:
    """The share of the peak learning rate when a share of the training is done: a straight rise, then half a cosine.

    After Smith and Topin, "Super-Convergence", https://arxiv.org/abs/1708.07120.
    """
    if done < WARM_UP:
        return 0.02 + 0.98 * done / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def choose_precision(network: torch.nn.Module, wanted: str, device: torch.device = CPU) -> torch.dtype:
    """The float type of convolutions and matrix products; weights, loss and validation stay in float32.

    "auto" takes bfloat16 only where it pays: in convolutions, on a device that computes in it.
    """
    if wanted != "auto":
        return FLOAT_TYPES[wanted]
    convolutions = any(weight.ndim > 2 for weight in network.parameters())
    return torch.bfloat16 if convolutions and computes_in_bfloat16(device) else torch.float32
