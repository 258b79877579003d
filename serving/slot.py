"""Slot: the model that answers under a name, who stands in for it, and how the next one takes its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from serving.batch import Held
from serving.batching import Batcher, Watch
from serving.metrics import Metrics, ModelMetrics, Unwatched
from serving.model import VERSION_LENGTH, ServedModel
from serving.options import Limits
from serving.protocol import PredictionRequest, RequestReader
from serving.standin import LAST_GOOD, RULE, Lookout, Passage, Told, admit

if TYPE_CHECKING:
    from serving.features.source import FeatureSource


@dataclass(frozen=True, kw_only=True)
class Occupant:
    """A model with its own reader of requests, its own queue and its own figures."""

    model: ServedModel
    reader: RequestReader
    batcher: Batcher
    metrics: ModelMetrics
    digest: bytes  # of the bundle, as it stands in a header
    classes: str  # their names as JSON text: a parameter of the protocol may be no list
    fallback: str = ""  # what its answers are marked with: it stands in for another one
    asked: ModelMetrics | None = None  # whose figures tell of that, where the other one was never loaded
    stand_ins: tuple[Occupant, ...] = ()  # who answers in its place, the first one first
    lookout: Lookout | None = None  # None where nobody could answer in its place

    @property
    def title(self) -> str:
        """What the log calls it."""
        return " ".join(filter(None, (self.model.name, self.model.version, self.fallback)))

    @property
    def takes(self) -> bool:
        """Say whether a request can be handed to it, as far as is known."""
        return not self.batcher.closed if self.lookout is None else self.lookout.takes

    @property
    def stuck(self) -> bool:
        """Say whether it hangs, and nobody answers in its place."""
        return self.batcher.stuck() and not any(one.takes for one in self.stand_ins)

    def gives(self, request: PredictionRequest) -> bool:
        """Say whether it has any of the outputs that are asked for."""
        return not {output.name for output in request.outputs}.isdisjoint(spec.name for spec in self.model.outputs)

    def admit(self) -> Batcher:
        """The queue that a request would join that comes now; OverloadError where it would not be answered in time."""
        if self.lookout is not None and self.lookout.late:
            return admit((self, *self.stand_ins))
        self.batcher.admit()
        return self.batcher

    def submit(self, request: PredictionRequest, done: Told) -> Held:
        """Have the request answered, here or by who stands in; `done` is told once, and must not raise."""
        if self.stand_ins:
            return Passage((self, *self.stand_ins), request, done).start()
        return self.batcher.submit(request.features, request.rows, done)

    def close(self) -> None:
        """Let go of the model's thread once it has answered what it holds."""
        self.batcher.close()


class Slot:
    """Holds one occupant under a name, and other versions beside it that answer only when they are asked for.

    A request takes an occupant once and stays with it, so it never meets two models, unless one stands in for another;
    then the answer says so. Event loop only.
    """

    def __init__(
        self,
        model: ServedModel,
        limits: Limits,
        metrics: Metrics,
        *,
        follows: bool = False,
        stands_in_for: str = "",  # the digest of the champion, where that one cannot be loaded
        features: FeatureSource | None = None,
    ) -> None:
        self.name = model.name
        self.follows = follows  # its default model is the ledger's champion, and nobody else's choice
        self._limits = limits
        self._metrics = metrics
        self._features = features
        self._last_good: Occupant | None = None  # with its rule, for the requests that it still holds
        self._occupant = self._seat(model, fallback=LAST_GOOD if stands_in_for else "")
        self._others: dict[str, Occupant] = {}
        self.stand_in_for(stands_in_for)

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
        if version is None:
            return self._occupant
        return next((one for one in self.occupants if one.model.answers_to(version)), None)

    def swap(self, model: ServedModel) -> None:
        """Seat a model that is loaded and tried; the last one answers what it holds already, and may then stand in."""
        before = [one for one in (self._occupant, self._last_good) if one is not None]
        good = next((one for one in before if self._can_stand_in(one, model)), None)
        # First, as the next one may be of the same bundle as an old one, and then has its figures.
        self._metrics.model_left(self._occupant.metrics)
        for one in before:
            if one is not good:
                _close(one)
        self._last_good = None if good is None else replace(good, stand_ins=_own_rule(good))
        self._occupant = self._seat(model)

    def vouch(self) -> None:
        """The one that stood in at the start is the champion by now."""
        if self._occupant.fallback:
            self._occupant = replace(self._occupant, fallback="", asked=None)

    def stand_in_for(self, champion: str) -> None:
        """Count the marked answers under this champion, which cannot be loaded; nothing for one that is unmarked."""
        known = self._occupant.asked
        if self._occupant.fallback and (known is None or known.bundle != champion):
            asked = self._metrics.model_missed(self.name, champion[:VERSION_LENGTH], champion)
            for one in (LAST_GOOD, RULE):
                asked.fallbacks.setdefault(one, 0)  # an alert on its increase sees the first one
            self._occupant = replace(self._occupant, asked=asked)

    def add(self, model: ServedModel) -> None:
        """Let a version answer beside the default one."""
        if self.find(model.digest) is None:
            self._others[model.digest] = self._seat(model, beside=True)

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
        if self._last_good is not None:
            _close(self._last_good)

    def _leave(self, occupant: Occupant) -> None:
        _close(occupant)
        self._metrics.model_left(occupant.metrics)

    def _can_stand_in(self, one: Occupant, model: ServedModel) -> bool:
        """Say whether it may answer in the place of a model that declares a fallback: it is another one, reads the same
        requests, means the same classes, has answered well before, and does not hang.
        """
        known, facts = one.model.facts, model.facts
        return (
            facts.fallback
            and one.model.digest != model.digest
            and (known.schema.features, known.classes) == (facts.schema.features, facts.classes)
            and one.batcher.proven
            and one.batcher.running_seconds < self._limits.fallback_seconds
        )

    def _seat(self, model: ServedModel, *, fallback: str = "", beside: bool = False) -> Occupant:
        metrics = self._metrics.model_came(model.name, model.version, model.digest, model.facts.classes)
        metrics.loaded(model.load_seconds)
        alone = self._complete(self._make(model, metrics, metrics, fallback))
        metrics.watch_queue(lambda: alone.batcher.depth)
        if model.rule is None:
            return alone
        # What the rule answers is left out of the model's figures: its decisions and confidence are not the model's.
        stand_ins = [self._make(model.rule, metrics, Unwatched(), RULE)]
        if self._last_good is not None and not beside:  # who asks for a version gets no other one
            last = self._last_good
            stand_ins.insert(0, replace(self._watch_over(last), fallback=LAST_GOOD, stand_ins=()))
        for one in (LAST_GOOD, RULE):
            metrics.fallbacks.setdefault(one, 0)  # an alert on its increase sees the first one
        return replace(self._watch_over(alone), stand_ins=tuple(stand_ins))

    def _complete(self, one: Occupant) -> Occupant:
        """The occupant, made to take requests without the features that its service supplies."""
        plan = one.model.plan
        if plan is None:
            return one
        from serving.features.occupant import seat  # only models with a service need it

        feed = None if self._features is None else self._features.feed
        limits = self._limits
        one = replace(one, model=replace(one.model, completes=feed is not None))
        return seat(one, plan, feed, most_rows=limits.request_rows, most_waiting=limits.waiting_requests)

    def _watch_over(self, one: Occupant) -> Occupant:
        lookout = one.lookout or Lookout(one.batcher, self._limits.fallback_seconds, one.title)
        return replace(one, lookout=lookout)

    def _make(self, model: ServedModel, metrics: ModelMetrics, watch: Watch, fallback: str) -> Occupant:
        batcher = Batcher(
            model.predict,
            self._limits,
            watch,
            batch_rows=min(model.pace.rows, self._limits.batch_rows),
            pace=model.pace.seconds_per_row,
        )
        return Occupant(
            model=model,
            reader=RequestReader(model.facts.schema.features, model.outputs, self._limits.request_rows),
            batcher=batcher,
            metrics=metrics,
            digest=model.digest.encode(),
            classes=msgspec.json.encode(model.facts.classes).decode(),
            fallback=fallback,
        )


def _close(occupant: Occupant) -> None:
    for one in (occupant, *_own_rule(occupant)):
        one.close()


def _own_rule(occupant: Occupant) -> tuple[Occupant, ...]:
    """Who stands in for it and comes from its own bundle: the last good model may stand in for the next one too."""
    return tuple(one for one in occupant.stand_ins if one.fallback == RULE)
