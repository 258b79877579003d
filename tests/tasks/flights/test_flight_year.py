"""The year 2013, value by value: what stands in the tables at a flight's moment is what a plain recount says.

The recount (known_flights.py) reads the raw files again and sees, at any moment, only the flights that had landed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from known_flights import NEVER, Latest, microseconds, rows_of

from noria.tasks.flights.tables import KEYS

WINDOWS = {"3h": timedelta(hours=3), "1d": timedelta(days=1), "7d": timedelta(days=7)}
MICROSECOND = timedelta(microseconds=1)
QUARTER = timedelta(minutes=15)
# The days of both changes of the clocks and those around them, and the first and last days.
ODD_DAYS = {(1, 1), (3, 9), (3, 10), (3, 11), (11, 2), (11, 3), (11, 4), (12, 30), (12, 31)}


@pytest.fixture(scope="module")
def latest(year):
    return {name: Latest(table, KEYS[name]) for name, table in year.features.items()}


@pytest.fixture(scope="module")
def landed_on(flights):
    """The flights that arrived, by origin and day of landing, so that a recount need not look through the year."""
    found = defaultdict(list)
    for flight in flights:
        if flight.landed:
            found[flight.origin, flight.landed.date()].append(flight)
    return found


@pytest.fixture(scope="module")
def first_landed(flights):
    """When the first flight of an origin, a carrier there and a route had landed."""
    found = defaultdict(lambda: NEVER)
    for flight in flights:
        for key in ((flight.origin,), (flight.carrier, flight.origin), (flight.origin, flight.dest)):
            found[key] = min(found[key], flight.landed or NEVER)
    return found


@pytest.fixture(scope="module")
def questions(flights):
    """Flights and moments: 200 by lot, 60 of odd days, 20 around midnight, and the edges of ticks and windows."""
    draw = random.Random(2013)
    arrived = [flight for flight in flights if flight.landed]
    odd = [flight for flight in arrived if (flight.day.month, flight.day.day) in ODD_DAYS]
    midnight = [flight for flight in arrived if flight.asked.hour in (4, 0) and flight.asked.minute < 5]
    drawn = [*draw.sample(arrived, 200), *draw.sample(odd, 60), *draw.sample(midnight, 20)]
    asked = [(flight, flight.asked) for flight in drawn]
    on_tick = [flight for flight in arrived if flight.landed.minute % 15 == 0]
    beside = [flight for flight in arrived if flight.landed.minute % 15 == 1]
    for flight in [*draw.sample(on_tick, 8), *draw.sample(beside, 4), *draw.sample(odd, 4)]:
        for edge in (timedelta(0), QUARTER, *WINDOWS.values()):
            asked += [(flight, flight.landed + edge + step) for step in (-MICROSECOND, timedelta(0), MICROSECOND)]
    end = max(flight.landed for flight in arrived)
    return [(flight, moment) for flight, moment in asked if moment <= end]


def tick_of(moment):
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return moment - since % QUARTER


def recount(prefix, flights, tick):
    found = {}
    for name, window in WINDOWS.items():
        delays = [flight.delay for flight in flights if tick - window < flight.landed <= tick]
        count = len(delays)
        found[f"{prefix}_flights_{name}"] = count
        found[f"{prefix}_late_share_{name}"] = sum(delay >= 15 for delay in delays) / count if count else None
        found[f"{prefix}_mean_delay_{name}"] = sum(delays) / count if count else None
    return found


def test_every_aggregate_is_what_a_recount_of_the_landed_flights_says(questions, latest, landed_on, first_landed):
    assert len(questions) > 480
    for flight, moment in questions:
        tick = tick_of(moment)
        days = [(flight.origin, tick.date() - timedelta(days=n)) for n in range(9)]
        landed = [other for day in days for other in landed_on[day] if other.landed <= tick]
        of_carrier = [other for other in landed if other.carrier == flight.carrier]
        of_route = [other for other in landed if other.dest == flight.dest]
        for name, key, those in (
            ("origin_congestion", (flight.origin,), landed),
            ("carrier_origin", (flight.carrier, flight.origin), of_carrier),
            ("route", (flight.origin, flight.dest), of_route),
        ):
            said = latest[name].at(key, moment)
            assert said == (recount(name, those, tick) if first_landed[key] <= tick else None), (name, key, moment)


def test_the_last_flight_of_an_aircraft_is_the_last_that_had_landed(questions, latest, flights):
    by_tail = defaultdict(list)
    for flight in flights:
        if flight.landed and flight.tail:
            by_tail[flight.tail].append(flight)
    seen = 0
    for flight, moment in questions:
        landed = sorted(
            (other for other in by_tail[flight.tail] if other.landed <= moment), key=lambda f: (f.landed, f.departed)
        )
        said = latest["aircraft"].at((flight.tail,), moment)
        if not landed:
            assert said is None or said["aircraft_landed"] is None
            continue
        last = landed[-1]
        before = [other for other in landed if other.landed < last.landed]
        gap = (last.departed - before[-1].landed) / timedelta(minutes=1) if before else -1
        assert said["aircraft_arrival_delay"] == last.delay
        assert said["aircraft_landed"] == last.landed.timestamp()
        assert said["aircraft_turn_round"] == (gap if gap >= 0 else None)
        seen += gap >= 0
    assert seen > 300


def test_the_weather_is_the_last_observation_whose_hour_was_over(questions, latest, data):
    hours = defaultdict(list)
    for row in rows_of(data, "weather"):
        over = datetime.fromisoformat(row["time_hour"].replace("Z", "+00:00")) + timedelta(hours=1)
        hours[row["origin"]].append((over, row))
    for flight, moment in questions:
        known = [row for over, row in hours[flight.origin] if over <= moment]
        said = latest["origin_weather"].at((flight.origin,), moment)
        assert said["weather_temperature"] == number(known[-1]["temp"])
        assert said["weather_wind_gust"] == number(known[-1]["wind_gust"])
        assert said["weather_pressure"] == number(known[-1]["pressure"])


def number(text):
    return None if text == "NA" else float(text)


def test_what_the_registration_says_is_known_of_every_flight(questions, latest, data):
    planes = {row["tailnum"]: row for row in rows_of(data, "planes")}
    for flight, moment in questions:
        plane = planes.get(flight.tail)
        said = latest["aircraft"].at((flight.tail,), moment)
        if plane:
            assert said["aircraft_type"] == plane["type"]
            assert said["aircraft_seats"] == float(plane["seats"])
            assert said["aircraft_year"] == number(plane["year"])
        elif said:
            assert said["aircraft_type"] is said["aircraft_seats"] is said["aircraft_year"] is None


def test_each_flight_that_arrived_is_labelled_once_and_in_order(year, flights):
    arrived = sorted((flight for flight in flights if flight.landed), key=lambda flight: (flight.asked, flight.name))
    table = year.labelled
    assert table["flight"].to_pylist() == [flight.name for flight in arrived]
    assert len(set(table["flight"].to_pylist())) == len(arrived) == 327_346
    assert table["event_timestamp"].cast("int64").to_pylist() == [microseconds(flight.asked) for flight in arrived]
    assert table["label"].to_pylist() == [int(flight.delay >= 15) for flight in arrived]
    assert table["label_timestamp"].cast("int64").to_pylist() == [microseconds(flight.landed) for flight in arrived]
    assert table["aircraft_day"].to_pylist() == [f"{flight.tail} {flight.day}" for flight in arrived]
    assert table["weekday"].to_pylist() == [flight.day.weekday() for flight in arrived]
    assert all(flight.landed > flight.asked for flight in arrived)


def test_no_table_has_two_rows_of_one_key_and_instant_and_all_stand_in_order_of_time(year):
    for name, table in year.features.items():
        rows = table.select(["event_timestamp", *KEYS[name]])
        assert rows.equals(rows.sort_by([(column, "ascending") for column in rows.column_names])), name
        assert rows.group_by(rows.column_names).aggregate([]).num_rows == rows.num_rows, name


def test_nothing_is_stamped_later_than_the_source_speaks_of(year, flights):
    end = max(flight.landed for flight in flights if flight.landed)
    for table in year.features.values():
        assert table["event_timestamp"][-1].as_py() < end + QUARTER


def test_what_has_no_label_is_counted(year):
    counted = {(tally.source, tally.what): tally.rows for tally in year.tallies}
    assert counted["flights", "rows"] == 336_776
    assert counted["flights", "cancelled, so without a label"] == 8_255
    assert counted["flights", "diverted, or lost sight of, so without a label"] == 1_175
    assert counted["flights", "labelled"] == 336_776 - 8_255 - 1_175
    assert counted["flights", "labelled late"] == 80_100
    assert counted["weather", "wind_speed is impossible, so missing"] == 1
    # A clock in Florida that showed 02:03 in the night of 10 March, when there was no such time.
    assert counted["flights", "landed at another time than its clock says"] == 1
