"""Figures: what is counted of the online store, which all models of a process share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from serving.tally import Histogram

SECONDS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class StoreFigures:
    """Added to on the event loop, and told when the metrics are read."""

    def __init__(self) -> None:
        self.seconds = Histogram(SECONDS)
        self.outcomes: Counter[str] = Counter(answered=0, failed=0, refused=0)
        self.garbage = 0
        self.logged: Counter[str] = Counter(written=0, dropped=0)  # the log's own thread adds to `written`
        self._is_open: Callable[[], bool] = lambda: False
        self._kept: Callable[[], int] = lambda: 0

    def watch(self, is_open: Callable[[], bool], kept: Callable[[], int]) -> None:
        """Ask these whenever the metrics are read."""
        self._is_open, self._kept = is_open, kept

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        about = "From asking the online store to its answer, or to the end of our patience."
        seconds = HistogramMetricFamily("noria_online_read_seconds", about, labels=())
        self.seconds.add_to(seconds, ())
        yield seconds
        reads = CounterMetricFamily(
            "noria_online_reads",
            "Requests for features, by outcome; refused while the breaker is open.",
            None,
            ["outcome"],
        )
        for outcome, count in self.outcomes.items():
            reads.add_metric((outcome,), count)
        yield reads
        garbage = CounterMetricFamily("noria_online_unusable_rows", "Rows of the store that could not be used.")
        garbage.add_metric((), self.garbage)
        yield garbage
        lines = CounterMetricFamily("noria_features_log_rows", "Rows for the features log.", None, ["outcome"])
        for outcome, count in list(self.logged.items()):
            lines.add_metric((outcome,), count)
        yield lines
        for name, text, value in (
            ("noria_online_breaker_open", "1 while the online store is not asked.", float(self._is_open())),
            ("noria_online_remembered_rows", "Rows that are known should the store fail.", float(self._kept())),
        ):
            gauge = GaugeMetricFamily(name, text)
            gauge.add_metric((), value)
            yield gauge
