"""Slot: the model that answers under a name, and how the next one takes its place."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from serving.batching import Batcher
from serving.metrics import Metrics, ModelMetrics
from serving.model import ServedModel
from serving.options import Limits
from serving.protocol import RequestReader


@dataclass(frozen=True, kw_only=True)
class Occupant:
    """A model with its own reader of requests, its own queue and its own figures."""

    model: ServedModel
    reader: RequestReader
    batcher: Batcher
    metrics: ModelMetrics
    digest: bytes  # of the bundle, as it stands in a header
    classes: str  # their names as JSON text: a parameter of the protocol may be no list


class Slot:
    """Holds one occupant under a name, and other versions beside it that answer only when they are asked for.

    A request takes an occupant once and stays with it, so it never meets two models. Event loop only.
    """

    def __init__(self, model: ServedModel, limits: Limits, metrics: Metrics, *, follows: bool = False) -> None:
        self.name = model.name
        self.follows = follows  # its default model is the ledger's champion, and nobody else's choice
        self._limits = limits
        self._metrics = metrics
        self._occupant = self._seat(model)
        self._others: dict[str, Occupant] = {}

    @property
    def occupant(self) -> Occupant:
        """Who answers when no version is asked for."""
        return self._occupant

    @property
    def occupants(self) -> tuple[Occupant, ...]:
        """All versions that answer, the one that answers by default first."""
        return (self._occupant, *self._others.values())

    def find(self, version: str | None) -> Occupant | None:
        """The occupant of that version, by its digest or its short form; the default one for None."""
        return next((one for one in self.occupants if one.model.answers_to(version)), None)

    def swap(self, model: ServedModel) -> None:
        """Seat a model that is loaded and tried; the last one answers what it holds already."""
        leaving, self._occupant = self._occupant, self._seat(model)
        self._leave(leaving)

    def add(self, model: ServedModel) -> None:
        """Let a version answer beside the default one."""
        if self.find(model.digest) is None:
            self._others[model.digest] = self._seat(model)

    def remove(self, digest: str) -> bool:
        """Let a version beside the default one go; False if there is none of that digest."""
        leaving = self._others.pop(digest, None)
        if leaving is not None:
            self._leave(leaving)
        return leaving is not None

    def close(self) -> None:
        """Let go of the models' threads once they have answered what they hold."""
        for occupant in self.occupants:
            self._leave(occupant)

    def _leave(self, occupant: Occupant) -> None:
        occupant.batcher.close()
        self._metrics.model_left(occupant.metrics)

    def _seat(self, model: ServedModel) -> Occupant:
        metrics = self._metrics.model_came(model.name, model.version, model.digest, model.facts.classes)
        metrics.loaded(model.load_seconds)
        batcher = Batcher(
            model.predict,
            self._limits,
            metrics,
            batch_rows=min(model.pace.rows, self._limits.batch_rows),
            pace=model.pace.seconds_per_row,
        )
        metrics.watch_queue(lambda: batcher.depth)
        return Occupant(
            model=model,
            reader=RequestReader(model.facts.schema.features, model.outputs, self._limits.request_rows),
            batcher=batcher,
            metrics=metrics,
            digest=model.digest.encode(),
            classes=msgspec.json.encode(model.facts.classes).decode(),
        )
