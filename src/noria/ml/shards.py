"""Shards: compute the gradient of a batch in several threads, each with its own part of the rows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import torch

from noria.ml.feeding import Features

LossOf = Callable[[torch.nn.Module, Features, torch.Tensor], torch.Tensor]  # network, features, labels -> mean loss
LEAST_ROWS = 2  # of a part: batch normalisation needs a deviation


class Shards:
    """A network and its replicas, one a thread; gradients are added in the order of the parts, so bits repeat.

    A replica has the network's own weights in memory, and gradients and batch statistics for itself.

    Inside of an operation torch's own threads wait for each other by spinning. Where another program holds one of the
    processors, a backward convolution in bfloat16 becomes ten and more times slower by that; threads that meet once a
    step do not mind. Each part has its own batch statistics, and the first part's go into the running ones.
    """

    def __init__(self, network: torch.nn.Module, count: int) -> None:
        self.network = network
        self.replicas = [network, *(_replica(network) for _ in range(count - 1))]

    def train(self) -> None:
        """Put the network and its replicas into training mode."""
        for replica in self.replicas:
            replica.train()

    @contextmanager
    def open(self) -> Iterator[Executor | None]:
        """Start the threads, for the time of an epoch; None where the caller's thread is the only one.

        A network without convolutions is computed in it alone: its products are small, and torch's threads would wait
        for each other in each of them. With another program on one of two cores, flights took twenty times as long.
        """
        count = len(self.replicas)
        if count == 1:
            with nullcontext() if has_convolutions(self.network) else _single():
                yield None
            return
        with _single(), ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool

    def backward(self, pool: Executor | None, loss_of: LossOf, features: Features, labels: torch.Tensor) -> float:
        """Put the gradient of the mean loss into the network, and return that loss."""
        count = max(1, min(len(self.replicas), len(labels) // LEAST_ROWS)) if pool else 1
        parts = list(zip(*(column.tensor_split(count) for column in (*features, labels)), strict=True))

        def compute(replica: torch.nn.Module, part: Features) -> float:
            replica.zero_grad()
            loss = loss_of(replica, part[:-1], part[-1]) * (len(part[-1]) / len(labels))
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.item()

        if pool is None:
            return compute(self.network, parts[0])
        for replica in self.replicas[1:count]:
            _copy_buffers(self.network, replica)
        losses = list(pool.map(compute, self.replicas, parts))
        for replica in self.replicas[1:count]:
            _add_gradient(replica, self.network)
        return sum(losses)


@contextmanager
def _single() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _replica(network: torch.nn.Module) -> torch.nn.Module:
    replica = copy.deepcopy(network)
    for there, here in zip(replica.parameters(), network.parameters(), strict=True):
        there.data = here.data
    return replica


def _copy_buffers(source: torch.nn.Module, target: torch.nn.Module) -> None:
    for there, here in zip(target.buffers(), source.buffers(), strict=True):
        there.copy_(here)


def _add_gradient(source: torch.nn.Module, target: torch.nn.Module) -> None:
    for here, there in zip(source.parameters(), target.parameters(), strict=True):
        if here.grad is not None and there.grad is not None:
            there.grad += here.grad


def count_shards(network: torch.nn.Module, sample: Features, threads: int) -> int:
    """One shard a thread for a network of convolutions; one in all for a small one, or one that draws at random.

    Threads would draw from torch's one generator in no certain order, so one that draws is left to torch's own threads.
    """
    return threads if has_convolutions(network) and not _draws(copy.deepcopy(network), sample) else 1


def has_convolutions(network: torch.nn.Module) -> bool:
    """Whether any of the weights is a kernel."""
    return any(weight.ndim > 2 for weight in network.parameters())


def _draws(network: torch.nn.Module, sample: Features) -> bool:
    with torch.random.fork_rng(devices=[]), torch.no_grad(), _single():
        before = torch.get_rng_state()
        network.train()(*sample)
        return not torch.equal(torch.get_rng_state(), before)
