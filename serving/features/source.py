"""Source: the online store and the features log that the options name, made when the first model wants them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from prometheus_client.core import Metric

from serving.features.figures import StoreFigures
from serving.features.log import FeaturesLog
from serving.features.online import Online, open_reader
from serving.features.options import OnlineOptions


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What completes requests: the store, and the log of what it gave, if there is one."""

    online: Online
    log: FeaturesLog | None


class FeatureSource:
    """Makes the feed once; what is wrong with the options is a UsageError now, and later nothing is."""

    def __init__(self, options: OnlineOptions) -> None:
        self._options = options
        self._figures = StoreFigures()
        self._connect = open_reader(options.address, options.password_file, options.seconds)
        self._log = (
            FeaturesLog(options.log, share=options.log_share, most_bytes=options.log_bytes, figures=self._figures)
            if options.log is not None
            else None
        )

    @cached_property
    def feed(self) -> Feed:
        """The store and the log; on the event loop."""
        online = Online(self._connect(), self._options.memory_rows, self._figures)
        online.warm_up()
        return Feed(online=online, log=self._log)

    def collect(self) -> Iterator[Metric]:
        """What is counted of them."""
        return self._figures.collect()

    def close(self) -> None:
        """Read and write no more, once what has been logged is written."""
        if "feed" in vars(self):  # it was wanted
            self.feed.online.close()
        if self._log is not None:
            self._log.close()
