"""Step cost: where the processor time of one training step goes, and how much of it the peak rates would leave.

`python -m bench.step_cost` prints the tables. All is measured on one thread, and the fastest of many rounds is told, so
that other programs on the machine change little. A step is one of the task's own recipe; the parts that two threads
take at the same time come one after the other.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile, record_function

from bench.training import THREADS, Pictures, read_part, recipe
from noria.ml.determinism import reproducible
from noria.ml.feeding import Examples
from noria.ml.recipe import make_optimizer
from noria.tasks.fashion_network import augment, build

ROUNDS, WARM_UP = 40, 5  # the first rounds compile kernels
STEP = "one step"
OPERATIONS = {
    "convolutions, forward": ("aten::mkldnn_convolution",),
    "convolutions, backward": ("aten::convolution_backward",),
    "batch norm": ("aten::native_batch_norm", "aten::native_batch_norm_backward"),
    "ReLU": ("aten::clamp_min_", "aten::threshold_backward"),
    "changes of type and layout": ("aten::copy_",),
}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a loop computes."""

    name: str
    precision: torch.dtype
    layout: torch.memory_format


NORIA = Style(name="bfloat16, NHWC", precision=torch.bfloat16, layout=torch.channels_last)
PLAIN = Style(name="float32, NCHW", precision=torch.float32, layout=torch.contiguous_format)


def milliseconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The processor time of this thread in the fastest round."""
    times = []
    for _ in range(WARM_UP + rounds):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return min(times[WARM_UP:]) * 1000


def product_rate(precision: torch.dtype) -> float:
    """GFLOP/s of a product of two matrices of 1024 × 1024."""
    left, right = torch.randn(2, 1024, 1024).to(precision)
    return 2 * 1024**3 / milliseconds(lambda: torch.mm(left, right)) / 1e6


def convolutions(style: Style, rows: int) -> Iterator[tuple[str, float, float]]:
    """What the network's convolutions do on the rows: name, GFLOP, and ms of it."""
    network = build({})
    shapes: list[tuple[nn.Conv2d, torch.Size]] = []
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    for layer in layers:
        layer.register_forward_pre_hook(lambda this, given: shapes.append((this, given[0].shape)))
    network(torch.zeros(rows, 28, 28, dtype=torch.uint8))
    for number, (layer, shape) in enumerate(shapes):
        layer._forward_pre_hooks.clear()
        layer.to(style.precision, memory_format=style.layout)
        values = torch.randn(shape).to(style.precision, memory_format=style.layout).requires_grad_(number > 0)
        yield from time_convolution(layer, values)


def time_convolution(layer: nn.Conv2d, values: torch.Tensor) -> Iterator[tuple[str, float, float]]:
    """The three products of one convolution; nobody asks for the gradient of pictures."""
    result = layer(values)
    gradient = torch.randn_like(result)
    size = 2 * layer.weight.numel() * result.numel() / result.shape[1] / 1e9
    yield "forward", size, milliseconds(lambda: layer(values))
    for name, what in (("gradient of values", values), ("gradient of weights", layer.weight)):
        if what.requires_grad:
            yield name, size, milliseconds(partial(torch.autograd.grad, result, what, gradient, retain_graph=True))


class Steps:
    """Training in a style, with a clock at the parts of a step."""

    def __init__(self, style: Style, pictures: Pictures) -> None:
        self.style, self.parameters = style, recipe()
        self.examples = Examples(
            features=(torch.from_numpy(pictures.images.copy()),), labels=torch.from_numpy(pictures.labels)
        )
        self.network = build({}).to(memory_format=style.layout)
        self.optimizer = make_optimizer(self.network, self.parameters.learning_rate, self.parameters.weight_decay)
        self.generator = torch.Generator().manual_seed(1)
        self.times: defaultdict[str, list[float]] = defaultdict(list)

    def clocked(self, part: str, work: Callable[[], Any]) -> Any:
        started = time.thread_time()
        result = work()
        self.times[part].append(time.thread_time() - started)
        return result

    def run(self) -> None:
        index = torch.randint(len(self.examples), (self.parameters.batch_size,), generator=self.generator)
        features, labels = self.clocked("rows of the batch", lambda: self.examples.take(index))
        (pictures,) = self.clocked("variation", lambda: augment(features, self.generator))
        halves = zip(pictures.chunk(THREADS), labels.chunk(THREADS), strict=True)
        losses = self.clocked("forward", lambda: [self.loss(*half) for half in halves])
        self.clocked("backward", lambda: [loss.backward() for loss in losses])
        self.clocked("optimizer", self.optimizer.step)
        self.network.zero_grad()

    def loss(self, pictures: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.style is NORIA):
            logits = self.network(pictures)
        return cross_entropy(logits.float(), labels, label_smoothing=self.parameters.label_smoothing)

    def parts(self) -> dict[str, float]:
        """The ms of each part of a step."""
        for _ in range(WARM_UP + ROUNDS):
            self.run()
        return {part: min(times[WARM_UP:]) * 1000 for part, times in self.times.items()}

    def operations(self) -> dict[str, float]:
        """The ms of a step's kernels, of each call in its fastest round."""
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            for _ in range(ROUNDS):
                with record_function(STEP):
                    self.run()
        calls: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
        seen: Counter[str] = Counter()
        for event in sorted(profiled.events(), key=lambda event: event.time_range.start):
            if event.name == STEP:
                seen.clear()
            calls[event.name, seen[event.name]].append(event.self_cpu_time_total / 1000)
            seen[event.name] += 1
        return {
            name: sum(min(times) for (call, _), times in calls.items() if call in kernels)
            for name, kernels in OPERATIONS.items()
        }


def print_table(title: str, rows: dict[str, list[float]]) -> None:
    print(f"\n| {title} | {NORIA.name} | {PLAIN.name} |\n|---|---|---|")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:,.2f}' for value in values)} |")


def measure_convolutions(style: Style, rows: int) -> dict[str, float]:
    """The ms of all convolutions of a step by product, and the best rate that one of them reaches."""
    found = list(convolutions(style, rows))
    names = dict.fromkeys(name for name, _, _ in found)
    spent = {name: THREADS * sum(ms for each, _, ms in found if each == name) for name in names}
    best = max(size / ms * 1000 for _, size, ms in found)
    work = THREADS * sum(size for _, size, _ in found)
    return {
        **{f"{name}, ms": ms for name, ms in spent.items()},
        "all, GFLOP": work,
        "all, GFLOP/s": work / sum(spent.values()) * 1000,
        "best single one, GFLOP/s": best,
        "product of two matrices of 1024 × 1024, GFLOP/s": product_rate(style.precision),
        "all at the rate of the best single one, ms": work / best * 1000,
    }


def main() -> None:
    pictures, rows = read_part("train").part(0, 10_000), recipe().batch_size
    styles = (NORIA, PLAIN)
    with reproducible(1):
        alone = [measure_convolutions(style, rows // THREADS) for style in styles]
        steps = [Steps(style, pictures) for style in styles]
        parts = [step.parts() for step in steps]
        operations = [step.operations() for step in steps]
    for part, kernels in zip(parts, operations, strict=True):
        part["whole step"] = sum(part.values())
        kernels["all else, the interpreter too"] = part["whole step"] - sum(kernels.values())
    print(f"{rows} pictures a step, torch {torch.__version__}")
    print_table("part of a step, ms", {name: [each[name] for each in parts] for name in parts[0]})
    print_table("operation, ms in a step", {name: [each[name] for each in operations] for name in operations[0]})
    print_table("convolutions alone", {name: [each[name] for each in alone] for name in alone[0]})


if __name__ == "__main__":
    main()
