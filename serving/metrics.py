"""Metrics: what the predictor counts, in Prometheus' terms."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The predictor's metrics, in the registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "noria_requests",
            "Requests answered, by endpoint and HTTP status.",
            ["endpoint", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "noria_request_seconds",
            "Time from the first byte of a request to its answer.",
            ["endpoint"],
            buckets=SECONDS,
            registry=registry,
        )
        self._model = Gauge(
            "noria_model_info", "1 for the bundle that answers now.", ["model", "bundle"], registry=registry
        )
        self._loads = Counter(
            "noria_model_loads", "Bundles that were to be served, by outcome.", ["outcome"], registry=registry
        )
        self.in_flight = Gauge("noria_in_flight_requests", "Requests being answered now.", registry=registry)
        self.waiting = Gauge("noria_waiting_requests", "Requests that wait for the model.", registry=registry)
        self.batch_rows = Histogram("noria_batch_rows", "Rows run together.", buckets=ROWS, registry=registry)
        self.stale = Gauge(
            "noria_champion_refused", "1 while the ledger's champion cannot be served.", registry=registry
        )
        self.ledger_faults = Counter(
            "noria_ledger_faults", "Looks at the ledger or the object store that failed.", registry=registry
        )
        # Children made beforehand show as 0, so that an alert on their increase sees the first one.
        for outcome in ("served", "refused"):
            self._loads.labels(outcome)

    def count_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def count_load(self, outcome: str) -> None:
        """Count a bundle that was `served`, or `refused`."""
        self._loads.labels(outcome).inc()

    def name_model(self, model: str, bundle: str) -> None:
        """Say which bundle answers now."""
        self._model.clear()
        self._model.labels(model, bundle).set(1)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


def make_metrics() -> Metrics:
    """Metrics in a registry of their own."""
    return Metrics(CollectorRegistry())
