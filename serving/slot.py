"""Slot: the place of the model that answers now, and how the next one takes it."""

from __future__ import annotations

from dataclasses import dataclass

from serving.batching import Batcher
from serving.metrics import Metrics
from serving.model import ServedModel
from serving.options import Limits
from serving.protocol import RequestReader


@dataclass(frozen=True, kw_only=True)
class Occupant:
    """A model with its own reader of requests and its own queue."""

    model: ServedModel
    reader: RequestReader
    batcher: Batcher


class Slot:
    """Holds one occupant. A request takes the occupant once and stays with it, so it never meets two models."""

    def __init__(self, model: ServedModel, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._occupant = self._seat(model)
        self.draining = False

    @property
    def occupant(self) -> Occupant:
        return self._occupant

    @property
    def ready(self) -> bool:
        """Say whether new requests should come here."""
        return not self.draining

    def swap(self, model: ServedModel) -> None:
        """Seat a model that is loaded and tried; the last one answers what it holds already. Event loop only."""
        leaving = self._occupant
        self._occupant = self._seat(model)
        leaving.batcher.close()

    def close(self) -> None:
        """Let go of the model's thread once it has answered what it holds."""
        self._occupant.batcher.close()

    def _seat(self, model: ServedModel) -> Occupant:
        self._metrics.name_model(model.name, model.digest)
        self._metrics.count_load("served")
        return Occupant(
            model=model,
            reader=RequestReader(model.facts.schema.features, self._limits.request_rows),
            batcher=Batcher(model.predict, self._limits, self._metrics),
        )
