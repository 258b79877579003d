"""Network: texts, hours and weekdays as embeddings, numbers on one scale, and layers over all of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from noria.errors import UsageError
from noria.schema import Column, Schema
from noria.task import Value
from noria.tasks.flights.options import read_options
from noria.tasks.tabular import Scaling

CLASSES = 2
STEPS = frozenset({"scheduled_hour", "weekday"})  # whole numbers between whose neighbours lies no straight line
FARTHEST = 5.0  # deviations from a number's mean


class Steps(nn.Module):
    """A column of few whole numbers, embedded: the places of a text's choices, or what lies between its bounds."""

    def __init__(self, column: Column, most: int) -> None:
        super().__init__()
        low, high = _range(column)
        self.low, self.count = low, high - low + 1
        self.size = min(most, (self.count + 1) // 2)
        self.table = nn.Embedding(self.count, self.size)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Embed (rows,) as (rows, size)."""
        embedded: torch.Tensor = self.table((values.long() - self.low).clamp(0, self.count - 1))
        return embedded


class FlightsNetwork(nn.Module):
    """One raw tensor for each of the schema's features, in its order, to the logits of on time and late."""

    def __init__(self, schema: Schema, *, width: int, depth: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.is_step = [bool(column.choices) or column.name in STEPS for column in schema.features]
        columns = list(zip(schema.features, self.is_step, strict=True))
        numbers = [column for column, is_step in columns if not is_step]
        self.steps = nn.ModuleList(Steps(column, embedding) for column, is_step in columns if is_step)
        self.scaling = Scaling(numbers)
        # Bounds are wide, as a delay may be of a day: most values lie close together between them.
        self.spread = nn.Sequential(nn.BatchNorm1d(self.scaling.width), nn.Hardtanh(-FARTHEST, FARTHEST))
        size = self.scaling.width + sum(step.size for step in self.steps if isinstance(step, Steps))
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
            size = width
        self.layers = nn.Sequential(*layers, nn.Linear(size, CLASSES))

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (rows, 2)."""
        chosen = [values for values, is_step in zip(features, self.is_step, strict=True) if is_step]
        numbers = [values for values, is_step in zip(features, self.is_step, strict=True) if not is_step]
        parts = [step(values) for step, values in zip(self.steps, chosen, strict=True)]
        parts.append(self.spread(self.scaling(*numbers)))
        logits: torch.Tensor = self.layers(torch.cat(parts, dim=1))
        return logits


def build_network(schema: Schema, options: Mapping[str, Value]) -> FlightsNetwork:
    """Build the network; the options are those of `FlightsOptions`.

    UsageError for an option, or for a feature that is a text without choices or a number without bounds.
    """
    chosen = read_options(options)
    return FlightsNetwork(
        schema, width=chosen.width, depth=chosen.depth, embedding=chosen.embedding, dropout=chosen.dropout
    )


def _range(column: Column) -> tuple[int, int]:
    if column.shape:
        raise UsageError(f"feature {column.name!r} has shape {list(column.shape)}: expected one value, to embed it")
    if column.choices:
        return 0, len(column.choices)
    if column.dtype.kind not in "ui" or column.minimum is None or column.maximum is None:
        raise UsageError(f"feature {column.name!r} is to be embedded: expected whole numbers with two bounds")
    return int(column.minimum), int(column.maximum)
