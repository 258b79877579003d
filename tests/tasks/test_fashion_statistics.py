"""Fashion statistics: beside the raw files, through the feature store, and through a real predictor."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from untrained import untrained_bundle

pytest.importorskip("feast", reason="feast is not installed: pip install 'noria[features]'")

from feature_repo.materialising import materialise
from feature_repo.training import join_features
from noria.ml.bundle import Bundle
from noria.ml.dataset import Dataset
from noria.settings import Settings
from noria.steps import features, ingest, tables
from noria.steps.replay import Past, replay
from noria.steps.skew import Skew, compare_log
from noria.steps.workspace import Workspace
from noria.task import Window
from noria.tasks.fashion import DEBIAN_FOLDER, Fashion
from noria.tasks.fashion_statistics import SERVICE, VIEW, describe_pictures

pytestmark = pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="needs the Debian package dataset-fashion-mnist")

ROOT = Path(__file__).parents[2]
WINDOW = Window(start=datetime(2017, 10, 30, tzinfo=UTC), end=datetime(2017, 11, 1, tzinfo=UTC))  # both parts' edge
ROWS = 40
NAMES = [field.name for field in VIEW.fields]
MICROSECOND = np.timedelta64(1, "us")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(settings=Settings.from_environment({"NORIA_HOME": str(tmp_path_factory.mktemp("home"))}))


@pytest.fixture(scope="module")
def made(workspace: Workspace) -> ingest.Ingested:
    return ingest.ingest(
        workspace, task="fashion", source="", window=WINDOW, as_of=WINDOW.end, progress=lambda *_: None
    )


@pytest.fixture(scope="module")
def table(workspace: Workspace, made: ingest.Ingested) -> pa.Table:
    folder, facts = tables.open_tables(workspace, made.tables)
    assert facts.service == "fashion_v1"
    return pq.read_table(folder / "item_statistics.parquet")


@pytest.fixture(scope="module")
def dataset(workspace: Workspace, made: ingest.Ingested) -> Dataset:
    uri = features.add_features(
        workspace, task="fashion", events=made.uri, tables=made.tables, join=join_features, progress=lambda *_: None
    )
    return workspace.fetch_dataset(uri)


@pytest.fixture(scope="module")
def past(workspace: Workspace, made: ingest.Ingested, dataset: Dataset) -> Past:
    folder, _ = tables.open_tables(workspace, made.tables)
    return Past(dataset=dataset, service=SERVICE, tables=folder, rows=ROWS)


def raw_picture(name: str) -> np.ndarray[Any, Any]:
    """The picture by its place in the raw file: 16 bytes of head, then 784 bytes each."""
    part, place = name.split("-")
    with gzip.open(DEBIAN_FOLDER / f"{part}-images-idx3-ubyte.gz") as file:
        file.seek(16 + int(place) * 784)
        return np.frombuffer(file.read(784), np.uint8).reshape(28, 28)


def recount(picture: np.ndarray[Any, Any]) -> dict[str, float]:
    """The statistics of one picture once more, pixel by pixel."""
    lines = [[int(value) for value in line] for line in picture]
    pixels = [(y, x, value) for y, line in enumerate(lines) for x, value in enumerate(line)]
    ys, xs = [y for y, _, value in pixels if value], [x for _, x, value in pixels if value]
    light = sum(value for _, _, value in pixels)
    apart = sum(abs(value - lines[y][27 - x]) for y, x, value in pixels)
    return {
        "ink": light / 784,
        "filled": sum(value > 31 for _, _, value in pixels) / 784,
        "height": float(max(ys) - min(ys) + 1) if ys else 0.0,
        "width": float(max(xs) - min(xs) + 1) if xs else 0.0,
        "symmetry": 1 - apart / (2 * light) if light else 1.0,
    }


def test_a_black_picture_has_no_size_and_is_its_own_mirror() -> None:
    found = describe_pictures(np.zeros((1, 28, 28), np.uint8))
    assert {name: values.tolist() for name, values in found.items()} == {
        "ink": [0.0], "filled": [0.0], "height": [0.0], "width": [0.0], "symmetry": [1.0],
    }  # fmt: skip


def test_pictures_with_known_statistics_have_them() -> None:
    pictures = np.zeros((3, 28, 28), np.uint8)
    pictures[0] = 255
    pictures[1, 3:5, 0] = 100  # at the left edge, and nothing to mirror it
    pictures[2, 27, [0, 27]] = 31
    found = describe_pictures(pictures)
    assert [found[name].tolist() for name in NAMES] == [
        [255.0, 200 / 784, 62 / 784], [1.0, 2 / 784, 0.0], [28.0, 2.0, 1.0], [28.0, 1.0, 28.0], [1.0, 0.0, 1.0],
    ]  # fmt: skip


def test_each_item_has_one_row_from_the_moment_at_which_it_was_listed(table: pa.Table, dataset: Dataset) -> None:
    assert len(set(table["item"].to_pylist())) == len(table)
    assert table["event_timestamp"].to_numpy().max() <= np.datetime64("2017-11-01")  # as of then
    rows = dataset.load(["item", "time"])
    known = dict(zip(table["item"].to_pylist(), table["event_timestamp"].to_numpy(), strict=True))
    assert len(known) == 61_001  # the first item of 1 November was known at its very beginning
    assert all(known[item] == time for item, time in zip(rows["item"].tolist(), rows["time"], strict=True))


def test_the_tables_statistics_are_those_of_the_raw_files(table: pa.Table) -> None:
    for place in np.random.default_rng(3).choice(len(table), 25, replace=False).tolist():
        row = table.slice(place, 1).to_pylist()[0]
        assert {name: row[name] for name in NAMES} == recount(raw_picture(row["item"])), row["item"]


def test_the_dataset_has_the_pictures_in_order_each_with_its_own_statistics(
    workspace: Workspace, made: ingest.Ingested, dataset: Dataset
) -> None:
    rows, events = dataset.load(), workspace.fetch_dataset(made.uri).load()
    assert dataset.schema == Fashion.schema
    for name in ("id", "time", "image", "label"):
        np.testing.assert_array_equal(rows[name], events[name])
    assert rows["id"].tolist() == rows["item"].tolist()
    for name, values in describe_pictures(rows["image"]).items():
        np.testing.assert_array_equal(rows[name], values)
    for place in (0, 999, 1000, 1999):
        np.testing.assert_array_equal(rows["image"][place], raw_picture(rows["id"][place]))


def test_nothing_is_known_of_an_item_before_it_was_listed(past: Past, dataset: Dataset) -> None:
    rows = dataset.load(["item", "time"])
    items = [rows["item"][7]] * 3
    moments = rows["time"][7] + np.array([-1, 0, 1]) * MICROSECOND
    stamps = pa.array(moments, pa.timestamp("us", tz="UTC"))
    asked = pa.table({"item": items, "event_timestamp": stamps, "__row": [0, 1, 2]})
    found = join_features(asked, past.tables, SERVICE)
    ink = recount(raw_picture(items[0]))["ink"]
    assert found["ink"].to_pylist() == [None, ink, ink]


def test_slices_take_their_light_from_the_store(dataset: Dataset) -> None:
    rows = dataset.load()
    light = rows["image"].mean(axis=(1, 2))
    found = Fashion().slices(rows)
    np.testing.assert_array_equal(found["dark pictures"], light < 40)
    np.testing.assert_array_equal(found["bright pictures"], light > 110)
    assert found["dark pictures"].any()
    assert found["bright pictures"].any()


@pytest.fixture(scope="module")
def bundle(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model that has learned nothing."""
    folder = tmp_path_factory.mktemp("bundle") / "fashion"
    return untrained_bundle(workspace, folder, Fashion(), SERVICE, network={"width": 4}, window=WINDOW)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> None:
    monkeypatch.setenv("NORIA_HOME", str(workspace.settings.home))


def ask(past: Past, bundle: Bundle, folder: Path, right: Path) -> Skew:
    folder.mkdir()
    logged = replay(
        past, bundle, materialise=materialise, scratch=folder, progress=lambda *_: None, root=ROOT,
    )  # fmt: skip
    assert len(logged) == ROWS
    return compare_log(logged, service=SERVICE, schema=Fashion.schema, tables=right, join=join_features)


@pytest.mark.usefixtures("home")
def test_what_is_served_beside_the_model_is_what_training_sees_and_a_wrong_value_is_named(
    past: Past, bundle: Bundle, tmp_path: Path
) -> None:
    found = ask(past, bundle, tmp_path / "right", past.tables)
    assert (found.degraded, found.differences, found.values) == (0, (), ROWS * len(NAMES))
    line = json.loads((tmp_path / "right" / "features.jsonl").read_bytes().splitlines()[0])
    assert (set(line["features"]), line["given"]) == (set(NAMES), {})
    table = pq.read_table(past.tables / "item_statistics.parquet")
    wrong = table.set_column(table.column_names.index("width"), "width", table["height"])
    (tmp_path / "tables").mkdir()
    pq.write_table(wrong, tmp_path / "tables" / "item_statistics.parquet")
    planted = ask(replace(past, tables=tmp_path / "tables"), bundle, tmp_path / "wrong", past.tables)
    assert [one.feature for one in planted.differences] == ["width"]
    first = planted.differences[0]
    again = recount(raw_picture(str(first.keys["item"])))
    assert (first.served, first.trained) == (again["height"], again["width"])
    assert planted.share < 0.999
