"""Tabular: columns of numbers on one scale, by the bounds that the schema gives, and a network that takes them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from noria.errors import UsageError
from noria.schema import Column, Schema


class Scaling(nn.Module):
    """Raw columns, one tensor of (rows, *shape) each, laid side by side in their order: (rows, `width`) of float32.

    Each value is moved and stretched so that its column's bounds become -1 and 1. Where a float column may miss values
    (its `maximum_null_share` is above 0), NaN becomes the middle of the bounds, 0; after all values stands, for each
    such column, 1 in the rows in which it is missing and 0 in the others. UsageError for a column that has no bounds,
    or that is no number.
    """

    centers: torch.Tensor  # (values,), float64, as are the reaches
    reaches: torch.Tensor
    gaps: torch.Tensor  # the place of the first value of each column that may be missing, int64

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        centers: list[float] = []
        reaches: list[float] = []
        gaps: list[int] = []
        for column in columns:
            low, high = find_bounds(column)
            if column.dtype.kind == "f" and column.maximum_null_share > 0:
                gaps.append(len(centers))
            centers += [(low + high) / 2] * column.size
            reaches += [(high - low) / 2] * column.size
        self.register_buffer("centers", torch.tensor(centers, dtype=torch.float64))
        self.register_buffer("reaches", torch.tensor(reaches, dtype=torch.float64))
        self.register_buffer("gaps", torch.tensor(gaps, dtype=torch.int64))
        self.width = len(centers) + len(gaps)

    def forward(self, *columns: torch.Tensor) -> torch.Tensor:
        """Return the values, and what is missing of them."""
        # No len() and no reshape: the export would freeze the number of rows that it was made with.
        side_by_side = torch.cat([values.double().unsqueeze(1).flatten(1) for values in columns], dim=1)
        # In double until the center is gone: a large number, such as a time in seconds, differs in its last digits.
        values = ((side_by_side - self.centers) / self.reaches).float()
        if not self.gaps.numel():
            return values
        missing = torch.isnan(values)
        flags = missing.index_select(1, self.gaps).float()
        return torch.cat([torch.where(missing, torch.zeros_like(values), values), flags], dim=1)


class TabularNetwork(nn.Module):
    """A schema's raw features, all of them numbers, brought to one scale and put to `layers`.

    `layers` take (rows, `width`) of float32, as `Scaling` gives them.
    """

    def __init__(self, schema: Schema, layers: nn.Module) -> None:
        super().__init__()
        self.scaling = Scaling(schema.features)
        self.layers = layers

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Return the logits, (rows, classes)."""
        logits: torch.Tensor = self.layers(self.scaling(*features))
        return logits


def find_bounds(column: Column) -> tuple[float, float]:
    """The least and the most that a column of numbers may hold; UsageError where the schema does not say."""
    if column.type in ("string", "timestamp"):
        more = ", and the places of a text's choices want an embedding" if column.choices else ""
        raise UsageError(f"feature {column.name!r} is a {column.type}: a tabular network takes numbers{more}")
    low, high = (0.0, 1.0) if column.type == "bool" else (column.minimum, column.maximum)
    if low is None or high is None or low >= high:
        raise UsageError(f"feature {column.name!r} lies from {low} to {high}: give it a minimum and a maximum")
    return low, high
