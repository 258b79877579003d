"""Features as a step: what the feature store answers is held against the rows that were asked about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from noria.errors import DatasetError, SourceError
from noria.features import FeatureService, FeatureView, Field
from noria.ml.dataset import table_of
from noria.schema import Column, Schema
from noria.settings import Settings
from noria.steps import features, ingest
from noria.steps.tables import STAMP, open_tables, publish_tables
from noria.steps.workspace import Workspace
from noria.task import Task, Window

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(start=START, end=START + timedelta(days=1))
SERVICE = FeatureService(
    name="sales_v1",
    views=(FeatureView(name="stock", keys=("shop",), fields=(Field(name="stock", type="int64"),), ttl_seconds=1e9),),
)
ASKED = (
    Column(name="id", type="string", role="id"),
    Column(name="at", type="timestamp", role="time"),
    Column(name="shop", type="string", role="key"),
    Column(name="price", type="float64", role="feature"),
)
ANSWERED = (
    Column(name="sold", type="int64", role="label"),
    Column(name="told", type="timestamp", role="known"),
)
MINUTE = np.timedelta64(60_000_000, "us")
BEGIN = np.datetime64("2026-01-01", "us")


class Sales(Task):
    """Every ten minutes one is asked about; each label is known two hours later."""

    name = "sales"
    classes = ("no", "yes")
    service = SERVICE
    events = Schema(columns=(*ASKED, *ANSWERED))
    schema = Schema(columns=(*ASKED, Column(name="stock", type="int64", role="feature"), *ANSWERED))
    rows = 100
    stamp = STAMP

    def read(self, source, window):
        at = BEGIN + np.arange(self.rows) * 10 * MINUTE
        yield table_of(
            self.events,
            {
                "id": np.array([f"sale {row}" for row in range(self.rows)], object),
                "at": at,
                "shop": np.array([f"shop {row % 3}" for row in range(self.rows)], object),
                "price": np.arange(self.rows) / 4,
                "sold": np.arange(self.rows) % 2,
                "told": at + 120 * MINUTE,
            },
        )

    def write_features(self, source, folder):
        stamps = pa.array(BEGIN + np.arange(24) * 60 * MINUTE, pa.timestamp("us", tz="UTC"))
        pq.write_table(pa.table({"shop": ["shop 0"] * 24, self.stamp: stamps}), folder / "stock.parquet")

    def build_network(self, options):
        raise NotImplementedError

    def fit_rule(self, features, labels):
        raise NotImplementedError


@pytest.fixture
def sales(monkeypatch):
    task = Sales()
    for module in (ingest, features):
        monkeypatch.setattr(module, "load_task", lambda _: task)
    return task


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(settings=Settings.from_environment({"NORIA_HOME": str(tmp_path / "home")}))


def read(workspace, as_of=WINDOW.end):
    return ingest.ingest(workspace, task="sales", source="", window=WINDOW, as_of=as_of, progress=lambda *_: None)


def add(workspace, made, join):
    return features.add_features(
        workspace, task="sales", events=made.uri, tables=made.tables, join=join, progress=lambda *_: None
    )


def answer(rows, folder, service):
    """Every stock is the place of its row."""
    return pa.table({"__row": rows["__row"], "stock": rows["__row"]})


@pytest.mark.parametrize(("hours", "known"), [(24, 100), (12, 61), (2, 1), (3.0001, 7)])
def test_rows_whose_label_was_not_known_yet_are_left_out_and_counted(sales, workspace, hours, known):
    made = read(workspace, START + timedelta(hours=hours))
    assert (made.dataset.rows, made.unknown) == (known, 100 - known)
    assert made.dataset.load(["told"])["told"].max() <= BEGIN + np.timedelta64(round(hours * 3_600_000_000), "us")
    assert made.dataset.schema == sales.events


def test_no_row_at_all_that_was_known_is_said(sales, workspace):
    with pytest.raises(DatasetError, match="no row with a time in the window"):
        read(workspace, START + timedelta(hours=1))


@pytest.mark.parametrize(("hours", "rows"), [(0, 1), (5, 6), (30, 24)])
def test_the_tables_hold_what_was_known_by_then_and_not_a_row_more(sales, workspace, hours, rows):
    folder, facts = open_tables(workspace, publish_tables(workspace, sales, None, START + timedelta(hours=hours)))
    assert (facts.tables["stock"].rows, facts.tables["stock"].left_out) == (rows, 24 - rows)
    assert pq.read_table(folder / "stock.parquet").num_rows == rows


def test_a_table_without_moments_is_refused(sales, workspace):
    sales.stamp = "when"
    with pytest.raises(SourceError, match="feature table stock has the columns shop, when: expected event_timestamp"):
        read(workspace)


@pytest.mark.parametrize("name", ["tables.json", "stock.parquet"])
def test_tables_that_were_altered_are_refused(sales, workspace, name):
    made = read(workspace)
    folder, _ = open_tables(workspace, made.tables)
    with (folder / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(SourceError, match="remove the folder"):
        add(workspace, made, answer)


def test_the_store_is_asked_with_keys_and_moments_and_given_no_value(sales, workspace):
    seen = []

    def join(rows, folder, service):
        seen.append((rows.column_names, service, sorted(path.name for path in folder.iterdir())))
        return answer(rows, folder, service)

    made = read(workspace)
    dataset = workspace.fetch_dataset(add(workspace, made, join))
    assert seen == [(["shop", STAMP, "__row"], SERVICE, ["stock.parquet", "tables.json"])]
    rows = dataset.load()
    assert dataset.schema == sales.schema
    assert rows["stock"].tolist() == list(range(100))
    assert rows["told"].tolist() == made.dataset.load(["told"])["told"].tolist()


def test_rows_that_are_handed_on_some_at_a_time_keep_their_own_features(sales, workspace, monkeypatch):
    monkeypatch.setattr(features, "GROUP", 7)
    made = read(workspace)
    rows = workspace.fetch_dataset(add(workspace, made, answer)).load()
    assert rows["stock"].tolist() == list(range(100))
    assert rows["id"].tolist() == [f"sale {row}" for row in range(100)]


def test_a_dataset_names_the_events_and_the_tables_that_it_was_made_of(sales, workspace):
    made = read(workspace)
    facts = workspace.fetch_dataset(add(workspace, made, answer)).facts
    assert facts.made_of == {"events": made.dataset.digest, "tables": made.tables.rpartition("/")[2]}
    assert made.dataset.facts.made_of == {}
    assert b"made_of" not in (made.dataset.folder / "dataset.json").read_bytes(), "events have the digests they had"


WRONG = {
    "lost": lambda answered: answered.slice(1),
    "doubled": lambda answered: pa.concat_tables([answered, answered.slice(99)]),
    "moved": lambda answered: answered.take(pa.array([1, 0, *range(2, 100)])),
    "unnamed": lambda answered: answered.drop_columns(["__row"]),
}


@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_row_that_the_store_lost_doubled_or_moved_is_noticed(sales, workspace, wrong):
    made = read(workspace)
    with pytest.raises(DatasetError, match="expected each row once, in its place"):
        add(workspace, made, lambda *asked: WRONG[wrong](answer(*asked)))


@examples(max_examples=40, deadline=timedelta(seconds=5))
@given(st.permutations(range(8)))
def test_only_the_order_that_was_asked_in_is_taken(order):
    answered = pa.table({"__row": list(order)})
    if order == sorted(order):
        features._check_rows(answered, 8)
    else:
        with pytest.raises(DatasetError):
            features._check_rows(answered, 8)


def test_a_feature_that_is_missing_or_does_not_fit_is_named(sales, workspace):
    made = read(workspace)
    with pytest.raises(DatasetError, match="the joined rows lack stock"):
        add(workspace, made, lambda rows, *_: rows.select(["__row"]))
    with pytest.raises(DatasetError, match="do not fit the task's schema"):
        add(workspace, made, lambda rows, *_: pa.table({"__row": rows["__row"], "stock": ["many"] * 100}))


def test_a_task_without_features_gets_its_own_rows_back_and_nothing_is_asked(workspace, monkeypatch):
    monkeypatch.setattr(features, "load_task", lambda _: object())

    def join(*_):
        raise AssertionError("nobody is to be asked")

    asked = {"task": "fashion", "events": "s3://b/datasets/1", "tables": "s3://b/datasets/1", "join": join}
    assert features.add_features(workspace, **asked, progress=lambda *_: None) == "s3://b/datasets/1"


def test_what_is_no_number_gets_the_default_as_what_is_missing_does():
    service = FeatureService(
        name="sales_v2",
        views=(
            FeatureView(
                name="stock",
                keys=("shop",),
                fields=(
                    Field(name="stock", type="float64", default=7.0),
                    Field(name="kind", type="string", default="x"),
                ),
                ttl_seconds=3600,
            ),
        ),
    )
    joined = pa.table({"stock": [1.0, float("nan"), None], "kind": ["a", None, ""]})
    asked = pa.chunked_array([pa.array([START] * 3, pa.timestamp("us", tz="UTC"))])
    found = features.complete(joined, service, asked)
    assert found["stock"].to_pylist() == [1.0, 7.0, 7.0]
    assert found["kind"].to_pylist() == ["a", "x", ""]
