"""Skew: flights of the past put to a real predictor, with the store as it was at each moment, beside the join."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from part_of_year import write_part
from untrained import untrained_bundle

pytest.importorskip("feast", reason="feast is not installed: pip install 'noria[features]'")

from feature_repo.materialising import materialise
from feature_repo.training import join_features
from noria.settings import Settings
from noria.steps import features, ingest, tables
from noria.steps.replay import Past, replay
from noria.steps.skew import compare_log
from noria.steps.workspace import Workspace
from noria.task import Window
from noria.tasks.flights.service import SERVICE
from noria.tasks.flights.task import Flights

ROOT = Path(__file__).parents[3]
DAYS = [(7, day) for day in range(1, 5)]
WINDOW = Window(start=datetime(2013, 7, 3, tzinfo=UTC), end=datetime(2013, 7, 5, tzinfo=UTC))
ROWS = 150
PLANT = """
import noria.features
right = noria.features.age_minutes
noria.features.age_minutes = lambda asked, instants: right(asked, instants) / 60
"""


@pytest.fixture(scope="module")
def workspace(data, tmp_path_factory):
    source = write_part(data, tmp_path_factory.mktemp("flights") / "part", DAYS)
    home = tmp_path_factory.mktemp("home")
    settings = Settings.from_environment({"NORIA_HOME": str(home), "NORIA_SOURCE_FLIGHTS": str(source)})
    return Workspace(settings=settings)


@pytest.fixture(scope="module")
def past(workspace):
    read = ingest.ingest(
        workspace, task="flights", source="", window=WINDOW, as_of=WINDOW.end, progress=lambda *_: None
    )
    uri = features.add_features(
        workspace, task="flights", events=read.uri, tables=read.tables, join=join_features, progress=lambda *_: None
    )
    folder, _ = tables.open_tables(workspace, read.tables)
    return Past(dataset=workspace.fetch_dataset(uri), service=SERVICE, tables=folder, rows=ROWS)


@pytest.fixture(scope="module")
def bundle(workspace, tmp_path_factory):
    """A model that has learned nothing: what it is given is looked at, not what it says."""
    folder = tmp_path_factory.mktemp("bundle") / "flights"
    return untrained_bundle(workspace, folder, Flights(), SERVICE, network={"width": 8, "depth": 1}, window=WINDOW)


def ask(past, bundle, workspace, folder):
    logged = replay(
        past, bundle, materialise=materialise, scratch=folder, progress=lambda *_: None, root=ROOT,
    )  # fmt: skip
    assert len(logged) == ROWS
    return compare_log(logged, service=SERVICE, schema=Flights.schema, tables=past.tables, join=join_features)


@pytest.fixture(autouse=True)
def home(monkeypatch, workspace):
    monkeypatch.setenv("NORIA_HOME", str(workspace.settings.home))


def test_what_is_served_is_what_training_would_have_seen(past, bundle, workspace, tmp_path):
    found = ask(past, bundle, workspace, tmp_path)
    assert (found.degraded, found.differences) == (0, ())
    assert found.share == 1.0
    assert found.values == ROWS * 43


def noria(*words, folder):
    return subprocess.run(
        [Path(sys.executable).with_name("noria"), "skew", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_compares_a_log_and_fails_where_too_little_is_equal(past, bundle, workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("NORIA_SOURCE_FLIGHTS", str(workspace.settings.sources["flights"]))
    ask(past, bundle, workspace, tmp_path)
    log = tmp_path / "features.jsonl"
    right = noria("--task", "flights", "--log", str(log), "--json", folder=ROOT)
    assert right.returncode == 0, right.stderr
    assert json.loads(right.stdout)["share"] == 1.0
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    for line in lines:
        line["features"]["aircraft_idle"] = 0.0
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    wrong = noria("--task", "flights", "--log", str(log), folder=ROOT)
    assert wrong.returncode == 1
    assert "less than 99.90%" in wrong.stdout
    assert "aircraft_idle" in wrong.stdout
    fashion = noria("--task", "fashion", "--log", str(log), folder=ROOT)
    assert fashion.returncode == 2
    assert "lacks item: service fashion_v1 is found by item" in " ".join(fashion.stderr.split())


def test_a_bug_that_is_planted_in_the_predictors_transform_is_found_and_named(
    past, bundle, workspace, tmp_path, monkeypatch
):
    (tmp_path / "sitecustomize.py").write_text(PLANT)
    paths = (str(tmp_path), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    found = ask(past, bundle, workspace, tmp_path)
    assert [one.feature for one in found.differences] == ["aircraft_idle"]
    assert found.share < 0.999
