"""Weighting: let rare classes count in the training as much as frequent ones, and keep the probabilities true."""

from __future__ import annotations

import torch


def class_weights(labels: torch.Tensor, classes: int, how: str) -> torch.Tensor | None:
    """The weight of a row of each class in the loss, (classes,); None where all rows count the same.

    "balanced" gives the rows of each class the same weight in all, and a row 1 on average. A class without rows gets 1.
    """
    if how == "none":
        return None
    rows = torch.bincount(labels, minlength=classes)
    present = int((rows > 0).sum())
    return torch.where(rows > 0, len(labels) / (present * rows.clamp(min=1)), 1.0).float()


class Unweighted(torch.nn.Module):
    """A network that learned with weights, as one that tells the probabilities of the rows as they are.

    Weights multiply the odds that a network learns by their ratio, as if there were as many rows more of a class: so
    the logarithm of its weight is taken from the logit of each class (Elkan, 2001, The Foundations of Cost-Sensitive
    Learning, theorem 2; Saerens, Latinne, Decaestecker, 2002).
    """

    shift: torch.Tensor  # (classes,)

    def __init__(self, network: torch.nn.Module, weights: torch.Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("shift", weights.log())

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (rows, classes)."""
        logits: torch.Tensor = self.network(*features).float() - self.shift
        return logits


def unweight(network: torch.nn.Module, weights: torch.Tensor | None) -> torch.nn.Module:
    """The network that tells true probabilities; itself where nothing was weighted."""
    return network if weights is None else Unweighted(network, weights)
