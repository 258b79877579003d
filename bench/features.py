"""F1: the point-in-time join inside Feast, by its dask store, its duckdb store and by ours, on a growing history."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figure import Figure, Quantity, divide, quantity, tell

DASK_GOAL, DUCKDB_GOAL = 20.0, 8.0
STORES = {"dask": "dask", "duckdb": "duckdb", "noria": "feature_repo.asof_store.AsofOfflineStore"}
FEATURES = 4
HOUR = 3_600_000_000
START = 1_767_225_600_000_000  # µs, the first of January 2026
HISTORIES = (10, 100, 1000)  # rows a key; at 1000 the dask store takes about 9 GB of memory
MAIN = 100  # of the main figure
TWINS = 20  # labels that have the key and the time of another one
HOW = (
    "The same call, `get_historical_features(…).to_df()`, on the same Parquet file: one feature view of one integer "
    f"key, {FEATURES} float features, a created time and a ttl of ten days. The stores take turns, after one untimed "
    "turn each, and differ in `offline_store.type` alone. {rows:,} feature rows, {labels:,} labels, with a history of "
    "{histories} rows a key, an hour apart; labels lie anywhere in it, {twins} of them with the key and the time of "
    "another one. Each answer is brought into the labels' order and compared with that of pandas' merge_asof: a wrong "
    "value or a label twice voids the run, and so does one that our store loses or moves. Labels that Feast's stores "
    "did not answer are counted."
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    history: int  # rows a key
    labels: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What one store needed, in seconds, and how many labels it did not answer or moved."""

    processor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    moved: list[bool] = field(default_factory=list)


def make_tables(setting: Setting) -> tuple[Any, Any]:
    """The feature rows in order of time, and the labels in none."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(setting.history)
    keys = setting.rows // setting.history
    hours = np.repeat(np.arange(setting.history), keys)
    times = START + hours * HOUR + random.integers(0, HOUR, len(hours))
    rows = pd.DataFrame(
        {
            "key": np.tile(np.arange(keys), setting.history),
            "event_timestamp": as_times(times),
            "created": as_times(times + HOUR),
            **{f"f{number}": random.normal(size=len(hours)) for number in range(FEATURES)},
        }
    )
    labels = pd.DataFrame(
        {
            "key": random.integers(0, keys, setting.labels),
            "event_timestamp": as_times(START + random.integers(0, (setting.history + 1) * HOUR, setting.labels)),
        }
    )
    labels.iloc[-TWINS:] = labels.iloc[:TWINS].to_numpy()
    labels["number"] = np.arange(setting.labels)
    return rows.sort_values("event_timestamp", ignore_index=True), labels


def as_times(microseconds: Any) -> Any:
    import pandas as pd

    return pd.to_datetime(microseconds, unit="us", utc=True).as_unit("us")


def open_stores(folder: Path) -> dict[str, Any]:
    """A Feast of each store on the same file."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.repo_config import RepoConfig
    from feast.types import Float64, Int64

    key = Entity(name="key", join_keys=["key"], value_type=ValueType.INT64)
    source = FileSource(
        path=str(folder / "rows.parquet"), timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    fields = [Field(name="key", dtype=Int64), *(Field(name=f"f{n}", dtype=Float64) for n in range(FEATURES))]
    view = FeatureView(name="view", entities=[key], ttl=timedelta(days=10), schema=fields, source=source)
    stores = {}
    for name, kind in STORES.items():
        stores[name] = FeatureStore(
            config=RepoConfig(
                project="bench",
                provider="local",
                registry=str(folder / f"{name}.db"),
                offline_store={"type": kind},
                online_store={"type": "sqlite", "path": str(folder / "online.db")},
                entity_key_serialization_version=3,
            )
        )
        stores[name].apply([key, view])
    return stores


def join_with(store: Any, labels: Any) -> Any:
    references = [f"view:f{number}" for number in range(FEATURES)]
    return store.get_historical_features(entity_df=labels, features=references).to_df()


def join_with_pandas(rows: Any, labels: Any) -> Any:
    """The answer that all have to give."""
    import pandas as pd

    joined = pd.merge_asof(
        labels.sort_values("event_timestamp"), rows, on="event_timestamp", by="key", tolerance=pd.Timedelta(days=10)
    )
    return joined.sort_values("number", ignore_index=True)


def compare(name: str, answer: Any, expected: Any) -> int:
    """How many labels the answer lacks; SystemExit if it holds a wrong value or a label twice."""
    import numpy as np

    numbers = answer["number"].to_numpy()
    columns = [f"f{number}" for number in range(FEATURES)]
    values, right = answer[columns].to_numpy(), expected[columns].to_numpy()[numbers]
    if len(set(numbers)) != len(numbers) or not np.array_equal(values, right, equal_nan=True):
        raise SystemExit(f"the {name} store gave a wrong answer, so the run is void")
    return len(expected) - len(numbers)


def take_turn(name: str, work: Callable[[], Any], expected: Any, turns: Turns) -> None:
    gc.collect()
    wall, processor = time.perf_counter(), time.process_time()
    answer = work()
    turns.processor.append(time.process_time() - processor)
    turns.wall.append(time.perf_counter() - wall)
    turns.lost.append(compare(name, answer, expected))
    turns.moved.append(not answer["number"].is_monotonic_increasing)


def measure_setting(setting: Setting, rounds: int) -> dict[str, Turns]:
    rows, labels = make_tables(setting)
    expected = join_with_pandas(rows, labels)
    turns = {name: Turns() for name in STORES}
    with tempfile.TemporaryDirectory() as folder:
        rows.to_parquet(Path(folder) / "rows.parquet", index=False)
        stores = open_stores(Path(folder))
        for store in stores.values():
            join_with(store, labels)
        for _ in range(rounds):
            for name, store in stores.items():
                take_turn(name, lambda store=store: join_with(store, labels), expected, turns[name])
    if any(turns["noria"].lost) or any(turns["noria"].moved):
        raise SystemExit("our store lost or moved labels, so the run is void")
    return turns


def ratios_of(history: int, turns: dict[str, Turns]) -> list[Quantity]:
    ours = turns["noria"].processor
    return [
        divide(f"{peer} ÷ Noria, processor time, {history} rows a key", turns[peer].processor, ours)
        for peer in ("dask", "duckdb")
    ]


def quantities_of(history: int, turns: dict[str, Turns]) -> list[Quantity]:
    names = {"dask": "Feast's dask store", "duckdb": "Feast's duckdb store", "noria": "Noria's store"}
    processor = [quantity(f"{names[name]}, {history} rows a key", "s of CPU", turns[name].processor) for name in names]
    return processor + [quantity(f"{names[name]}, {history} rows a key", "s", turns[name].wall) for name in names]


def measure(*, quick: bool) -> Figure:
    rounds = 1 if quick else 5
    rows, labels = (20_000, 2_000) if quick else (200_000, 50_000)
    settings = [Setting(history=history, labels=labels, rows=rows) for history in HISTORIES]
    found = {setting.history: measure_setting(setting, rounds) for setting in settings}
    dask, duckdb = ratios_of(MAIN, found[MAIN])
    lost = {f"rows lost by {name}, {h} rows a key": str(max(t[name].lost)) for h, t in found.items() for name in t}
    return Figure(
        id="F1",
        title="Point-in-time join inside Feast",
        goal=f"at {MAIN} rows a key {DASK_GOAL:.0f} × the dask and {DUCKDB_GOAL:.0f} × the duckdb store; no row lost",
        met=None if quick else dask.median >= DASK_GOAL and duckdb.median >= DUCKDB_GOAL,
        how=HOW.format(histories=", ".join(map(str, HISTORIES)), rows=rows, twins=TWINS, labels=labels),
        rounds=rounds,
        ratios=tuple(ratio for history, turns in found.items() for ratio in ratios_of(history, turns)),
        quantities=tuple(each for history, turns in found.items() for each in quantities_of(history, turns)),
        facts=lost,
        versions={name: version(name) for name in ("feast", "dask", "duckdb", "ibis-framework", "pandas")},
    )


if __name__ == "__main__":
    warnings.showwarning = lambda *_, **__: None  # Feast's stores warn of dask, ibis and pandas, over any filter
    tell([measure(quick="--quick" in sys.argv)])
    sys.stdout.flush()
    # Feast's duckdb store leaves objects behind, of which DuckDB would tell at length as the interpreter ends.
    os._exit(0)
