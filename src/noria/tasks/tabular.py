"""Tabular: a network for columns of numbers, which brings them to one scale by the bounds that the schema gives."""

from __future__ import annotations

import torch
from torch import nn

from noria.errors import UsageError
from noria.schema import Schema


class TabularNetwork(nn.Module):
    """Raw features, one tensor of (rows, *shape) each, laid side by side in the schema's order and put to `layers`.

    Each value is moved and stretched so that its column's bounds become -1 and 1. `layers` take (rows, `width`) of
    float32. UsageError for a feature that has no bounds, or that is no number.
    """

    centers: torch.Tensor  # (values,), float64, as are the reaches
    reaches: torch.Tensor

    def __init__(self, schema: Schema, layers: nn.Module) -> None:
        super().__init__()
        centers, reaches = [], []
        for column in schema.features:
            if column.type in ("string", "timestamp"):
                raise UsageError(f"feature {column.name!r} is a {column.type}: a tabular network takes numbers")
            low, high = (0.0, 1.0) if column.type == "bool" else (column.minimum, column.maximum)
            if low is None or high is None or low >= high:
                raise UsageError(f"feature {column.name!r} lies from {low} to {high}: give it a minimum and a maximum")
            centers += [(low + high) / 2] * column.size
            reaches += [(high - low) / 2] * column.size
        self.register_buffer("centers", torch.tensor(centers, dtype=torch.float64))
        self.register_buffer("reaches", torch.tensor(reaches, dtype=torch.float64))
        self.layers = layers

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Return the logits, (rows, classes)."""
        # No len() and no reshape: the export would freeze the number of rows that it was made with.
        side_by_side = torch.cat([values.double().unsqueeze(1).flatten(1) for values in features], dim=1)
        # In double until the center is gone: a large number, such as a time in seconds, differs in its last digits.
        logits: torch.Tensor = self.layers(((side_by_side - self.centers) / self.reaches).float())
        return logits
