"""Feeding: give the rows of a dataset to a torch network, and read its logits."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from noria.errors import TrainingError
from noria.ml.choices import place_texts
from noria.ml.device import CPU
from noria.schema import Column, Schema
from noria.task import Rows, Task

ROWS_AT_ONCE = 256  # bounds the memory of inference, whatever the number of rows, and stays near the caches
Features = tuple[torch.Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows with their labels, in memory in the columns' own types; `features` in the schema's order."""

    features: Features
    labels: torch.Tensor  # (rows,), int64

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: torch.Tensor) -> tuple[Features, torch.Tensor]:
        """Copy out the rows of a batch."""
        return tuple(column.index_select(0, index) for column in self.features), self.labels[index]


def read_features(schema: Schema, rows: Rows) -> Features:
    """Read the feature columns, in the schema's order: numbers as they are, a text as the place of its choice (int64).

    TrainingError for a column that is not there, and for one that holds neither numbers nor texts with choices.
    """
    return tuple(_as_tensor(column, rows) for column in schema.features)


def _as_tensor(column: Column, rows: Rows) -> torch.Tensor:
    name = column.name
    if name not in rows:
        raise TrainingError(f"the rows lack the column {name!r}: found {', '.join(rows)}. Load it with the others")
    values = place_texts(column, rows[name]) if column.choices else rows[name]
    array = np.require(values, requirements=["C", "W"])  # torch wants to own what it could write to
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise TrainingError(
            f"feature {name!r} has values of type {array.dtype}, which a network cannot take: "
            "give the column its `choices` if they are texts of which there are few, or have the task turn them into "
            "numbers when it reads its source"
        ) from error


def read_examples(task: Task, rows: Rows, purpose: str) -> Examples:
    """Read features and labels; TrainingError unless there is at least one row, each with a label of the task."""
    labels = _as_tensor(task.schema.label, rows).long()
    examples = Examples(features=read_features(task.schema, rows), labels=labels)
    lengths = {len(column) for column in (*examples.features, examples.labels)}
    if lengths == {0}:
        raise TrainingError(f"there are no {purpose} rows: widen the window of data, or change the days of the split")
    if len(lengths) > 1:
        raise TrainingError(f"the columns of the {purpose} rows have {sorted(lengths)} rows: expected equal numbers")
    low, high = int(examples.labels.min()), int(examples.labels.max())
    if low < 0 or high >= len(task.classes):
        raise TrainingError(
            f"the labels of the {purpose} rows run from {low} to {high}: expected 0 to {len(task.classes) - 1}, "
            f"the places of the classes of task {task.name!r}; validate the dataset"
        )
    return examples


def move(features: Features, device: torch.device) -> Features:
    """Bring a batch to where the network is; nothing is copied where it is there already."""
    return tuple(column.to(device) for column in features)


def compute_logits(
    network: torch.nn.Module, features: Features, pool: Executor | None = None, device: torch.device = CPU
) -> NDArray[np.float32]:
    """Run the network, which is on the device, in eval mode and float32, in batches, in the pool's threads if any.

    The result has shape (rows, classes).
    """
    network.eval()

    def infer(batch: Features) -> torch.Tensor:
        with torch.inference_mode():  # holds for one thread
            logits: torch.Tensor = network(*move(batch, device)).float()
            return logits.cpu()

    return torch.cat(list((pool.map if pool else map)(infer, _batches(features)))).numpy()


def _batches(features: Features) -> Iterator[Features]:
    yield from zip(*(torch.split(column, ROWS_AT_ONCE) for column in features), strict=True)
