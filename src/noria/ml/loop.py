"""Loop: turn rows into a network, bit for bit the same one for the same rows, parameters and machine."""

from __future__ import annotations

import math
import time
from concurrent.futures import Executor

import torch
from torch.nn.functional import cross_entropy

from noria.errors import TrainingError
from noria.ml.checkpoint import Checkpoint, capture, decode, encode, restore
from noria.ml.determinism import reproducible, seeded
from noria.ml.device import CPU, find_device
from noria.ml.feeding import Examples, Features, compute_logits, move, read_examples
from noria.ml.identity import identify
from noria.ml.progress import Progress
from noria.ml.recipe import choose_precision, make_optimizer, one_cycle
from noria.ml.shards import Shards, count_shards
from noria.ml.training import Checkpoints, EpochResult, Trained, TrainingParameters, best_epoch
from noria.ml.weighting import class_weights, unweight
from noria.task import Rows, SeesRows, Task

REPORTS_AN_EPOCH = 5


def train(
    task: Task,
    train_rows: Rows,
    validation_rows: Rows,
    parameters: TrainingParameters,
    checkpoints: Checkpoints,
    progress: Progress,
) -> Trained:
    """Train the task's network; the rows hold at least the schema's feature and label columns.

    After each epoch the whole state goes to `checkpoints`. A training that was interrupted goes on from there and ends
    with the same bits as one that was not. A checkpoint that is damaged, or that belongs to other rows, parameters or
    software, is reported and not used.

    Raises TrainingError where there is nothing to learn from, the loss is no longer a finite number, or the device
    that the parameters name is not there.
    """
    started = time.monotonic()
    device = find_device(parameters.device)
    training = read_examples(task, train_rows, "training")
    validation = read_examples(task, validation_rows, "validation")
    _expect_two_classes(task, training)
    with reproducible(parameters.threads, device):
        loop = Loop(task, training, validation, parameters, progress, device)
        loop.resume(checkpoints)
        while not loop.finished():
            loop.run_epoch()
            checkpoints.save(loop.checkpoint())
        network = loop.best_network()
    return Trained(network=network, epochs_run=loop.epoch, history=loop.history, seconds=time.monotonic() - started)


def _expect_two_classes(task: Task, training: Examples) -> None:
    if bool((training.labels == training.labels[0]).all()):
        raise TrainingError(
            f"all {len(training)} training rows are of class {task.classes[int(training.labels[0])]!r}: "
            "expected at least two classes; widen the window of data"
        )


class Loop:
    """One training. What it draws follows from (seed, epoch) alone, so that a checkpoint needs no generator's state.

    The rows, and what is drawn to vary them and for the first weights, stay with the processor; on the device are the
    network, the optimiser's moments, and each batch for the time of its step.
    """

    def __init__(
        self, task: Task, training: Examples, validation: Examples, parameters: TrainingParameters,
        progress: Progress, device: torch.device = CPU,
    ) -> None:  # fmt: skip
        self.task, self.training, self.validation = task, training, validation
        self.parameters, self.progress, self.device = parameters, progress, device
        self.history: tuple[EpochResult, ...] = ()
        weights = class_weights(training.labels, len(task.classes), parameters.class_weight)
        self.weights = None if weights is None else weights.to(device)
        seeded(parameters.seed, epoch=0)
        self.network = task.build_network(parameters.network)
        if isinstance(self.network, SeesRows):
            self.network.see(training.features)
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.telling = unweight(self.network, self.weights)  # the same weights in memory
        self.optimizer = make_optimizer(self.network, parameters.learning_rate, parameters.weight_decay)
        self.best = _copy_state(self.network)
        sample = training.take(torch.arange(2))[0]
        # Several threads share a batch out; a GPU takes it as a whole.
        count = count_shards(self.network, sample, parameters.threads) if device == CPU else 1
        self.shards = Shards(self.network, count)
        self.precision = choose_precision(self.network, parameters.precision, device)
        self.identity = identify(task, training, validation, parameters, self.network, self.precision, device)
        where = "" if device == CPU else f" on {torch.cuda.get_device_name(device)}"
        progress(f"training on {len(training):,} rows in {str(self.precision).removeprefix('torch.')}{where}", 0.0)

    @property
    def epoch(self) -> int:
        """The number of epochs done."""
        return len(self.history)

    def finished(self) -> bool:
        """Tell whether all epochs are done, or the last `patience` of them have brought nothing."""
        since_best = self.epoch - best_epoch(self.history).epoch if self.history else 0
        return self.epoch >= self.parameters.epochs or since_best >= self.parameters.patience

    def run_epoch(self) -> None:
        """Train on every training row once, then measure on the validation rows."""
        started = time.monotonic()
        training_loss = self._train()
        speed = len(self.training) / (time.monotonic() - started)
        result = self._validate(training_loss)
        self.history += (result,)
        if best_epoch(self.history) is result:
            self.best = _copy_state(self.network)
        self.progress(
            f"epoch {self.epoch}/{self.parameters.epochs}  validation accuracy {result.validation_accuracy:.3f}  "
            f"{speed / 1000:.1f}k rows/s",
            self.epoch / self.parameters.epochs,
        )

    def _train(self) -> float:
        generator = seeded(self.parameters.seed, self.epoch + 1)
        order = torch.randperm(len(self.training), generator=generator)
        # Batches differ by one row at most: a last batch of a single row would break batch normalisation.
        batches = order.tensor_split(max(1, len(order) // self.parameters.batch_size))
        total = 0.0
        self.shards.train()
        with self.shards.open() as pool:
            for step, index in enumerate(batches):
                done = (self.epoch + step / len(batches)) / self.parameters.epochs
                loss = self._train_step(index, self.parameters.learning_rate * one_cycle(done), generator, pool)
                self._expect_finite(loss, f"step {step + 1} of {len(batches)}")
                total += loss * len(index)
                if step and step % math.ceil(len(batches) / REPORTS_AN_EPOCH) == 0:
                    self.progress(f"epoch {self.epoch + 1}/{self.parameters.epochs}  training loss {loss:.3f}", done)
        return total / len(order)

    def _train_step(
        self, index: torch.Tensor, learning_rate: float, generator: torch.Generator, pool: Executor | None
    ) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        features, labels = self.training.take(index)
        varied = move(self.task.augment(features, generator), self.device)
        loss = self.shards.backward(pool, self._loss, varied, labels.to(self.device))
        self.optimizer.step()
        return loss

    def _loss(self, network: torch.nn.Module, features: Features, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision is torch.bfloat16):
            logits = network(*features)
        smoothing = self.parameters.label_smoothing
        return cross_entropy(logits.float(), labels, weight=self.weights, label_smoothing=smoothing)

    def _validate(self, training_loss: float) -> EpochResult:
        with self.shards.open() as pool:
            logits = torch.from_numpy(compute_logits(self.telling, self.validation.features, pool, self.device))
        loss = cross_entropy(logits, self.validation.labels).item()
        self._expect_finite(loss, "on the validation rows")
        return EpochResult(
            epoch=self.epoch + 1,
            training_loss=training_loss,
            validation_loss=loss,
            validation_accuracy=(logits.argmax(1) == self.validation.labels).double().mean().item(),
        )

    def _expect_finite(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} in epoch {self.epoch + 1}, {where}: expected a finite number. Lower learning_rate "
                f"({self.parameters.learning_rate}), or look for missing and wild values among the features"
            )

    def best_network(self) -> torch.nn.Module:
        """The network as it was after its best epoch, in eval mode, with the probabilities of the rows as they are.

        It is in the processor's memory: calibration, export and the test of the export are the same for every device.
        """
        self.network.load_state_dict(self.best)
        return self.telling.eval().to(CPU)

    def checkpoint(self) -> bytes:
        """All that the next epoch depends on."""
        tensors = capture(self.network, self.best, self.optimizer)
        return encode(Checkpoint(training=self.identity, history=self.history, tensors=tensors))

    def resume(self, checkpoints: Checkpoints) -> None:
        """Go on from the checkpoint, if there is one; one that cannot be used is reported and left alone."""
        data = checkpoints.load()
        if data is None:
            return
        try:
            checkpoint = decode(data, self.identity)
        except TrainingError as error:
            self.progress(f"checkpoint not used: {error}", 0.0)
            return
        self.best = restore(checkpoint.tensors, self.network, self.optimizer)
        self.history = checkpoint.history
        self.progress(
            f"going on after epoch {self.epoch}/{self.parameters.epochs}", self.epoch / self.parameters.epochs
        )


def _copy_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
