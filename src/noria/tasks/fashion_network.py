"""Fashion network: a small residual network for grey pictures of 28 × 28, and how its training pictures are varied."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from noria.errors import UsageError
from noria.task import Value
from noria.tasks.vision import ensure_torchvision

ensure_torchvision()  # before the names below, which it makes importable

from torchvision.ops.misc import Conv2dNormActivation  # noqa: E402
from torchvision.transforms.v2 import functional  # noqa: E402

MEAN, DEVIATION = 0.2860, 0.3530  # of the 60,000 training pictures, in grey levels from 0 to 1
SHIFT = 1  # pixels by which a garment may move; more of them cost accuracy in a training as short as ours
DEFAULTS: Mapping[str, Value] = {"width": 32, "dropout": 0.0}


class Residual(nn.Module):
    """Two convolutions whose result is added to what went in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            Conv2dNormActivation(channels, channels, inplace=True),
            Conv2dNormActivation(channels, channels, inplace=True),
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the same shape."""
        changed: torch.Tensor = self.change(values)
        return values + changed


class FashionNetwork(nn.Module):
    """Raw grey levels, uint8 (rows, 28, 28), to the logits of ten classes."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Conv2dNormActivation(1, width, kernel_size=5, stride=2, inplace=True),
            Conv2dNormActivation(width, width, inplace=True),
            Conv2dNormActivation(width, 2 * width, stride=2, inplace=True),
            Residual(2 * width),
            Conv2dNormActivation(2 * width, 4 * width, stride=2, inplace=True),
            Residual(4 * width),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * width, 10))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (rows, 10)."""
        grey = functional.normalize_image(pictures.unsqueeze(1).float() / 255, [MEAN], [DEVIATION])
        logits: torch.Tensor = self.head(self.body(grey).amax(dim=(2, 3)))
        return logits


def build(options: Mapping[str, Value]) -> FashionNetwork:
    """Build the network; options: width of the first stage in channels (32), dropout before the last layer (0)."""
    strange = sorted(options.keys() - DEFAULTS.keys())
    if strange:
        raise UsageError(f"unknown network options {', '.join(strange)}: there are {', '.join(DEFAULTS)}")
    chosen = {**DEFAULTS, **options}
    width, dropout = chosen["width"], chosen["dropout"]
    if not isinstance(width, int) or width < 1:
        raise UsageError(f"network option width is {width!r}: expected a whole number of channels from 1")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise UsageError(f"network option dropout is {dropout!r}: expected 0 <= dropout < 1")
    return FashionNetwork(width=width, dropout=dropout)


def augment(features: tuple[torch.Tensor, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Mirror half of the pictures, and move each one by up to SHIFT pixels in both directions."""
    (pictures,) = features
    rows, height, width = pictures.shape
    mirrored = torch.rand(rows, 1, 1, generator=generator) < 0.5
    pictures = torch.where(mirrored, functional.horizontal_flip_image(pictures), pictures)
    padded = functional.pad_image(pictures, [SHIFT])
    down, right = torch.randint(0, 2 * SHIFT + 1, (2, rows, 1), generator=generator)
    lines = (down + torch.arange(height)).unsqueeze(2)
    columns = (right + torch.arange(width)).unsqueeze(1)
    return (padded[torch.arange(rows).reshape(-1, 1, 1), lines, columns],)
