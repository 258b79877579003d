"""The year's flights told a second time: the raw files read with the csv module, every instant by plain Python.

Nothing here comes from the code under test. A landing is found another way than there: by the clock of arrival, from
the departure and the time in the air.
"""

from __future__ import annotations

import csv
import io
import zipfile
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc

NEW_YORK = "America/New_York"
MINUTE = timedelta(minutes=1)
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Flight:
    name: str
    carrier: str
    origin: str
    dest: str
    tail: str | None
    day: date
    scheduled: datetime
    departed: datetime | None
    landed: datetime | None
    delay: int | None

    @property
    def asked(self) -> datetime:
        return self.scheduled - timedelta(hours=2)


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    """The lines of a CSV file of the package, packed or not."""
    packed = folder / f"{name}.csv.zip"
    if packed.exists():
        with zipfile.ZipFile(packed) as archive:
            text = archive.read(f"{name}.csv").decode()
    else:
        text = (folder / f"{name}.csv").read_text()
    return list(csv.DictReader(io.StringIO(text)))


@lru_cache(None)
def instant(day: date, clock: int, zone: str) -> datetime:
    day += timedelta(days=clock // 2400)
    return datetime(day.year, day.month, day.day, clock // 100 % 24, clock % 100, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def flights_of(folder: Path) -> list[Flight]:
    zones = {row["faa"]: row["tzone"] for row in rows_of(folder, "airports")}
    zones |= dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
    return [_flight(row, zones[row["dest"]]) for row in rows_of(folder, "flights")]


def _flight(row: dict[str, str], zone: str) -> Flight:
    day = date(int(row["year"]), int(row["month"]), int(row["day"]))
    scheduled = instant(day, int(row["sched_dep_time"]), NEW_YORK)
    departed = None if row["dep_delay"] == "NA" else scheduled + int(row["dep_delay"]) * MINUTE
    landed = None
    if departed and row["arr_delay"] != "NA":
        earliest = departed + int(row["air_time"]) * MINUTE
        clock = int(row["arr_time"])
        near = earliest.date() - timedelta(days=1)  # no zone there is more than a day behind
        landed = next(found for n in range(4) if (found := instant(near + timedelta(days=n), clock, zone)) >= earliest)
    return Flight(
        name=f"{day}-{row['carrier']}{row['flight']}-{row['origin']}",
        carrier=row["carrier"],
        origin=row["origin"],
        dest=row["dest"],
        tail=None if row["tailnum"] == "NA" else row["tailnum"],
        day=day,
        scheduled=scheduled,
        departed=departed,
        landed=landed,
        delay=None if landed is None else int(row["arr_delay"]),
    )


class Latest:
    """A table by key: the row that is known at a moment."""

    def __init__(self, table, keys):
        self.values = table.drop_columns([*keys, "event_timestamp"]).combine_chunks()
        self.stamps = table["event_timestamp"].to_numpy().astype("int64")
        names = pc.binary_join_element_wise(*(table[name] for name in keys), "/").combine_chunks().dictionary_encode()
        codes = names.indices.to_numpy()
        order = np.argsort(codes, kind="stable")  # the rows of a key stay in order of time
        ends = np.cumsum(np.bincount(codes, minlength=len(names.dictionary)))
        self.rows = dict(zip(names.dictionary.to_pylist(), np.split(order, ends[:-1]), strict=True))

    def at(self, key: tuple[str, ...], moment: datetime) -> dict[str, object] | None:
        rows = self.rows.get("/".join(key), np.zeros(0, int))
        place = bisect_right(self.stamps[rows], microseconds(moment))
        return self.values.slice(rows[place - 1], 1).to_pylist()[0] if place else None


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
