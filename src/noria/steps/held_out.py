"""Held out: rows that a bundle was not trained on, with its own offline answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.ml.bundle import Bundle
from noria.ml.decision import decide
from noria.ml.inference import Session, predict
from noria.ml.splits import split_columns, split_rows
from noria.steps.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Features by name, (rows, …); the bundle's probabilities, (rows, classes), and its decisions, (rows,).

    `there` is how many rows the holdout has: where that is fewer, these are the same ones over and over.
    """

    features: Mapping[str, NDArray[Any]]
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.int64]
    there: int

    def describe(self) -> str:
        """How many rows these are, and of how few where the holdout has fewer."""
        few = f", over and over the {self.there} that the holdout has" if self.there < len(self) else ""
        return f"{len(self)} rows{few}"

    def __len__(self) -> int:
        return len(self.decisions)

    def row(self, place: int) -> Mapping[str, NDArray[Any]]:
        """The features of one row, as a request takes them."""
        return {name: values[place : place + 1] for name, values in self.features.items()}


def hold_out(
    workspace: Workspace, candidate: Bundle, *, uri: str, validation_days: int, holdout_days: int, count: int
) -> HeldOut:
    """The first `count` rows of the dataset's holdout, over and over where it has fewer."""
    schema = candidate.facts.schema
    dataset = workspace.fetch_dataset(uri)
    rows = dataset.load([*split_columns(dataset.schema), *(column.name for column in schema.features)])
    split = split_rows(dataset.schema, rows, validation_days=validation_days, holdout_days=holdout_days)
    asked = split.holdout[np.arange(count) % len(split.holdout)]
    features = {column.name: rows[column.name][asked] for column in schema.features}
    expected = predict(Session.load(candidate.model, threads=1), features)
    decisions = decide(expected, candidate.facts.costs)
    return HeldOut(features=features, probabilities=expected, decisions=decisions, there=len(split.holdout))
