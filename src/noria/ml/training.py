"""Training: what a training is given and what it gives back; `noria.ml.loop` is the one that trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from noria.errors import UsageError
from noria.task import Value

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The part of a recipe that has values of its own: a task or a run sets what it needs otherwise.

    `label_smoothing` makes a network less sure than it should be, which the temperature that is fitted afterwards takes
    back. `precision` "auto" is bfloat16 for a network with convolutions on a device that computes in it, and float32
    otherwise. `class_weight` "balanced" lets every class count the same in the loss, however few training rows it has;
    the probabilities are those of the rows as they are all the same (`noria.ml.weighting`). `device` is part of the
    recipe as well: a GPU ("cuda") gives other bits than a processor.
    """

    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    class_weight: Literal["none", "balanced"] = "none"
    device: Literal["cpu", "cuda"] = "cpu"


@dataclass(frozen=True, kw_only=True)
class TrainingParameters(TrainingOptions):
    """How to train; `network` holds the options that go to the task's own `build_network`.

    `learning_rate` is the peak of the cycle and `batch_size` the least number of rows in a step. Training stops when
    `patience` epochs in a row have not lowered the log loss on the validation rows. `threads` is part of the recipe:
    another number of threads adds floats in another order and gives other last bits.
    """

    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    threads: int
    network: Mapping[str, Value]

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("epochs", 1), ("batch_size", 2), ("patience", 1), ("threads", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"parameter {name} is {getattr(self, name)}: expected at least {least}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"parameter learning_rate is {self.learning_rate}: expected a number above 0")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise UsageError(f"parameter weight_decay is {self.weight_decay}: expected a number from 0")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"parameter label_smoothing is {self.label_smoothing}: expected 0 <= label_smoothing < 1")
        if self.precision not in ("auto", "bfloat16", "float32"):
            raise UsageError(f"parameter precision is {self.precision!r}: expected auto, bfloat16 or float32")
        if self.class_weight not in ("none", "balanced"):
            raise UsageError(f"parameter class_weight is {self.class_weight!r}: expected none or balanced")
        if self.device not in ("cpu", "cuda"):
            raise UsageError(f"parameter device is {self.device!r}: expected cpu or cuda")


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch, from 1. Losses are in nats; the training loss includes augmentation and label smoothing."""

    epoch: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float


class Checkpoints(Protocol):
    """Where the state of an unfinished training lies; it holds at most one, as safetensors bytes."""

    def load(self) -> bytes | None:
        """Return what was saved last; None if nothing was."""

    def save(self, data: bytes) -> None:
        """Replace what was saved, whole or not at all."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of a training: the network of the best epoch, in eval mode, in float32, in the processor's memory."""

    network: torch.nn.Module
    epochs_run: int
    history: tuple[EpochResult, ...]
    seconds: float  # of this process alone, without the epochs of one that was interrupted

    @property
    def best(self) -> EpochResult:
        return best_epoch(self.history)


def best_epoch(history: tuple[EpochResult, ...]) -> EpochResult:
    """The epoch of lowest log loss on the validation rows; the earlier one of two equals."""
    return min(history, key=lambda result: result.validation_loss)
