"""The training dataset, through the feature store: every value is what a recount of the raw files says.

The days are those around 10 March, when New York's clocks were put forward.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from known_flights import flights_of, rows_of
from part_of_year import write_part
from test_flight_year import number, recount, tick_of

pytest.importorskip("feast", reason="feast is not installed: pip install 'noria[features]'")

from feature_repo.training import join_features
from noria.ml.dataset import open_dataset
from noria.settings import Settings
from noria.steps import features, ingest, tables, validate
from noria.steps.workspace import Workspace
from noria.task import TakesFeatures, Window
from noria.tasks.flights.service import SERVICE
from noria.tasks.flights.task import Flights

ROOT = Path(__file__).parents[3]
DAYS = [(3, day) for day in range(1, 13)]
WINDOW = Window(start=datetime(2013, 3, 9, tzinfo=UTC), end=datetime(2013, 3, 12, tzinfo=UTC))
HOUR = timedelta(hours=1)
TTL = {view.name: timedelta(seconds=view.ttl_seconds) for view in SERVICE.views}
REQUEST = {"carrier", "origin", "dest", "distance", "scheduled_hour", "weekday"}
RULES = {"min_rows": 100}


@pytest.fixture(scope="module")
def source(data, tmp_path_factory):
    return write_part(data, tmp_path_factory.mktemp("flights") / "part", DAYS)


@pytest.fixture(scope="module")
def told(source):
    """The same flights, told by plain Python."""
    return flights_of(source)


class Made:
    """A dataset of the window, as of a moment, with the tables it was made of."""

    def __init__(self, home, source, *, as_of=WINDOW.end):
        self.workspace = Workspace(
            settings=Settings.from_environment({"NORIA_HOME": str(home), "NORIA_SOURCE_FLIGHTS": str(source)})
        )
        self.read = ingest.ingest(
            self.workspace, task="flights", source="", window=WINDOW, as_of=as_of, progress=lambda *_: None
        )
        self.uri = features.add_features(
            self.workspace, task="flights", events=self.read.uri, tables=self.read.tables, join=join_features,
            progress=lambda *_: None,
        )  # fmt: skip
        self.dataset = self.workspace.fetch_dataset(self.uri)
        self.table = pq.read_table(self.dataset.folder / "part-00000.parquet")
        self.tables, self.facts = tables.open_tables(self.workspace, self.read.tables)

    def validate(self):
        return validate.validate(
            self.workspace, uri=self.uri, validation_days=1, holdout_days=1, window=WINDOW, as_of=self.facts.as_of,
            rules=RULES, code="test", progress=lambda *_: None,
        )  # fmt: skip


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    return Made(tmp_path_factory.mktemp("home"), source)


def test_each_flight_whose_label_was_known_stands_there_once_and_in_order(made, told):
    asked = [flight for flight in told if flight.landed and WINDOW.start <= flight.asked < WINDOW.end]
    known = sorted((flight for flight in asked if flight.landed <= WINDOW.end), key=lambda f: (f.asked, f.name))
    assert len(known) > 2000
    assert made.table["flight"].to_pylist() == [flight.name for flight in known]
    assert made.table["event_timestamp"].to_pylist() == [flight.asked for flight in known]
    assert made.table["label_timestamp"].to_pylist() == [flight.landed for flight in known]
    assert made.table["label"].to_pylist() == [int(flight.delay >= 15) for flight in known]
    assert made.table["tailnum"].to_pylist() == [flight.tail for flight in known]
    assert made.read.unknown == len(asked) - len(known) > 50


def test_every_value_is_what_was_known_by_a_recount_of_the_raw_files(made, told, source):
    by_name, landed = {flight.name: flight for flight in told}, defaultdict(list)
    for flight in told:
        if flight.landed:
            landed[flight.origin].append(flight)
    weather = defaultdict(list)
    for row in rows_of(source, "weather"):
        weather[row["origin"]].append((datetime.fromisoformat(row["time_hour"].replace("Z", "+00:00")) + HOUR, row))
    planes = {row["tailnum"]: row for row in rows_of(source, "planes")}
    for row in random.Random(310).sample(made.table.to_pylist(), 150):
        flight = by_name[row["flight"]]
        tick = tick_of(flight.asked)
        at_origin = [other for other in landed[flight.origin] if other.landed <= tick]
        for prefix, those in (
            ("origin_congestion", at_origin),
            ("carrier_origin", [other for other in at_origin if other.carrier == flight.carrier]),
            ("route", [other for other in at_origin if other.dest == flight.dest]),
        ):
            expected = recount(prefix, those, tick)
            if not those:
                expected = dict.fromkeys(expected)
            assert {name: row[name] for name in expected} == expected, flight
        last = max((over, n) for n, (over, _) in enumerate(weather[flight.origin]) if over <= flight.asked)
        assert flight.asked - last[0] <= TTL["origin_weather"]
        seen = weather[flight.origin][last[1]][1]
        assert row["weather_temperature"] == number(seen["temp"])
        assert row["weather_wind_gust"] == number(seen["wind_gust"])
        assert row["aircraft_seats"] == (float(planes[flight.tail]["seats"]) if flight.tail in planes else None)
        own = [other for other in told if other.tail == flight.tail and other.landed and other.landed <= flight.asked]
        own.sort(key=lambda other: (other.landed, other.departed))
        assert row["aircraft_arrival_delay"] == (own[-1].delay if own else None)
        assert row["aircraft_idle"] == ((flight.asked - own[-1].landed) / timedelta(minutes=1) if own else None)


def test_weather_grows_too_old_and_a_count_does_not(made, source, tmp_path):
    folder = tmp_path / "dry"
    write_part(source, folder, DAYS)
    rows = [row for row in rows_of(source, "weather") if (row["origin"], row["day"]) != ("JFK", "10")]
    (folder / "weather.csv").write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]))
    dry = Made(tmp_path / "home", folder)
    missing = dry.table.filter(pc.is_null(dry.table["weather_temperature"]))
    assert set(missing["origin"].to_pylist()) == {"JFK"}
    first = min(missing["event_timestamp"].to_pylist())
    last_known = datetime(2013, 3, 10, 5, tzinfo=UTC)  # hour 23 of the 9th in New York, known when it is over
    assert last_known + TTL["origin_weather"] < first < last_known + TTL["origin_weather"] + 3 * HOUR
    names = [name for name in made.table.column_names if not name.startswith("weather")]
    assert dry.table.select(names).equals(made.table.select(names))


def test_no_table_that_training_reads_has_a_row_from_after_the_moment(made):
    for name, facts in made.facts.tables.items():
        stamps = pq.read_table(made.tables / f"{name}.parquet")["event_timestamp"]
        assert pc.max(stamps).as_py() <= WINDOW.end
        assert len(stamps) == facts.rows
    assert sum(facts.left_out for facts in made.facts.tables.values()) > 1000


def test_what_becomes_known_later_adds_rows_and_changes_none(made, source, tmp_path):
    later = Made(tmp_path, source, as_of=WINDOW.end + timedelta(days=2))
    assert later.read.unknown == 0
    assert len(later.table) == len(made.table) + made.read.unknown
    known = later.table.filter(pc.less_equal(later.table["label_timestamp"], pa.scalar(WINDOW.end)))
    assert known.equals(made.table)


def test_equal_sources_give_equal_addresses(made, source, tmp_path):
    again = Made(tmp_path, source)
    assert [uri.rpartition("/")[2] for uri in (again.read.uri, again.read.tables, again.uri)] == [
        uri.rpartition("/")[2] for uri in (made.read.uri, made.read.tables, made.uri)
    ]


def test_the_schema_names_what_the_service_serves_and_nothing_else():
    served = {field.name for field in SERVICE.fields()} - {"aircraft_landed"} | {"aircraft_idle"}
    assert served == {column.name for column in Flights.schema.features} - REQUEST
    assert isinstance(Flights(), TakesFeatures)
    assert {column.name for column in Flights.schema.columns} >= {column.name for column in Flights.events.columns}


def test_honest_features_pass_validation(made):
    found = made.validate()
    assert found.findings.violations == ()


class Early(Flights):
    """Planted: the last landing of an aircraft is stamped half a day before it was known."""

    def write_features(self, source, folder):
        super().write_features(source, folder)
        table = pq.read_table(folder / "aircraft.parquet")
        early = pc.subtract(table["event_timestamp"], pa.scalar(timedelta(hours=12)))
        place = table.column_names.index("event_timestamp")
        table = table.set_column(place, "event_timestamp", early.cast(table["event_timestamp"].type))
        pq.write_table(table, folder / "aircraft.parquet")


class Disguised(Flights):
    """Planted: the distance tells the delay."""

    def read(self, source, window):
        for table in super().read(source, window):
            told = pc.add(table["distance"], pc.multiply(table["label"].cast("float64"), 5_000.0))
            yield table.set_column(table.column_names.index("distance"), "distance", told)


@pytest.mark.parametrize(
    ("leak", "name", "others"),
    # An aircraft that has landed after the question shows in how long it has been idle, too.
    [(Early, "aircraft_arrival_delay", {("range", "aircraft_idle")}), (Disguised, "distance", set())],
)
def test_a_planted_leak_is_caught_by_validation_and_named(monkeypatch, source, tmp_path, leak, name, others):
    for module in (ingest, features, validate):
        monkeypatch.setattr(module, "load_task", lambda _: leak())
    found = Made(tmp_path, source).validate()
    violations = {(finding.rule, finding.column) for finding in found.findings.violations}
    assert violations == {("disguise", name), *others}
    assert re.search(f"disguise {name}: alone it tells the label with an AUC of (0.9|1.0)", str(found.refusal))


def noria(source, home, *words):
    environment = {"PATH": "/usr/bin:/bin", "NORIA_HOME": str(home), "NORIA_SOURCE_FLIGHTS": str(source)}
    return subprocess.run(
        [Path(sys.executable).with_name("noria"), *words], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_the_command_writes_the_dataset_whole_and_never_over_another(made, source, tmp_path):
    words = ("dataset", "--task", "flights", "--from", "2013-03-09", "--to", "2013-03-12", "--out")
    done = noria(source, tmp_path / "home", *words, str(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["rows"], said["not_known_yet"]) == (len(made.table), made.read.unknown)
    assert said["digest"] == made.dataset.digest == open_dataset(tmp_path / "out").digest
    assert said["classes"]["late"] == sum(made.table["label"].to_pylist())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dataset.json", "part-00000.parquet"]
    again = noria(source, tmp_path / "home", *words, str(tmp_path / "out"))
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out"]


def test_the_whole_pipeline_trains_on_that_dataset_and_a_second_run_repeats_nothing(made, source, tmp_path):
    words = ("run", "--task", "flights", "--as-of", "2013-03-12", "--json")
    given = ("start=2013-03-09", "validation_days=1", "holdout_days=1", "epochs=1", "threads=1", "network.width=8")
    pairs = [word for pair in given for word in ("--param", pair)]
    first = noria(source, tmp_path, *words, *pairs)
    assert first.returncode in (0, 3), first.stderr  # a model of two days and one epoch need not pass the gates
    said = json.loads(first.stdout)
    assert said["dataset"] == made.dataset.digest
    assert said["bundle"]
    again = noria(source, tmp_path, *words, *pairs)
    assert again.returncode == first.returncode, again.stderr
    (run, *_) = json.loads(noria(source, tmp_path, "status", "--task", "flights", "--json").stdout)["runs"]
    assert {"ingest", "features", "validate", "train"} <= run["steps"].keys()
    assert {step for step, seconds in run["steps"].items() if seconds} <= {"settle", "deploy"}, run["steps"]
    assert run["parameters"]["as_of"] == run["parameters"]["end"] == "2013-03-12"
