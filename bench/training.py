"""T1 and T2: how fast and how well Noria's training loop learns Fashion-MNIST, against a plain PyTorch loop.

The plain loop is the one of PyTorch's own tutorials: a DataLoader that shuffles, float32, NCHW. Both train the same
network from the same first weights, with the same variation of pictures, optimiser, schedule, batches and threads, and
measure themselves on the same validation pictures after each epoch. Times are of whole trainings, taken in turn.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from noria.ml.determinism import reproducible, seeded
from noria.ml.feeding import compute_logits
from noria.ml.loop import train
from noria.ml.progress import Progress, silent
from noria.ml.recipe import choose_precision, one_cycle
from noria.ml.training import TrainingParameters
from noria.tasks import fashion, idx
from noria.tasks.fashion_network import augment, build

VALIDATION_ROWS = 6_000  # the last of the training part, as the pipeline has it
THREADS = 2


@dataclass(frozen=True, kw_only=True)
class Pictures:
    images: NDArray[np.uint8]  # (rows, 28, 28)
    labels: NDArray[np.int64]

    def part(self, start: int, end: int | None) -> Pictures:
        return Pictures(images=self.images[start:end], labels=self.labels[start:end])

    def rows(self) -> dict[str, NDArray[Any]]:
        return {"image": self.images, "label": self.labels}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    rows_per_second: float
    accuracy: float  # on the test part
    seconds: float
    cpu_seconds: float
    epochs: int


class NoCheckpoints:
    """Neither loop is timed with a disk."""

    def load(self) -> bytes | None:
        return None

    def save(self, data: bytes) -> None:
        pass


def read_part(part: str) -> Pictures:
    folder = fashion.DEBIAN_FOLDER
    paths = folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz"
    size = {"train": 60_000, "t10k": 10_000}[part]
    images = idx.parse(paths[0], idx.read_bytes(paths[0]), (size, 28, 28))
    labels = idx.parse(paths[1], idx.read_bytes(paths[1]), (size,))
    return Pictures(images=images, labels=labels.astype(np.int64))


def recipe(**changes: Any) -> TrainingParameters:
    """The task's own recipe, which `noria run` trains with."""
    defaults = {key: fashion.Fashion.defaults[key] for key in ("epochs", "batch_size", "learning_rate", "patience")}
    values: dict[str, Any] = {"seed": 1, "threads": THREADS, "network": {}, **defaults, **changes}
    return TrainingParameters(**values)


def accuracy(network: nn.Module, pictures: Pictures) -> float:
    logits = compute_logits(network, (torch.from_numpy(pictures.images.copy()),))
    return float((logits.argmax(axis=1) == pictures.labels).mean())


def train_noria(
    parameters: TrainingParameters,
    training: Pictures,
    validation: Pictures,
    test: Pictures,
    progress: Progress = silent,
) -> Outcome:
    processor = time.process_time()
    trained = train(fashion.Fashion(), training.rows(), validation.rows(), parameters, NoCheckpoints(), progress)
    return Outcome(
        rows_per_second=len(training.labels) * trained.epochs_run / trained.seconds,
        accuracy=accuracy(trained.network, test),
        seconds=trained.seconds,
        cpu_seconds=time.process_time() - processor,
        epochs=trained.epochs_run,
    )


def train_plain(parameters: TrainingParameters, training: Pictures, validation: Pictures, test: Pictures) -> Outcome:
    """Train as the tutorials do."""
    started, processor = time.monotonic(), time.process_time()
    torch.set_num_threads(parameters.threads)
    seeded(parameters.seed, epoch=0)
    network = build(parameters.network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=parameters.learning_rate, weight_decay=parameters.weight_decay
    )
    loader = DataLoader(as_tensors(training), batch_size=parameters.batch_size, shuffle=True)
    steps = parameters.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(min(step / steps, 1.0)))
    generator = torch.Generator().manual_seed(parameters.seed)
    criterion = nn.CrossEntropyLoss(label_smoothing=parameters.label_smoothing)
    for _ in range(parameters.epochs):
        network.train()
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(network(*augment((images,), generator)), labels).backward()
            optimizer.step()
            schedule.step()
        count_right(network, DataLoader(as_tensors(validation), batch_size=parameters.batch_size))
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - processor
    return Outcome(
        rows_per_second=len(training.labels) * parameters.epochs / seconds,
        accuracy=accuracy(network, test),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        epochs=parameters.epochs,
    )


def as_tensors(pictures: Pictures) -> TensorDataset:
    """Pictures as float32, as a DataLoader usually holds them; the network takes grey levels of either type."""
    return TensorDataset(torch.from_numpy(pictures.images.astype(np.float32)), torch.from_numpy(pictures.labels))


def count_right(network: nn.Module, loader: DataLoader[Any]) -> int:
    network.eval()
    with torch.no_grad():
        return sum(int((network(images).argmax(1) == labels).sum()) for images, labels in loader)


def measure_speed(training: Pictures, test: Pictures, *, rounds: int) -> dict[str, Any]:
    """T1: whole trainings in turn, each round with a seed of its own for both."""
    validation = training.part(-1000, None)
    training = training.part(0, -1000)
    parameters = recipe(epochs=2, patience=2)
    with reproducible(THREADS):  # so that what torch does once is done, for both
        train_plain(recipe(epochs=1), training.part(0, 512), validation, validation)
    train_noria(recipe(epochs=1), training.part(0, 512), validation, validation)
    plain, noria = [], []
    for seed in range(rounds):
        plain.append(train_plain(replace(parameters, seed=seed), training, validation, test))
        noria.append(train_noria(replace(parameters, seed=seed), training, validation, test))
    ratios = [ours.rows_per_second / theirs.rows_per_second for ours, theirs in zip(noria, plain, strict=True)]
    cpu_ratios = [theirs.cpu_seconds / ours.cpu_seconds for ours, theirs in zip(noria, plain, strict=True)]
    return {
        "ratio": summary(ratios),
        "cpu_ratio": summary(cpu_ratios),
        "noria_images_per_second": summary([outcome.rows_per_second for outcome in noria]),
        "plain_images_per_second": summary([outcome.rows_per_second for outcome in plain]),
        "noria_accuracy": summary([outcome.accuracy for outcome in noria]),
        "plain_accuracy": summary([outcome.accuracy for outcome in plain]),
        "accuracy_difference": summary([a.accuracy - b.accuracy for a, b in zip(noria, plain, strict=True)]),
        "rounds": rounds,
        "rows": len(training.labels),
        "epochs": parameters.epochs,
    }


def measure_accuracy(
    training: Pictures, test: Pictures, *, seeds: int, progress: Progress = silent, **changes: Any
) -> dict[str, Any]:
    """T2: the task's own recipe on all the pictures, as the pipeline splits them."""
    kept, validation = training.part(0, -VALIDATION_ROWS), training.part(-VALIDATION_ROWS, None)
    outcomes = [
        train_noria(recipe(seed=seed, **changes), kept, validation, test, progress) for seed in range(1, seeds + 1)
    ]
    return {
        "accuracy": summary([outcome.accuracy for outcome in outcomes]),
        "seconds": summary([outcome.seconds for outcome in outcomes]),
        "cpu_seconds": summary([outcome.cpu_seconds for outcome in outcomes]),
        "epochs": [outcome.epochs for outcome in outcomes],
        "rows": len(kept.labels),
    }


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "minimum": min(values), "maximum": max(values)}


def measure(quick: bool) -> dict[str, Any]:
    """Measure both figures; `quick` looks at a few thousand pictures, to see that the programs still work."""
    training, test = read_part("train"), read_part("t10k")
    speed = measure_speed(training.part(0, 3_000 if quick else 11_000), test, rounds=1 if quick else 5)
    if quick:
        learnt = measure_accuracy(training.part(0, 9_000), test, seeds=1, epochs=1)
    else:
        learnt = measure_accuracy(training, test, seeds=3)
    return {
        "T1": speed,
        "T2": learnt,
        "precision": str(choose_precision(build({}), "auto")).removeprefix("torch."),
        "torch": str(torch.__version__),
        "processor": platform.processor() or platform.machine(),
        "threads": THREADS,
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(measure("--quick" in sys.argv))) + b"\n")
