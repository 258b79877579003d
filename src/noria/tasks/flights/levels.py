"""Levels: a number as how far it has come between quantiles of the training rows, so that its tails count, too.

Delays lie close together about zero and reach up to a day. On one straight scale the hours in which they differ by a
few minutes and those in which they differ by hours cannot both be told apart, and what was never seen is far away.
After Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from noria.schema import Column
from noria.tasks.tabular import find_bounds

# Closer together at the ends, where a plane two hours late differs from one that is an hour late.
SHARES = (0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99, 1)
LEVELS = len(SHARES) - 1
NARROWEST = 1e-4  # a level between two equal quantiles is a step


class Levels(nn.Module):
    """Raw columns, one tensor of (rows,) each, as (rows, `width`) of float32 within -0.5 and 1.

    Each number becomes LEVELS numbers: -0.5 below a level, 0.5 above it, on a straight line in it. A missing one is
    taken for the median; after all levels stands, for each column that may miss values, 1 in the rows in which it does.
    Until it has seen rows, a column's quantiles are those of equal spread between its bounds.
    """

    edges: torch.Tensor  # (columns, LEVELS + 1)
    middles: torch.Tensor  # (columns,)
    gaps: torch.Tensor  # the places of the columns that may miss values

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        low, high = torch.tensor([find_bounds(column) for column in columns], dtype=torch.float32).T
        self.register_buffer("edges", low[:, None] + (high - low)[:, None] * torch.tensor(SHARES))
        self.register_buffer("middles", (low + high) / 2)
        gaps = [place for place, column in enumerate(columns) if column.maximum_null_share > 0]
        self.register_buffer("gaps", torch.tensor(gaps, dtype=torch.int64))
        self.width = len(columns) * LEVELS + len(gaps)

    def see(self, columns: Sequence[torch.Tensor]) -> None:
        """Take the quantiles of these rows; a column without any value keeps its own."""
        for place, column in enumerate(columns):
            values = column.numpy().astype(np.float64)
            values = values[~np.isnan(values)]
            if len(values):
                self.edges[place] = torch.from_numpy(np.quantile(values, SHARES)).float()
                self.middles[place] = float(np.median(values))

    def forward(self, *columns: torch.Tensor) -> torch.Tensor:
        """Return the levels, and what is missing."""
        values = torch.cat([column.float().unsqueeze(1) for column in columns], dim=1)
        missing = torch.isnan(values)
        values = torch.where(missing, self.middles, values)
        low = self.edges[:, :-1]
        height = (self.edges[:, 1:] - low).clamp(min=NARROWEST)
        levels = ((values.unsqueeze(2) - low) / height).clamp(0.0, 1.0).flatten(1) - 0.5
        return torch.cat([levels, missing.index_select(1, self.gaps).float()], dim=1)
