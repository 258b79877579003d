"""Determinism: make torch give the same bits again, for the time of one training."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from noria.errors import TrainingError
from noria.ml.device import CPU

REFUSAL = "does not have a deterministic implementation"  # in the words of torch
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def reproducible(threads: int, device: torch.device = CPU) -> Iterator[None]:
    """Fix the number of threads and allow only deterministic kernels; torch's own settings come back afterwards.

    TrainingError where a network asks for an operation that has no such kernel on the device.
    """
    memory: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
    # Nothing here reads memory that it has not written, and to fill it would cost a tenth of the speed.
    memory.fill_uninitialized_memory = False
    on_gpu = device != CPU
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=[device] if on_gpu else []))
            if on_gpu:
                stack.enter_context(deterministic_cuda())
            yield
    except RuntimeError as error:
        if REFUSAL not in str(error):
            raise
        operation = str(error).partition(REFUSAL)[0].strip()
        raise TrainingError(
            f"the network's {operation} gives other bits each time on {device.type}: expected operations that repeat; "
            "build the network from others, or choose another training.device"
        ) from error
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(mode=before[1])
        memory.fill_uninitialized_memory = before[2]


@contextmanager
def deterministic_cuda() -> Iterator[None]:
    """What CUDA's libraries need beside: cuBLAS a workspace of its own, cuDNN no trials of kernels and whole float32.

    cuBLAS reads the variable when it is first used in a process, so there is no use in taking it back.
    """
    os.environ.setdefault(WORKSPACE, ":4096:8")
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def seeded(seed: int, epoch: int) -> torch.Generator:
    """Make the epoch's own generator, and seed torch's global ones, which dropout and initial weights draw from.

    Both follow from seed and epoch alone, so that a resumed training draws what it would have drawn. Epoch 0 is the
    making of the network.
    """
    own, shared = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64)
    torch.manual_seed(int(shared))
    return torch.Generator().manual_seed(int(own))
