"""Exploration: every figure is what a plain count over the rows says, and personal columns stay closed."""

import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.errors import DatasetError
from noria.ml.correlations import correlate, rank, tie_to_classes
from noria.ml.distributions import BINS, categorize, distribute
from noria.ml.exploration import Exploration, explore
from noria.ml.measures import Measure
from noria.ml.seasons import find_seasons
from noria.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id", personal="pseudonymous"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="flow", type="float32", role="feature"),
        Column(name="gates", type="int64", role="feature"),
        Column(name="site", type="string", role="feature"),
        Column(name="picture", type="uint8", role="feature", shape=(2, 2)),
        Column(name="age", type="int64", role="feature", personal="personal"),
        Column(name="label", type="int64", role="label"),
    )
)


def rows_of(count=100):
    random = np.random.default_rng(3)
    return {
        "id": np.array([f"item-{row}" for row in range(count)], object),
        "time": np.datetime64("2025-03-30T22:00", "us") + np.arange(count) * np.timedelta64(1, "h"),
        "flow": random.normal(size=count).astype(np.float32),
        "gates": np.arange(count),
        "site": np.array([["north", "south", None, "south"][row % 4] for row in range(count)], object),
        "picture": random.integers(0, 256, (count, 2, 2)).astype(np.uint8),
        "age": np.arange(count),
        "label": np.arange(count) % 2,
    }


def measure_of(values, name="flow"):
    return Measure(name=name, values=np.array(values, np.float64), missing=0, nonfinite=0)


def test_a_dataset_is_told_whole():
    rows = rows_of()
    rows["flow"][:3] = np.nan
    rows["flow"][3] = np.inf
    nulls = {"gates": np.arange(100) < 10, "label": np.arange(100) == 99}
    found = explore(SCHEMA, rows, ("fine", "foul"), nulls)
    assert (found.rows, found.balance, found.unlabelled) == (100, (50, 49), 1)
    assert (found.start, found.end) == ("2025-03-30T22:00:00.000000", "2025-04-04T01:00:00.000000")
    lacking = {each.name: each.rows for each in found.missing}
    assert lacking == {
        "id": 0, "time": 0, "flow": 3, "gates": 10, "site": 25, "picture": 0, "age": 0, "label": 1
    }  # fmt: skip
    flow, gates, mean, deviation = found.distributions
    assert [each.name for each in (mean, deviation)] == ["picture: mean", "picture: deviation"]
    assert (flow.missing, flow.nonfinite, sum(flow.counts) + flow.outliers) == (3, 1, 96)
    assert gates.quantiles[0] == 10
    assert mean.mean == pytest.approx(rows["picture"].mean())
    (site,) = found.categories
    assert (site.most, site.missing, site.distinct, site.others) == ((("south", 50), ("north", 25)), 25, 2, 0)
    assert found.unseen == ("age",)


def test_what_is_personal_is_only_counted():
    columns = tuple(
        dataclasses.replace(column, personal="sensitive") if column.name in ("time", "flow", "site") else column
        for column in SCHEMA.columns
    )
    found = explore(Schema(columns=columns), rows_of(), ("fine", "foul"))
    text = msgspec.json.encode(found).decode()
    for told in ("south", "item-", "2025-03"):
        assert told not in text
    assert found.unseen == ("flow", "site", "age")
    assert {name for pair in found.pairs for name in (pair.first, pair.second)} == {
        "gates", "picture: mean", "picture: deviation"
    }  # fmt: skip


def test_no_rows_and_one_row_are_told_as_well():
    none = explore(SCHEMA, {name: values[:0] for name, values in rows_of().items()}, ("fine", "foul"))
    assert (none.rows, none.start, none.balance, none.pairs, none.ties) == (0, "", (0, 0), (), ())
    one = explore(SCHEMA, {name: values[:1] for name, values in rows_of().items()}, ("fine", "foul"))
    assert one.distributions[0].counts == (1,)
    assert one.pairs == ()


def test_an_exploration_survives_json():
    found = explore(SCHEMA, rows_of(), ("fine", "foul"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Exploration) == found


def test_a_column_that_is_absent_is_named():
    rows = rows_of()
    del rows["flow"]
    with pytest.raises(DatasetError, match="the rows lack flow"):
        explore(SCHEMA, rows, ("fine", "foul"))


def test_what_lies_far_out_is_counted_beside_the_histogram():
    found = distribute(measure_of([*range(1, 101), -1000, 5000, 6000]))
    assert (found.under, found.over, found.outliers) == (1, 2, 3)
    assert (len(found.counts), sum(found.counts)) == (BINS, 100)
    assert (found.quantiles[0], found.quantiles[3], found.quantiles[-1]) == (-1000, 51, 6000)


def test_where_most_values_are_equal_nothing_is_called_an_outlier():
    assert distribute(measure_of([0] * 90 + [5] * 10)).outliers == 0


def plain_ranks(values):
    """The mean of the places that equal values take."""
    return [np.mean([place for place, other in enumerate(sorted(values)) if other == value]) for value in values]


@given(st.lists(st.one_of(st.just(np.nan), st.integers(-5, 5).map(float), st.floats(-1e6, 1e6)), max_size=40))
def test_every_value_is_in_one_bin_or_beyond(values):
    found = distribute(measure_of(values))
    assert sum(found.counts) + found.under + found.over == np.isfinite(values).sum()


def test_ranks_are_correlated_over_the_rows_that_have_both():
    random = np.random.default_rng(4)
    first = random.integers(0, 20, 300).astype(float)
    second = first**3 + random.normal(size=300) * 500
    (pair,) = correlate([measure_of(first, "a"), measure_of(second, "b")])
    assert pair.value == pytest.approx(np.corrcoef(plain_ranks(first), plain_ranks(second))[0, 1])
    second[::2] = np.nan
    (half,) = correlate([measure_of(first, "a"), measure_of(second, "b")])
    assert half.rows == 150
    expected = np.corrcoef(rank(first)[1::2], rank(second)[1::2])[0, 1]
    assert half.value == pytest.approx(expected)


def test_pairs_come_strongest_first_and_without_those_that_do_not_vary():
    line = np.arange(50.0)
    zigzag = np.where(np.arange(50) % 2, line, -line)
    found = correlate(
        [measure_of(line, "a"), measure_of(-line, "b"), measure_of(zigzag, "c"), measure_of([7] * 50, "d")]
    )
    assert (found[0].first, found[0].second, found[0].value) == ("a", "b", pytest.approx(-1))
    assert {pair.second for pair in found} == {"b", "c"}
    assert [abs(pair.value) for pair in found] == sorted((abs(pair.value) for pair in found), reverse=True)


def test_a_measure_that_is_the_class_tells_all_and_one_by_lot_nothing():
    labels = np.arange(2000) % 4
    lot = np.random.default_rng(5).normal(size=2000)
    found = tie_to_classes([measure_of(lot, "lot"), measure_of(labels * 2.0, "same")], labels, 4)
    assert [ties.name for ties in found] == ["same", "lot"]
    assert found[0].value == pytest.approx(1)
    assert found[1].value < 0.01


def test_rows_and_classes_are_counted_by_hour_weekday_and_month():
    times = np.array(["2024-12-31T23:59:59", "2025-01-01T00:00", "2025-03-01T00:30", "NaT"], "datetime64[us]")
    hour, weekday, month = find_seasons(times, np.array([0, 1, -1, 1]), 2)
    assert (hour.rows[23], hour.rows[0], sum(hour.rows)) == (1, 2, 3)
    assert hour.classes[0] == (0, 1)
    assert [part for part, rows in zip(weekday.parts, weekday.rows, strict=True) if rows] == ["Tue", "Wed", "Sat"]
    assert (month.parts, month.rows) == (("2024-12", "2025-01", "2025-02", "2025-03"), (1, 1, 0, 1))
    assert month.classes == ((1, 0), (0, 1), (0, 0), (0, 0))


def test_the_rarest_texts_are_counted_together():
    values = np.array([f"site-{row % 20:02d}" for row in range(50)], object)
    found = categorize("site", values)
    assert (found.distinct, len(found.most), found.most[0]) == (20, 12, ("site-00", 3))
    assert sum(rows for _, rows in found.most) + found.others == 50
