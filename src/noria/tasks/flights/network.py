"""Network: texts, hours and weekdays as embeddings, numbers as levels, and several members over all of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from noria.errors import UsageError
from noria.schema import Column, Schema
from noria.task import Value
from noria.tasks.flights.levels import Levels
from noria.tasks.flights.options import FlightsOptions, read_options

CLASSES = 2
STEPS = frozenset({"scheduled_hour", "weekday"})  # whole numbers between whose neighbours lies no straight line


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


class Member(nn.Sequential):
    """Layers from what all members are given to the logits of on time and late."""

    def __init__(self, size: int, chosen: FlightsOptions) -> None:
        layers: list[nn.Module] = [nn.Dropout(chosen.input_dropout)]
        for _ in range(chosen.depth):
            layers += [nn.Linear(size, chosen.width), nn.BatchNorm1d(chosen.width), nn.ReLU()]
            layers.append(nn.Dropout(chosen.dropout))
            size = chosen.width
        super().__init__(*layers, nn.Linear(size, CLASSES))


class FlightsNetwork(nn.Module):
    """One raw tensor for each of the schema's features, in its order, to the logits of on time and late.

    Several members share embeddings and levels, and each learns from its own part of every batch: their errors differ,
    and the mean of their probabilities has less of them than each one's.
    """

    def __init__(self, schema: Schema, chosen: FlightsOptions) -> None:
        super().__init__()
        self.is_step = [bool(column.choices) or column.name in STEPS for column in schema.features]
        columns = list(zip(schema.features, self.is_step, strict=True))
        self.steps = nn.ModuleList(Steps(column, chosen.embedding) for column, is_step in columns if is_step)
        self.levels = Levels([column for column, is_step in columns if not is_step])
        size = self.levels.width + sum(step.size for step in self.steps if isinstance(step, Steps))
        self.members = nn.ModuleList(Member(size, chosen) for _ in range(chosen.members))

    def see(self, features: tuple[torch.Tensor, ...]) -> None:
        """Take the quantiles of the training rows' numbers."""
        self.levels.see(self._part(features)[1])

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (rows, 2); in training, each member's for its part of the rows."""
        chosen, numbers = self._part(features)
        parts = [step(values) for step, values in zip(self.steps, chosen, strict=True)]
        given = torch.cat([*parts, self.levels(*numbers)], dim=1)
        if self.training:
            # A norm needs two rows, and so does a member.
            count = max(1, min(len(self.members), len(given) // 2))
            shares = given.tensor_split(count)
            return torch.cat([member(part) for member, part in zip(self.members, shares, strict=False)])
        told = torch.stack([torch.log_softmax(member(given), dim=1) for member in self.members])
        return torch.logsumexp(told, dim=0)

    def _part(self, features: tuple[torch.Tensor, ...]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """The columns that are embedded, and those that are numbers."""
        pairs = list(zip(features, self.is_step, strict=True))
        return [values for values, is_step in pairs if is_step], [values for values, is_step in pairs if not is_step]


def build_network(schema: Schema, options: Mapping[str, Value]) -> FlightsNetwork:
    """Build the network; the options are those of `FlightsOptions`.

    UsageError for an option, or for a feature that is a text without choices or a number without bounds.
    """
    return FlightsNetwork(schema, read_options(options))


def _range(column: Column) -> tuple[int, int]:
    if column.shape:
        raise UsageError(f"feature {column.name!r} has shape {list(column.shape)}: expected one value, to embed it")
    if column.choices:
        return 0, len(column.choices)
    if column.dtype.kind not in "ui" or column.minimum is None or column.maximum is None:
        raise UsageError(f"feature {column.name!r} is to be embedded: expected whole numbers with two bounds")
    return int(column.minimum), int(column.maximum)
