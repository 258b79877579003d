"""Fashion network: a small residual network for grey pictures of 28 × 28, and how its training pictures are varied."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.functional import adaptive_max_pool2d

from noria.task import Value
from noria.tasks.fashion_options import read_options
from noria.tasks.vision import ensure_torchvision

ensure_torchvision()  # before the names below, which it makes importable

from torchvision.ops.misc import Conv2dNormActivation  # noqa: E402
from torchvision.transforms.v2.functional import normalize_image, pad_image  # noqa: E402

MEAN, DEVIATION = 0.2860, 0.3530  # of the 60,000 training pictures, in grey levels from 0 to 1
SHIFT = 1  # pixels by which a garment may move; more of them cost accuracy in a training as short as ours


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
        grey = normalize_image(pictures.unsqueeze(1).float() / 255, [MEAN], [DEVIATION])
        found = self.body(grey)
        # They give the same. The gradient of amax takes ten times as long, and is the one that repeats on a GPU.
        strongest = adaptive_max_pool2d(found, 1).flatten(1) if found.device.type == "cpu" else found.amax(dim=(2, 3))
        logits: torch.Tensor = self.head(strongest)
        return logits


def build(options: Mapping[str, Value]) -> FashionNetwork:
    """Build the network; the options are those of `FashionOptions`."""
    chosen = read_options(options)
    return FashionNetwork(width=chosen.width, dropout=chosen.dropout)


def augment(features: tuple[torch.Tensor, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Mirror half of the pictures, and move each one by up to SHIFT pixels in both directions."""
    (pictures,) = features
    rows, height, width = pictures.shape
    mirrored = torch.rand(rows, 1, generator=generator) < 0.5
    down, right = torch.randint(0, 2 * SHIFT + 1, (2, rows, 1), generator=generator)
    padded = pad_image(pictures, [SHIFT])
    lines = down + torch.arange(height)
    columns = right + torch.arange(width)
    columns = torch.where(mirrored, padded.shape[2] - 1 - columns, columns)
    # one place in the padded picture for each pixel: a gather is three times as fast as an index of three tensors
    places = (lines * padded.shape[2]).unsqueeze(2) + columns.unsqueeze(1)
    return (padded.flatten(1).gather(1, places.flatten(1)).reshape(pictures.shape),)
