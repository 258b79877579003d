"""The rule of flights: late shares of the last four weeks, by hand, and the graph that tells them."""

import numpy as np
import pytest
from known_rows import make_rows

from noria.errors import TrainingError
from noria.ml.rule import export_rule
from noria.tasks.flights.rule import FEWEST, fit_rule
from noria.tasks.flights.schema import ROWS
from noria.tasks.flights.task import Flights

END = np.datetime64("2013-05-01T12:00", "us")


def flights(*groups):
    """Rows and labels of (carrier, origin, hour, days before the end, flights, late ones of them)."""
    rows, labels = {"carrier": [], "origin": [], "scheduled_hour": [], "event_timestamp": []}, []
    for carrier, origin, hour, days, count, late in groups:
        rows["carrier"] += [carrier] * count
        rows["origin"] += [origin] * count
        rows["scheduled_hour"] += [hour] * count
        rows["event_timestamp"] += [END - np.timedelta64(days, "D")] * count
        labels += [1] * late + [0] * (count - late)
    kinds = {"carrier": object, "origin": object, "scheduled_hour": np.int64, "event_timestamp": "datetime64[us]"}
    return {name: np.array(values, kinds[name]) for name, values in rows.items()}, np.array(labels)


def ask(rule, carrier, origin, hour):
    asked = {"carrier": carrier, "origin": origin, "scheduled_hour": hour}
    return rule({name: np.array([value], object if isinstance(value, str) else None) for name, value in asked.items()})


def test_a_group_with_flights_enough_tells_its_own_share():
    rule = fit_rule(*flights(("UA", "EWR", 17, 0, 40, 30), ("UA", "EWR", 6, 1, 60, 0)))
    evening, morning = ask(rule, "UA", "EWR", 17), ask(rule, "UA", "EWR", 6)
    assert evening.shape == (1, 2)
    assert evening.sum() == morning.sum() == 1
    assert evening[0, 1] == pytest.approx(30.3 / 41, abs=0.001)  # with the flight more of the coarser groups, of 0.3
    assert 0 < morning[0, 1] < 0.01


def test_a_group_of_few_flights_goes_by_the_coarser_one():
    few = FEWEST - 1
    rule = fit_rule(
        *flights(("UA", "EWR", 17, 0, few, few), ("UA", "EWR", 6, 0, 200, 20), ("B6", "JFK", 6, 0, 100, 80))
    )
    carrier = (few + 20) / (few + 200)
    assert ask(rule, "UA", "EWR", 17)[0, 1] == pytest.approx(carrier, abs=0.005)
    assert ask(rule, "UA", "EWR", 23)[0, 1] == pytest.approx(carrier, abs=0.005)
    assert ask(rule, "DL", "JFK", 6)[0, 1] == pytest.approx(0.8, abs=0.005)  # of the origin in the hour
    assert ask(rule, "DL", "JFK", 9)[0, 1] == pytest.approx(0.8, abs=0.005)  # of the origin
    assert ask(rule, "DL", "LGA", 9)[0, 1] == pytest.approx((few + 100) / (few + 300), abs=0.005)  # of all


def test_what_is_older_than_four_weeks_does_not_count():
    recent = flights(("UA", "EWR", 17, 0, 30, 3), ("UA", "EWR", 17, 27, 30, 3))
    with_old = flights(("UA", "EWR", 17, 0, 30, 3), ("UA", "EWR", 17, 27, 30, 3), ("UA", "EWR", 17, 28, 90, 90))
    assert (ask(fit_rule(*recent), "UA", "EWR", 17) == ask(fit_rule(*with_old), "UA", "EWR", 17)).all()


def test_its_graph_answers_as_it_does_on_any_row_of_the_schema():
    rows = make_rows(ROWS, 900)
    rows["event_timestamp"] = END - np.random.default_rng(1).integers(0, 28 * 24, 900) * np.timedelta64(1, "h")
    rule = fit_rule(rows, np.random.default_rng(2).integers(0, 2, 900))
    rows["carrier"][:3] = "XX", "", ROWS["carrier"].choices[0]
    assert export_rule(Flights(), rule, rows)


def test_rows_without_their_time_are_refused():
    rows, labels = flights(("UA", "EWR", 17, 0, 30, 3))
    del rows["event_timestamp"]
    with pytest.raises(TrainingError, match="lack 'event_timestamp': expected it beside the features"):
        fit_rule(rows, labels)
