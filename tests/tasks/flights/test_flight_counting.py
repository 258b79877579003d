"""Counting: what a window's flights and hours lack is counted by the window, and told, not guessed."""

from datetime import UTC, datetime

from small_flights import write_source

from noria.task import CountsSource, Window
from noria.tasks.flights.task import Flights

CANCELLED = {"dep_time": "NA", "arr_time": "NA", "dep_delay": "NA", "arr_delay": "NA", "air_time": "NA"}
DIVERTED = {"arr_time": "NA", "arr_delay": "NA", "air_time": "NA"}
JUNE = Window(start=datetime(2013, 6, 1, tzinfo=UTC), end=datetime(2013, 7, 1, tzinfo=UTC))


def counted(folder, window=JUNE):
    found = Flights().tally(folder, window)
    return {(tally.source, tally.what): tally.rows for tally in found if tally.rows}, found


def test_cancelled_and_diverted_flights_are_counted_as_left_out(tmp_path):
    write_source(tmp_path, flights=[{}, CANCELLED, CANCELLED, DIVERTED, {"tailnum": "NA"}])
    rows, found = counted(tmp_path)
    assert rows["flights", "cancelled, so without a label"] == 2
    assert rows["flights", "diverted, or lost sight of, so without a label"] == 1
    assert rows["flights", "labelled"] == 2
    assert rows["flights", "tailnum is missing"] == 1
    left_out = {tally.what for tally in found if tally.left_out and tally.rows}
    assert left_out == {"cancelled, so without a label", "diverted, or lost sight of, so without a label"}


def test_what_another_window_asks_about_is_not_counted(tmp_path):
    write_source(tmp_path, flights=[{}, CANCELLED | {"month": 7}, CANCELLED | {"day": 30, "sched_dep_time": 2359}])
    rows, _ = counted(tmp_path)
    assert rows["flights", "rows"] == 1  # late on 30 June in New York, it is asked about in July, in UTC
    assert ("flights", "cancelled, so without a label") not in rows


def test_a_window_without_a_flight_counts_nothing_and_says_what_it_looked_for(tmp_path):
    write_source(tmp_path, flights=[{}])
    rows, found = counted(
        tmp_path, Window(start=datetime(2012, 1, 1, tzinfo=UTC), end=datetime(2012, 2, 1, tzinfo=UTC))
    )
    assert rows == {}
    assert len(found) > 10


def test_the_task_counts_through_the_seam():
    assert isinstance(Flights(), CountsSource)
