"""Definitions: Feast's own command takes them as they are, and keeps all it knows below NORIA_HOME."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.definitions import STAMP, define
from feature_repo.opening import open_configured
from feature_repo.training import join_features
from noria.errors import UsageError
from noria.features import FeatureService, FeatureView, Field
from noria.settings import Settings
from noria.tasks.flights.service import SERVICE
from noria.tasks.flights.tables import KEYS

ROOT = Path(__file__).parents[2]
TTL = {view.name: timedelta(seconds=view.ttl_seconds) for view in SERVICE.views}
START = datetime(2013, 6, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")
KINDS = {"STRING": pa.string(), "INT64": pa.int64(), "DOUBLE": pa.float64()}


def write_tables(folder: Path) -> Path:
    """One row a view, known at START, whose every number is the view's place."""
    folder.mkdir(parents=True)
    for place, view in enumerate(define(SERVICE, folder).views):
        columns = {key: pa.array([key]) for key in view.join_keys}
        columns["event_timestamp"] = pa.array([START], INSTANT)
        for field in view.features:
            kind = KINDS[field.dtype.to_value_type().name]
            columns[field.name] = pa.array(["it" if kind == pa.string() else place], kind)
        pq.write_table(pa.table(columns), folder / f"{view.name}.parquet")
    return folder


def questions(*ages: timedelta) -> pa.Table:
    keys = {key: [key] * len(ages) for key in ("carrier", "origin", "dest", "tailnum")}
    return pa.table(
        {**keys, "event_timestamp": pa.array([START + age for age in ages], INSTANT), "__row": np.arange(len(ages))}
    )


@pytest.mark.parametrize("view", list(KEYS))
def test_a_value_is_true_for_as_long_as_its_view_says_and_not_before_it_was_known(tmp_path: Path, view: str) -> None:
    tables = write_tables(tmp_path / "tables")
    ages = (-timedelta(microseconds=1), timedelta(0), TTL[view], TTL[view] + timedelta(microseconds=1))
    joined = join_features(questions(*ages), tables, SERVICE)
    (name, *_) = (
        feature.name for each in define(SERVICE, tables).views if each.name == view for feature in each.features
    )
    assert [value is not None for value in joined[name].to_pylist()] == [False, True, True, False]
    assert joined["__row"].to_pylist() == [0, 1, 2, 3]


def test_aggregates_outlive_their_longest_window_and_weather_does_not_outlive_a_few_hours() -> None:
    assert all(TTL[view] >= timedelta(days=7) for view in ("carrier_origin", "route", "origin_congestion"))
    assert TTL["origin_weather"] <= timedelta(hours=6)
    assert TTL["aircraft"] > timedelta(days=365)


def test_rows_without_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the rows lack tailnum: service flights_v1 joins on"):
        join_features(questions(timedelta(0)).drop_columns(["tailnum"]), tmp_path, SERVICE)


def test_feasts_own_command_applies_the_repository_and_writes_nothing_into_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_tables(home / "features" / SERVICE.name)
    before = sorted(path for path in (ROOT / "feature_repo").rglob("*") if "__pycache__" not in path.parts)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NORIA_")}
    done = subprocess.run(
        [sys.executable, "-m", "feature_repo", "apply"], cwd=ROOT, env={**kept, "NORIA_HOME": str(home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kept_there = open_configured(Settings.from_environment({"NORIA_HOME": str(home)}), home)
    # A registry may be shared, so a task whose tables lie elsewhere is not taken out of it.
    assert {service.name for service in kept_there.list_feature_services()} == {"flights_v1", "fashion_v1"}
    after = sorted(path for path in (ROOT / "feature_repo").rglob("*") if "__pycache__" not in path.parts)
    assert after == before
    assert {path.name for path in (home / "features").iterdir()} == {"flights_v1", "registry.db"}


WHOLE = 2**53
KEYED = FeatureService(
    name="keyed_v1",
    views=(
        FeatureView(name="numbered", keys=("number",), fields=(Field(name="n", type="int64"),), ttl_seconds=3600),
        FeatureView(name="named", keys=("name",), fields=(Field(name="t", type="int64"),), ttl_seconds=3600),
    ),
)


def test_keys_are_matched_to_the_last_digit_and_an_empty_text_is_none(tmp_path: Path) -> None:
    now = pa.array([START] * 3, INSTANT)
    numbers = pa.array([WHOLE, WHOLE + 1, 7], pa.int64())
    pq.write_table(pa.table({"number": numbers, STAMP: now, "n": [1, 2, 3]}), tmp_path / "numbered.parquet")
    pq.write_table(pa.table({"name": ["", "a", "b"], STAMP: now, "t": [1, 2, 3]}), tmp_path / "named.parquet")
    rows = pa.table(
        {
            "__row": [0, 1, 2],
            "number": pa.array([WHOLE + 1, None, WHOLE], pa.int64()),
            "name": ["", "a", None],
            STAMP: now,
        }
    )
    joined = join_features(rows, tmp_path, KEYED)
    assert joined["n"].to_pylist() == [2, None, 1]
    assert joined["t"].to_pylist() == [None, 2, None], "the predictor takes an empty text for a missing key as well"
