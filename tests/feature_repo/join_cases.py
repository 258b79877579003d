"""Cases: labels, feature rows and what is asked for; each is put to every store and to the brute-force answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pandas as pd
from as_of import Wanted
from feasts import TRIPS_TTL, WEATHER_TTL, fares_rows, rates_rows, trips_rows, weather_rows

NOON = pd.Timestamp("2026-03-01 12:00", tz="UTC")
EARLY = NOON - timedelta(days=30)
MICROSECOND = timedelta(microseconds=1)


def hours(count: float) -> pd.Timestamp:
    """So many hours after noon."""
    return (NOON + timedelta(hours=count)).as_unit("us")


@dataclass(frozen=True, kw_only=True)
class Case:
    labels: pd.DataFrame
    files: Mapping[str, pd.DataFrame]
    ask: Any  # references, or the name of a service
    wanted: tuple[Wanted, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        return [*self.labels.columns, *(name for view in self.wanted for name in view.features)]


def labels(*rows: tuple[Any, ...], names: str = "driver event_timestamp label") -> pd.DataFrame:
    return pd.DataFrame(rows, columns=names.split())


def trips(rows: pd.DataFrame, *features: str, key: str = "driver", prefix: str = "") -> Wanted:
    return Wanted(rows=rows, keys={key: "driver"}, features={prefix + name: name for name in features}, ttl=TRIPS_TTL)


def one_view(rows: list[tuple[Any, ...]], asked: pd.DataFrame, **options: Any) -> Case:
    """Labels of drivers, and the view `trips` alone."""
    table = trips_rows(rows)
    return Case(
        labels=asked,
        files={"trips": table},
        ask=["trips:trips", "trips:rating"],
        wanted=(trips(table, "trips", "rating"),),
        options=options,
    )


def several_views() -> dict[str, Case]:
    history = trips_rows([(1, hours(-1), hours(-1), 10, 1.0), (2, hours(-3), hours(-3), 20, 2.0)])
    fares = fares_rows([
        (1, "a", hours(-5), EARLY, 5.0), (1, "b", hours(-4), EARLY, 6.0), (2, "a", hours(-9), EARLY, 7.0),
        (1, "a", hours(-2), EARLY, 8.0),
    ])  # fmt: skip
    weather = weather_rows([(1, hours(-20), -3.0, 0.1), (2, hours(-30), 4.0, 0.2), (2, hours(1), 9.0, 0.3)])
    rates = rates_rows([(hours(-100), 0.5), (hours(-1), 0.75)])
    both = "driver customer event_timestamp"
    two_keys = labels((1, "a", NOON), (1, "b", NOON), (2, "b", NOON), (1, "a", hours(-3)), (2, "a", NOON), names=both)
    fare = Wanted(rows=fares, keys={"driver": "driver", "customer": "customer"}, features={"fare": "fare"})
    drivers = labels((1, NOON, 0.0), (2, NOON, 1.0), (2, hours(2), 2.0))
    warm = Wanted(rows=weather, keys={"driver": "who"}, features={"temperature": "temp"}, ttl=WEATHER_TTL, created=None)
    files = {"trips": history, "fares": fares, "weather": weather, "rates": rates}
    return {
        "a join on two keys": Case(labels=two_keys, files=files, ask=["fares:fare"], wanted=(fare,)),
        "views with different keys and ttl": Case(
            labels=two_keys,
            files=files,
            ask=["trips:trips", "fares:fare", "weather:temperature"],
            wanted=(trips(history, "trips"), fare, warm),
        ),
        "a whole service": Case(
            labels=two_keys, files=files, ask="whole", wanted=(trips(history, "trips", "rating"), fare)
        ),
        "a part of a service's views": Case(
            labels=drivers, files=files, ask="part", wanted=(trips(history, "rating"), warm)
        ),
        "renamed columns of a source": Case(
            labels=drivers, files=files, ask=["weather:temperature"], wanted=(warm,)
        ),
        "one name in two views, asked for with full names": Case(
            labels=drivers,
            files=files,
            ask=["trips:rating", "weather:rating"],
            wanted=(
                trips(history, "rating", prefix="trips__"),
                Wanted(
                    rows=weather, keys={"driver": "who"}, features={"weather__rating": "rating"}, ttl=WEATHER_TTL,
                    created=None,
                ),
            ),
            options={"full_feature_names": True},
        ),
        "a view without keys": Case(
            labels=drivers,
            files=files,
            ask=["trips:trips", "rates:rate"],
            wanted=(trips(history, "trips"), Wanted(rows=rates, keys={}, features={"rate": "rate"}, created=None)),
        ),
        "one view for two keys of the label": Case(
            labels=labels((1, 2, NOON), (2, 1, hours(-1)), names="first_driver second_driver event_timestamp"),
            files=files,
            ask="two_drivers",
            wanted=(
                trips(history, "trips", key="first_driver", prefix="first__"),
                trips(history, "trips", "rating", key="second_driver", prefix="second__"),
            ),
            options={"full_feature_names": True},
        ),
    }  # fmt: skip


def label_times() -> dict[str, Case]:
    history = [(1, hours(-1), hours(-1), 10, 1.0), (1, hours(0), hours(0), 11, 1.1), (2, hours(-1), hours(-1), 20, 2.0)]
    naive = NOON.tz_localize(None)
    berlin = labels((1, NOON, 0), (2, hours(0.5), 1))
    berlin["event_timestamp"] = berlin["event_timestamp"].dt.tz_convert("Europe/Berlin")
    nanoseconds = labels((1, NOON, 0), (1, NOON.as_unit("ns") - pd.Timedelta(1, "ns"), 1), (2, NOON, 2))
    nanoseconds["event_timestamp"] = nanoseconds["event_timestamp"].dt.as_unit("ns")
    return {
        "labels without a time zone": one_view(history, labels((1, naive, 0), (2, naive, 1))),
        "labels in another time zone": one_view(history, berlin),
        "labels in nanoseconds, features in microseconds": one_view(history, nanoseconds),
        "labels that are out of order": one_view(
            history, labels((2, NOON, 0), (1, NOON, 1), (2, hours(-2), 2), (1, hours(-0.5), 3))
        ),
        "one label twice, with different targets": one_view(history, labels((1, NOON, 0), (1, NOON, 1), (2, NOON, 2))),
        "no label at all": one_view(history, labels((1, NOON, 0)).iloc[:0]),
    }


def feature_times() -> dict[str, Case]:
    one = labels((1, NOON, 0), (2, NOON, 1))
    steady = (2, hours(-1), hours(-1), 99, 9.9)
    return {
        "a row at the label's very time": one_view([(1, hours(0), hours(0), 10, 1.0), steady], one),
        "a row a microsecond after the label": one_view(
            [(1, hours(0) + MICROSECOND, hours(0), 10, 1.0), (1, hours(-1), hours(0), 11, 1.1), steady], one
        ),
        "a row exactly as old as the ttl": one_view([(1, hours(-2), hours(-2), 10, 1.0), steady], one),
        "a row a microsecond older than the ttl": one_view(
            [(1, hours(-2) - MICROSECOND, hours(-2), 10, 1.0), steady], one
        ),
        "labels before the first row": one_view([(1, hours(1), hours(1), 10, 1.0), steady], one),
        "no row within the window": one_view([(1, hours(-9), EARLY, 10, 1.0), (2, hours(-9), EARLY, 11, 1.1)], one),
        "no feature row at all": one_view([], one),
        "a key that has no rows": one_view([steady], labels((3, NOON, 0), (2, NOON, 1))),
        "rows of equal time, the one created last first": one_view(
            [(1, hours(-1), hours(-0.2), 10, 1.0), (1, hours(-1), hours(-0.5), 11, 1.1), steady], one
        ),
        "rows of equal time, the one created last last": one_view(
            [(1, hours(-1), hours(-0.5), 10, 1.0), (1, hours(-1), hours(-0.2), 11, 1.1), steady], one
        ),
        "rows of equal time, one of them without a created time": one_view(
            [(1, hours(-1), hours(-0.5), 10, 1.0), (1, hours(-1), pd.NaT, 11, 1.1), steady], one
        ),
        "rows that are equal in both times": one_view(
            [(1, hours(-1), hours(-1), 10, 1.0), (1, hours(-1), hours(-1), 11, 1.1), steady], one
        ),
        "a row that came late, which counts": one_view(
            [(1, hours(-1), hours(-1), 10, 1.0), (1, hours(-0.5), hours(3), 11, 1.1), steady], one
        ),
        "a row that came late, held back": one_view(
            [(1, hours(-1), hours(-1), 10, 1.0), (1, hours(-0.5), hours(3), 11, 1.1), steady], one,
            filter_by_created_timestamp=True,
        ),
        "a correction that came late, held back": one_view(
            [(1, hours(-1), hours(-1), 10, 1.0), (1, hours(-1), hours(3), 11, 1.1), steady], one,
            filter_by_created_timestamp=True,
        ),
        "a row without a created time, held back": one_view(
            [(1, hours(-1), hours(-1), 10, 1.0), (1, hours(-0.5), pd.NaT, 11, 1.1), steady],
            one,
            filter_by_created_timestamp=True,
        ),
        "all rows came late, held back": one_view(
            [(1, hours(-1), hours(1), 10, 1.0), steady], one, filter_by_created_timestamp=True
        ),
    }  # fmt: skip


def null_keys() -> dict[str, Case]:
    fares = fares_rows([(1, None, hours(-1), EARLY, 5.0), (1, "a", hours(-1), EARLY, 6.0)])
    asked = labels((1, None, NOON), (1, "a", NOON), names="driver customer event_timestamp")
    wanted = Wanted(rows=fares, keys={"driver": "driver", "customer": "customer"}, features={"fare": "fare"})
    return {"a null key": Case(labels=asked, files={"fares": fares}, ask=["fares:fare"], wanted=(wanted,))}


CASES = {**feature_times(), **label_times(), **several_views(), **null_keys()}
