"""Pulling from a source: what materialisation and saved datasets read, on all three stores."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from as_of import Row, rows_of
from feasts import STORES, Repository, trips_rows
from join_cases import MICROSECOND, NOON, hours

pytestmark = pytest.mark.xdist_group("feast")

ROWS = trips_rows([
    (1, hours(0), hours(0), 10, 1.0),
    (1, hours(1), hours(1), 11, 1.1),
    (2, hours(2), hours(5), 20, 2.0),
    (2, hours(2), hours(4), 21, 2.1),
    (3, hours(4), hours(4), 30, 3.0),
    (4, hours(-1), hours(-1), 40, 4.0),
])  # fmt: skip
COLUMNS = ["driver", "trips", "rating", "event_timestamp", "created"]
Pull = Callable[[Repository, str, datetime, datetime], list[Row]]


def pull(repository: Repository, what: str, start: datetime, end: datetime, **changes: Any) -> pd.DataFrame:
    store = repository.store
    arguments: dict[str, Any] = {
        "config": store.config,
        "data_source": store.get_feature_view("trips").batch_source,
        "join_key_columns": ["driver"],
        "feature_name_columns": ["trips", "rating"],
        "timestamp_field": "event_timestamp",
        "created_timestamp_column": "created",
        "start_date": start,
        "end_date": end,
        **changes,
    }
    offline = store._get_provider().offline_store
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(offline, f"pull_{what}_from_table_or_query")(**arguments).to_df()


def taken(frame: pd.DataFrame) -> set[float]:
    """The rows, by their number of trips, which differ."""
    return {row[1] for row in rows_of(frame, COLUMNS)}


@pytest.mark.parametrize(
    ("what", "start", "end", "expected"),
    [
        ("latest", hours(0), hours(3), {11.0, 20.0}),
        ("latest", hours(0), hours(4), {11.0, 20.0, 30.0}),
        ("latest", hours(0), hours(4) - MICROSECOND, {11.0, 20.0}),
        ("latest", hours(1) + MICROSECOND, hours(4), {20.0, 30.0}),
        ("latest", hours(6), hours(9), set()),
        ("all", hours(0), hours(2), {10.0, 11.0, 20.0, 21.0}),
        ("all", hours(6), hours(9), set()),
    ],
    ids=["ties", "end-included", "end-missed", "start-missed", "empty", "all", "all-empty"],
)
def test_a_pull_takes_the_rows_of_a_window_that_includes_both_ends(
    any_store: Repository, what: str, start: datetime, end: datetime, expected: set[float]
) -> None:
    any_store.write("trips", ROWS)
    frame = pull(any_store, what, start, end)
    assert taken(frame) == expected
    assert len(frame) == len(expected)


@pytest.mark.parametrize("kind", STORES)
def test_of_rows_equal_in_both_times_ours_takes_the_one_written_last(
    kind: str, repositories: Callable[[str], Repository]
) -> None:
    repository = repositories(kind)
    repository.write("trips", trips_rows([(1, hours(0), hours(0), 10, 1.0), (1, hours(0), hours(0), 11, 1.1)]))
    expected = {"dask": {11.0}, "duckdb": {10.0}, "asof": {11.0}}
    assert taken(pull(repository, "latest", hours(0), hours(1))) == expected[kind]


def test_times_come_back_in_utc_whether_or_not_the_file_says_so(asof: Repository) -> None:
    naive = ROWS.assign(event_timestamp=ROWS["event_timestamp"].dt.tz_localize(None))
    asof.write("trips", naive)
    frame = pull(asof, "latest", hours(0), hours(3))
    assert str(frame["event_timestamp"].dt.tz) == "UTC"
    assert set(frame["event_timestamp"]) == {hours(1), hours(2)}


def test_files_in_nanoseconds_are_pulled_as_they_are(asof: Repository) -> None:
    late = NOON.as_unit("ns") + pd.Timedelta(1, "ns")
    rows = ROWS.astype({"event_timestamp": "datetime64[ns, UTC]", "created": "datetime64[ns, UTC]"})
    rows.loc[0, "event_timestamp"] = late
    rows.to_parquet(asof.folder / "trips.parquet", index=False)
    frame = pull(asof, "all", NOON, NOON + timedelta(minutes=1))
    assert list(frame["event_timestamp"]) == [late]


def test_a_view_without_keys_has_one_latest_row(asof: Repository) -> None:
    asof.write("trips", ROWS)
    frame = pull(asof, "latest", hours(-9), hours(9), join_key_columns=[], feature_name_columns=["driver", "trips"])
    assert list(frame["trips"]) == [30]
    assert list(frame["__dummy_id"]) == [""]


def test_materialised_features_are_served_online(asof: Repository) -> None:
    asof.write("trips", ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asof.store.materialize(start_date=hours(-9), end_date=hours(9), feature_views=["trips"])
        asof.store.refresh_registry()
        served = asof.store.get_online_features(
            features=["trips:trips"], entity_rows=[{"driver": 1}, {"driver": 2}, {"driver": 9}]
        ).to_dict()
    assert served == {"driver": [1, 2, 9], "trips": [11, 20, None]}
