"""Metrics: what the predictor counts, in Prometheus' terms."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.features.note import STATUSES
from serving.tally import Histogram

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
# Each bound about twice the last one, from a fifth of a millisecond: what a native histogram would have, made fixed.
SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CONFIDENCES = np.linspace(0.1, 1.0, 10)
BOUNDS = tuple(round(bound, 1) for bound in CONFIDENCES.tolist())
UNREAD = 32  # batches whose outputs are held until they are counted together
KEPT = 16  # models that have left and are still told, so that a scrape after a swap misses nothing


class ModelMetrics:
    """The figures of one version of one model. What the worker's thread adds to, the event loop only reads."""

    def __init__(self, model: str, version: str, bundle: str, classes: tuple[str, ...]) -> None:
        self.model, self.version, self.bundle, self.classes = model, version, bundle, classes
        self.serving = True
        self.load_seconds = 0.0
        self.depth: Callable[[], int] = lambda: 0
        self.requests: Counter[tuple[str, int]] = Counter()  # by protocol and status
        self.refused: Counter[str] = Counter()  # by what was wrong with the input
        self.fallbacks: Counter[str] = Counter()  # by who answered instead
        self.features: Counter[tuple[str, str]] = Counter()  # rows of completed requests, by view and status
        self.degraded = 0  # completed requests for which the store failed
        self.seconds: dict[str, Histogram] = {}  # by protocol
        self.queue_seconds = Histogram(SECONDS)
        self.run_seconds = Histogram(SECONDS)
        self.batch_rows = Histogram(ROWS)
        self._predictions: NDArray[np.int64] = np.zeros(len(classes), np.int64)
        self._confidences: NDArray[np.int64] = np.zeros(len(CONFIDENCES) + 1, np.int64)
        self._confidence_sum = 0.0
        self._unread: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._lock = Lock()

    def answered(self, protocol: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests[protocol, status] += 1
        histogram = self.seconds.get(protocol)
        if histogram is None:
            histogram = self.seconds[protocol] = Histogram(SECONDS)
        histogram.observe(seconds)

    def loaded(self, seconds: float) -> None:
        """Note how long it took to load and try the model."""
        self.load_seconds = seconds

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Ask `depth` for the requests that wait, whenever the metrics are read."""
        self.depth = depth

    def watch_features(self, views: Iterable[str]) -> None:
        """Have these views stand in the figures from the start, so that an alert sees the first increase."""
        for view in views:
            for status in STATUSES:
                self.features.setdefault((view, status), 0)

    def waited(self, seconds: float) -> None:
        """Note how long a request waited for its turn."""
        self.queue_seconds.observe(seconds)

    def ran(self, outputs: Mapping[str, NDArray[Any]], rows: int, seconds: float) -> None:
        """Note a batch and what came of it; on the worker's thread, after its answers are on their way."""
        self.batch_rows.observe(rows)
        self.run_seconds.observe(seconds)
        with self._lock:
            self._unread.append((outputs["label"], outputs["probabilities"]))  # further outputs may be large
            if len(self._unread) >= UNREAD:
                self._read()

    def told(self) -> tuple[list[int], Histogram]:
        """How many rows were decided for each class, and how sure the model was of them."""
        with self._lock:
            self._read()
            confidence = Histogram(BOUNDS)
            confidence.counts, confidence.sum = self._confidences.tolist(), self._confidence_sum
            return self._predictions.tolist(), confidence

    def _read(self) -> None:
        """Count what has run since: numpy takes little longer for many batches at once than for one."""
        if not self._unread:
            return
        labels = np.concatenate([labels for labels, _ in self._unread])
        confidence = np.concatenate([probabilities.max(axis=1) for _, probabilities in self._unread])
        self._unread.clear()
        self._predictions += np.bincount(labels, minlength=len(self.classes))
        places = CONFIDENCES.searchsorted(confidence)
        self._confidences += np.bincount(places, minlength=len(self._confidences))
        self._confidence_sum += float(confidence.sum())


class Unwatched:
    """Takes no figures, of what answers in a model's place and is none itself."""

    def waited(self, seconds: float) -> None:
        """See ModelMetrics."""

    def ran(self, outputs: Mapping[str, NDArray[Any]], rows: int, seconds: float) -> None:
        """See ModelMetrics."""


class Metrics(Collector):
    """All figures of the process, in the registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._models: list[ModelMetrics] = []
        self._gone: deque[ModelMetrics] = deque(maxlen=KEPT)
        self._missed: deque[ModelMetrics] = deque(maxlen=KEPT)
        self.other_requests: Counter[tuple[str, int]] = Counter()  # by endpoint and status, those that name no model
        # Outcomes made beforehand show as 0, so that an alert on their increase sees the first one.
        self.loads: Counter[str] = Counter(served=0, refused=0)
        self.ledger_faults = 0
        self.stale = False
        self.online: Callable[[], Iterable[Metric]] = tuple
        self.in_flight: Callable[[], int] = lambda: 0
        self.connections: Callable[[], int] = lambda: 0
        registry.register(self)

    def model_came(self, model: str, version: str, bundle: str, classes: tuple[str, ...]) -> ModelMetrics:
        """Make the figures of a model that answers from now on."""
        metrics = _find(self._gone, model, bundle)
        if metrics is None:
            metrics = ModelMetrics(model, version, bundle, classes)
        else:
            self._gone.remove(metrics)  # it comes back, as after a rollback: its counts go on
            metrics.serving = True
        if (missed := _find(self._missed, model, bundle)) is not None:
            self._missed.remove(missed)
            metrics.fallbacks = missed.fallbacks  # the very same: who stood in may still have requests to count
        self._models.append(metrics)
        self.loads["served"] += 1
        return metrics

    def model_missed(self, model: str, version: str, bundle: str) -> ModelMetrics:
        """The figures of a bundle that is asked for and cannot be loaded: they tell who answered in its place."""
        metrics = _find((*self._models, *self._gone, *self._missed), model, bundle)
        if metrics is None:
            metrics = ModelMetrics(model, version, bundle, ())
            self._missed.append(metrics)
        return metrics

    def model_left(self, metrics: ModelMetrics) -> None:
        """Note that a model answers no more."""
        if metrics.serving:
            metrics.serving = False
            metrics.watch_queue(lambda: 0)  # or the figures would hold the model in memory
            self._models.remove(metrics)
            self._gone.append(metrics)

    def count_load(self, outcome: str) -> None:
        """Count a bundle that was `refused`; one that is served is counted when it comes."""
        self.loads[outcome] += 1

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the families; Prometheus' registry calls this."""
        models = (*self._models, *self._gone)
        yield from self._of_process()
        yield from _of_requests((*models, *self._missed), self.other_requests)
        yield from _of_batches(models)
        yield from _of_predictions(models)
        yield from _of_loading(self._models)
        yield from _of_features(models)
        yield from self.online()

    def _of_process(self) -> Iterator[Metric]:
        yield _gauge("noria_in_flight_requests", "Requests being answered now.", self.in_flight())
        yield _gauge("noria_connections", "Connections that are open.", self.connections())
        yield _gauge("noria_champion_refused", "1 while the ledger's champion cannot be served.", self.stale)
        faults = CounterMetricFamily("noria_ledger_faults", "Looks at the ledger or the object store that failed.")
        faults.add_metric((), self.ledger_faults)
        yield faults
        loads = CounterMetricFamily(
            "noria_model_loads", "Bundles that were to be served, by outcome.", None, ["outcome"]
        )
        for outcome, count in self.loads.items():
            loads.add_metric((outcome,), count)
        yield loads


def _find(among: Iterable[ModelMetrics], model: str, bundle: str) -> ModelMetrics | None:
    return next((one for one in among if (one.model, one.bundle) == (model, bundle)), None)


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric((), value)
    return family


MODEL = ("model", "version")


def _of_requests(models: tuple[ModelMetrics, ...], others: Mapping[tuple[str, int], int]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "noria_requests", "Requests answered, by status.", None, [*MODEL, "protocol", "code"]
    )
    seconds = HistogramMetricFamily(
        "noria_request_seconds", "From a request's first byte to its answer.", labels=[*MODEL, "protocol"]
    )
    refused = CounterMetricFamily(
        "noria_refused_inputs", "Requests whose input was refused, by kind.", None, [*MODEL, "kind"]
    )
    fallbacks = CounterMetricFamily(
        "noria_fallbacks", "Requests that another than the model answered.", None, [*MODEL, "by"]
    )
    for (endpoint, code), count in list(others.items()):
        requests.add_metric(("", "", endpoint, str(code)), count)
    for one in models:
        names = (one.model, one.version)
        for (protocol, code), count in list(one.requests.items()):
            requests.add_metric((*names, protocol, str(code)), count)
        for protocol, histogram in list(one.seconds.items()):
            histogram.add_to(seconds, (*names, protocol))
        for kind, count in list(one.refused.items()):
            refused.add_metric((*names, kind), count)
        for by, count in list(one.fallbacks.items()):
            fallbacks.add_metric((*names, by), count)
    yield from (requests, seconds, refused, fallbacks)


def _of_batches(models: tuple[ModelMetrics, ...]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("noria_waiting_requests", "Requests that wait for the model.", None, MODEL)
    queue = HistogramMetricFamily("noria_queue_seconds", "What requests waited for the model.", labels=MODEL)
    runs = HistogramMetricFamily("noria_run_seconds", "What the model took for a batch.", labels=MODEL)
    rows = HistogramMetricFamily("noria_batch_rows", "Rows run together.", labels=MODEL)
    for one in models:
        names = (one.model, one.version)
        if one.serving:
            waiting.add_metric(names, one.depth())
        one.queue_seconds.add_to(queue, names)
        one.run_seconds.add_to(runs, names)
        one.batch_rows.add_to(rows, names)
    yield from (waiting, queue, runs, rows)


def _of_predictions(models: tuple[ModelMetrics, ...]) -> Iterator[Metric]:
    classes = CounterMetricFamily("noria_predictions", "Rows answered, by decision.", None, [*MODEL, "class"])
    confidence = HistogramMetricFamily(
        "noria_confidence", "The largest probability of each row answered.", labels=MODEL
    )
    for one in models:
        names = (one.model, one.version)
        counts, histogram = one.told()
        for name, count in zip(one.classes, counts, strict=True):
            classes.add_metric((*names, name), count)
        histogram.add_to(confidence, names)
    yield from (classes, confidence)


def _of_loading(models: list[ModelMetrics]) -> Iterator[Metric]:
    info = GaugeMetricFamily("noria_model_info", "1 for each bundle that answers now.", None, [*MODEL, "bundle"])
    seconds = GaugeMetricFamily("noria_model_load_seconds", "What it took to load and try the model.", None, MODEL)
    for one in models:
        info.add_metric((one.model, one.version, one.bundle), 1)
        seconds.add_metric((one.model, one.version), one.load_seconds)
    yield from (info, seconds)


def _of_features(models: tuple[ModelMetrics, ...]) -> Iterator[Metric]:
    reads = CounterMetricFamily(
        "noria_feature_rows", "Rows of completed requests, by view and status.", None, [*MODEL, "view", "status"]
    )
    degraded = CounterMetricFamily("noria_degraded_answers", "Requests for which the online store failed.", None, MODEL)
    for one in models:
        if one.features:
            degraded.add_metric((one.model, one.version), one.degraded)
        for (view, status), count in one.features.items():
            reads.add_metric((one.model, one.version, view, status), count)
    yield from (reads, degraded)


def make_metrics() -> Metrics:
    """Metrics in a registry of their own, with those of the process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return Metrics(registry)
