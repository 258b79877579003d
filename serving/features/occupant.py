"""Occupant: a model whose requests may have to be completed before they join its queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from serving.batch import Held
from serving.batching import Batcher, OverloadError
from serving.features.completer import Completed, Completer
from serving.features.log import FeaturesLog, Given
from serving.features.plan import Plan
from serving.features.reader import ContextReader, PartialRequest, ServiceReader
from serving.features.source import Feed
from serving.metrics import ModelMetrics
from serving.protocol import PredictionRequest
from serving.slot import Occupant
from serving.standin import Told


class Reads:
    """The requests of one model that wait for the store."""

    def __init__(self, completer: Completer, log: FeaturesLog | None, metrics: ModelMetrics, most: int) -> None:
        self.completer = completer
        self.log = log
        self.metrics = metrics
        self.most = most
        self.waiting = 0
        self._at_rest: list[Callable[[], None]] = []
        metrics.watch_features(completer.views)

    def note(self, request: PartialRequest, completed: Completed) -> None:
        """Count what was found, and log it where that is wanted."""
        for view, statuses in completed.statuses.items():
            for status in set(statuses):
                self.metrics.features[view, status] += statuses.count(status)
        if self.log is not None and self.log.wants():
            self.log.put(_describe(request, completed))

    def when_at_rest(self, action: Callable[[], None]) -> None:
        """Do it as soon as nobody waits."""
        if self.waiting:
            self._at_rest.append(action)
        else:
            action()

    def ended(self) -> None:
        """One waits less."""
        self.waiting -= 1
        if not self.waiting:
            actions, self._at_rest = self._at_rest, []
            for action in actions:
                action()


class Completion:
    """One request on its way to the store and from there into the queue."""

    __slots__ = ("_done", "_gone", "_held", "_reads", "_request", "_submit")

    def __init__(
        self, request: PartialRequest, done: Told, reads: Reads, submit: Callable[[PredictionRequest, Told], Held]
    ) -> None:
        self._request = request
        self._done = done
        self._reads = reads
        self._submit = submit
        self._held: Held | None = None
        self._gone = False

    def start(self) -> Completion:
        """Ask the store."""
        request = self._request
        self._reads.waiting += 1
        self._reads.completer.find(request.entities, request.moments, request.rows, self._told)
        return self

    def leave(self) -> None:
        """Wait no more."""
        self._gone = True
        if self._held is not None:
            self._held.leave()

    def _told(self, completed: Completed) -> None:
        try:
            if not self._gone:
                self._go_on(completed)
        except Exception as fault:  # noqa: BLE001 - others share the store's answer: none may lose it by this request
            self._done(fault)
        finally:
            self._reads.ended()

    def _go_on(self, completed: Completed) -> None:
        request, reads = self._request, self._reads
        reads.note(request, completed)
        if completed.note is not None and completed.note.features == "degraded":
            reads.metrics.degraded += 1
        request.features = {**request.features, **completed.features}
        request.note = completed.note
        self._held = self._submit(request, self._done)


def _describe(request: PartialRequest, completed: Completed) -> Given:
    return Given(
        id=request.id,
        rows=request.rows,
        moments=completed.moments,
        keys=request.entities,
        given=request.features,
        features=completed.features,
        views=completed.statuses,
        context=completed.context,
    )


@dataclass(frozen=True, kw_only=True)
class CompletingOccupant(Occupant):
    """Completes the requests that lack features, and is an occupant in all else."""

    reads: Reads

    def admit(self) -> Batcher:
        """See Occupant; those that wait for the store will wait for the model next."""
        batcher = super().admit()
        waiting = self.reads.waiting
        if waiting and waiting + batcher.depth >= self.reads.most:
            raise OverloadError(
                f"{waiting} requests wait for features and {batcher.depth} for the model: expected fewer, so come back "
                "later or ask another replica",
                1,
            )
        return batcher

    def submit(self, request: PredictionRequest, done: Told) -> Held:
        """See Occupant."""
        if isinstance(request, PartialRequest):
            return Completion(request, done, self.reads, super().submit).start()
        return super().submit(request, done)

    def close(self) -> None:
        """Let go of the model's thread once those that wait for the store have joined its queue."""
        self.reads.when_at_rest(super().close)


@dataclass(frozen=True, kw_only=True)
class WatchingOccupant(Occupant):
    """Reads the context of requests that have keys, beside the model and not before it: no answer depends on it."""

    reads: Reads

    def submit(self, request: PredictionRequest, done: Told) -> Held:
        """See Occupant."""
        held = super().submit(request, done)
        if isinstance(request, PartialRequest) and self.reads.waiting < self.reads.most:
            self._look_up(request)
        return held

    def _look_up(self, request: PartialRequest) -> None:
        reads = self.reads

        def told(completed: Completed) -> None:
            reads.note(request, completed)
            reads.ended()

        reads.waiting += 1
        reads.completer.find(request.entities, request.moments, request.rows, told)


def seat(one: Occupant, plan: Plan, feed: Feed | None, *, most_rows: int, most_waiting: int) -> Occupant:
    """The occupant as one that reads both kinds of requests, and completes them where there is a store."""
    kept = {field.name: getattr(one, field.name) for field in fields(one)}
    reader = ServiceReader if plan.supplied else ContextReader
    kept["reader"] = reader(plan, one.model.outputs, most_rows, completes=feed is not None)
    if feed is None:
        return Occupant(**kept)
    reads = Reads(Completer(plan, feed.online), feed.log, one.metrics, most_waiting)
    return CompletingOccupant(**kept, reads=reads) if plan.supplied else WatchingOccupant(**kept, reads=reads)
