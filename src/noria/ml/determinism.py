"""Determinism: make torch give the same bits again, for the time of one training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Fix the number of threads and allow only deterministic kernels; torch's own settings come back afterwards."""
    memory: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
    # Nothing here reads memory that it has not written, and to fill it would cost a tenth of the speed.
    memory.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(mode=before[1])
        memory.fill_uninitialized_memory = before[2]


def seeded(seed: int, epoch: int) -> torch.Generator:
    """Make the epoch's own generator, and seed torch's global one, which dropout and initial weights draw from.

    Both follow from seed and epoch alone, so that a resumed training draws what it would have drawn. Epoch 0 is the
    making of the network.
    """
    own, shared = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64)
    torch.manual_seed(int(shared))
    return torch.Generator().manual_seed(int(own))
