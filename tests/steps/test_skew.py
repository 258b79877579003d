"""Skew: a features log beside the point-in-time join of the same moments, value by value, by the real feature store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("feast", reason="feast is not installed: pip install 'noria[features]'")

from feature_repo.training import join_features
from noria.errors import SourceError, UsageError
from noria.features import Age, FeatureService, FeatureView, Field
from noria.schema import Column, Schema
from noria.steps.skew import compare_log, read_log, worst

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SERVICE = FeatureService(
    name="boats_v1",
    views=(
        FeatureView(
            name="boat",
            keys=("boat",),
            fields=(
                Field(name="length", type="float64"),
                Field(name="flag", type="string"),
                Field(name="moored", type="float64"),
            ),
            ttl_seconds=86_400.0,
        ),
        FeatureView(
            name="harbour",
            keys=("harbour",),
            fields=(Field(name="berths", type="int64", default=7),),
            ttl_seconds=3600.0,
        ),
    ),
    ages=(Age(name="rested", of="moored"),),
)
SCHEMA = Schema(
    columns=(
        Column(name="trip", type="string", role="id"),
        Column(name="asked", type="timestamp", role="time"),
        Column(name="boat", type="string", role="key"),
        Column(name="harbour", type="string", role="key"),
        Column(name="crew", type="int64", role="feature"),
        Column(name="length", type="float64", role="feature", maximum_null_share=0.5),
        Column(name="flag", type="string", role="feature", choices=("NO", "SE"), maximum_null_share=0.5),
        Column(name="rested", type="float64", role="feature", unit="minute", maximum_null_share=0.5),
        Column(name="berths", type="float64", role="feature"),
        Column(name="label", type="int64", role="label", minimum=0, maximum=1),
    )
)


def seconds(at: datetime) -> float:
    return (at - EPOCH).total_seconds()


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Ada is 9 m long at noon and 10 m an hour later; Oslo has 3 berths, known for an hour."""
    stamps = pa.array([NOON, NOON + HOUR], pa.timestamp("us", tz="UTC"))
    moored = [seconds(NOON - HOUR), seconds(NOON + HOUR)]
    columns = {"boat": ["Ada", "Ada"], "event_timestamp": stamps, "length": [9.0, 10.0], "flag": ["NO", None]}
    pq.write_table(pa.table({**columns, "moored": moored}), tmp_path / "boat.parquet")
    pq.write_table(
        pa.table({"harbour": ["Oslo"], "event_timestamp": stamps[:1], "berths": [3]}), tmp_path / "harbour.parquet"
    )
    return tmp_path


def line(
    after: timedelta, *, harbour: str | int = "Oslo", views: dict[str, str] | None = None, **features: object
) -> bytes:
    return msgspec.json.encode(
        {
            "moment": int(seconds(NOON + after) * 1e6),
            "id": "a request",
            "keys": {"boat": "Ada", "harbour": harbour},
            "given": {"crew": 2},
            "features": features,
            "views": views or {"boat": "fresh", "harbour": "fresh"},
        }
    )


RIGHT = (
    line(timedelta(0), length=9.0, flag="NO", rested=60.0, berths=3.0),
    line(HOUR, length=10.0, flag=None, rested=0.0, berths=3.0),
    line(2 * HOUR, length=10.0, flag="", rested=60.0, berths=7.0),  # Oslo's berths are too old: the default
    line(HOUR / 2, harbour="Bergen", length=9.0, flag="NO", rested=90.0, berths=7.0),
)


def compare(folder: Path, *lines: bytes):
    log = folder / "features.jsonl"
    log.write_bytes(b"".join(one + b"\n" for one in lines))
    return compare_log(read_log(log), service=SERVICE, schema=SCHEMA, tables=folder, join=join_features)


def test_what_was_served_as_training_would_have_seen_it_is_all_equal(tables: Path) -> None:
    found = compare(tables, *RIGHT)
    assert (found.rows, found.degraded, found.values, found.equal) == (4, 0, 16, 16)
    assert found.share == 1.0
    assert found.differences == ()


def test_a_feature_that_was_served_wrongly_is_named_with_its_first_row(tables: Path) -> None:
    hours = line(timedelta(0), length=9.0, flag="NO", rested=1.0, berths=3.0)
    late = line(2 * HOUR, length=10.0, flag="", rested=1.0, berths=3.0)
    found = compare(tables, *RIGHT, hours, late)
    assert [(one.feature, one.rows) for one in found.differences] == [("rested", 2), ("berths", 1)]
    assert (found.differences[0].served, found.differences[0].trained) == (1.0, 60.0)
    assert found.differences[0].keys == {"boat": "Ada", "harbour": "Oslo"}
    assert found.equal == found.values - 3
    assert "rested: 2 of 6 rows" in next(iter(worst(found)))


def test_a_value_is_compared_as_the_datasets_column_has_it(tables: Path) -> None:
    narrow = Schema(
        columns=tuple(
            replace(column, type="float32") if column.name in ("length", "rested") else column
            for column in SCHEMA.columns
        )
    )
    pq.write_table(
        pq.read_table(tables / "boat.parquet").set_column(2, "length", [[0.1, 10.0]]), tables / "boat.parquet"
    )
    (tables / "log").write_bytes(
        line(timedelta(0), length=0.10000000149011612, flag="NO", rested=60.0, berths=3.0) + b"\n"
    )
    found = compare_log(read_log(tables / "log"), service=SERVICE, schema=narrow, tables=tables, join=join_features)
    assert found.differences == ()


def test_keys_that_are_numbers_are_compared_as_well(tables: Path) -> None:
    numbered = Schema(
        columns=tuple(replace(one, type="int64") if one.name == "harbour" else one for one in SCHEMA.columns)
    )
    harbours = pq.read_table(tables / "harbour.parquet")
    pq.write_table(harbours.set_column(0, "harbour", pa.array([5])), tables / "harbour.parquet")
    log = tables / "log"
    log.write_bytes(line(timedelta(0), harbour=5, length=9.0, flag="NO", rested=60.0, berths=3.0) + b"\n")
    found = compare_log(read_log(log), service=SERVICE, schema=numbered, tables=tables, join=join_features)
    assert (found.values, found.share) == (4, 1.0)
    with pytest.raises(UsageError, match="keys of another type than the schema"):
        compare(tables, line(timedelta(0), harbour=5))


def test_a_value_from_the_future_and_one_that_is_lacking_are_differences(tables: Path) -> None:
    found = compare(tables, line(HOUR / 2, length=10.0, flag="NO", rested=90.0))
    assert {one.feature for one in found.differences} == {"length", "berths"}


def test_answers_without_the_store_are_counted_and_not_compared(tables: Path) -> None:
    degraded = line(HOUR, length=0.0, views={"boat": "unread", "harbour": "fresh"})
    found = compare(tables, *RIGHT, degraded)
    assert (found.rows, found.degraded, found.share) == (4, 1, 1.0)
    with pytest.raises(UsageError, match="expected some that were completed"):
        compare(tables, degraded)


NEWER = {"boat": "newer", "harbour": "fresh"}


def test_of_a_moment_before_the_stores_row_only_the_other_views_are_compared(tables: Path) -> None:
    past = line(timedelta(0), berths=3.0, views=NEWER)
    found = compare(tables, *RIGHT, past)
    assert (found.rows, found.newer, found.values, found.share) == (5, 1, 17, 1.0)
    wrong = compare(tables, *RIGHT, line(timedelta(0), berths=4.0, views=NEWER))
    assert [(one.feature, one.rows) for one in wrong.differences] == [("berths", 1)]
    with pytest.raises(UsageError, match="found 1 logged rows for which the store holds only newer values"):
        compare(tables, line(timedelta(0), views={"boat": "newer", "harbour": "newer"}))


def test_rows_that_the_store_has_lost_are_differences_and_so_is_a_newer_one_in_a_replay(tables: Path) -> None:
    lost = compare(tables, *RIGHT, line(timedelta(0), berths=3.0, views={"boat": "unknown", "harbour": "fresh"}))
    assert ({one.feature for one in lost.differences}, lost.newer) == ({"length", "flag", "rested"}, 0)
    (tables / "log").write_bytes(line(timedelta(0), berths=3.0, views=NEWER) + b"\n")
    log, known = read_log(tables / "log"), {"schema": SCHEMA, "tables": tables, "join": join_features}
    found = compare_log(log, service=SERVICE, **known, replayed=True)
    assert (len(found.differences), found.newer) == (3, 0)


def test_a_torn_last_line_is_left_out_and_any_other_is_refused(tables: Path) -> None:
    log = tables / "features.jsonl"
    log.write_bytes(RIGHT[0] + b"\n" + RIGHT[1][:-9])
    assert len(read_log(log)) == 1
    log.write_bytes(RIGHT[0][:-9] + b"\n" + RIGHT[1] + b"\n")
    with pytest.raises(SourceError, match="line 1 is no line of a features log"):
        read_log(log)


def test_a_log_of_another_service_is_refused(tables: Path) -> None:
    strange = msgspec.json.encode({**msgspec.json.decode(RIGHT[0]), "keys": {"boat": "Ada"}})
    with pytest.raises(UsageError, match="lacks harbour: service boats_v1 is found by boat, harbour"):
        compare(tables, strange)
