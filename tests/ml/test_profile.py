import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.errors import DatasetError
from noria.ml.profile import Profile, decode, describe, encode, merge
from noria.ml.series import STEPS, count_numbers
from noria.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id", personal="pseudonymous"),
        Column(name="at", type="timestamp", role="time"),
        Column(name="image", type="uint8", role="feature", shape=(4, 4), minimum=0, maximum=255),
        Column(name="speed", type="float32", role="feature", unit="m/s", minimum=-1.0, maximum=0.1),
        Column(name="height", type="float64", role="feature"),
        Column(name="vector", type="float64", role="feature", shape=(3,), minimum=-2, maximum=2),
        Column(name="flag", type="bool", role="feature"),
        Column(name="carrier", type="string", role="feature"),
        Column(name="income", type="float64", role="feature", minimum=0, maximum=1e6, personal="sensitive"),
        Column(name="kind", type="int64", role="label"),
    )
)
REPEATABLE = settings(deadline=None, derandomize=True)
FLOATS = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -1.0, 0.1, 0.0])


@st.composite
def windows(draw, most=12):
    count = draw(st.integers(0, most))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = draw(st.lists(FLOATS, min_size=count, max_size=count))
    rows = {
        "id": np.array([f"r{row}" for row in range(count)], dtype=object),
        "at": np.datetime64("2026-01-01", "us") + generator.integers(0, 10**12, count).astype("timedelta64[us]"),
        "image": generator.integers(0, 256, (count, 4, 4), dtype=np.uint8),
        "speed": np.array(numbers, dtype=np.float32),
        "height": np.array(numbers, dtype=np.float64),
        "vector": generator.normal(size=(count, 3)),
        "flag": generator.random(count) < 0.5,
        "carrier": np.array([None, "AA", "B6", "ÜX"], dtype=object)[generator.integers(0, 4, count)],
        "income": generator.uniform(0, 1e6, count),
        "kind": generator.integers(-1, 4, count),
    }
    return rows, generator.dirichlet(np.ones(3), size=count)


def together(*parts):
    rows = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
    return rows, np.concatenate([part[1] for part in parts])


@REPEATABLE
@given(windows(), windows(), windows())
def test_merging_equals_describing_both_in_any_order(first, second, third):
    a, b, c = (describe(SCHEMA, *part) for part in (first, second, third))
    assert merge(a, b) == describe(SCHEMA, *together(first, second)) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@REPEATABLE
@given(windows())
def test_no_rows_are_the_identity_of_merging(window):
    whole = describe(SCHEMA, *window)
    nothing = describe(SCHEMA, *({name: values[:0] for name, values in window[0].items()}, window[1][:0]))
    assert merge(whole, nothing) == merge(nothing, whole) == whole


@REPEATABLE
@given(windows())
def test_each_row_is_counted_once_in_each_column(window):
    found = describe(SCHEMA, *window)
    for column in found.columns:
        for series in column.series:
            assert column.nulls + column.nonfinite + series.rows == found.rows == column.rows
    assert sum(found.labels) + found.unlabelled == found.rows
    assert sum(found.predictions) + found.unpredicted == found.confidence.rows + found.unpredicted == found.rows


@REPEATABLE
@given(windows())
def test_what_is_written_reads_back(window):
    found = describe(SCHEMA, *window)
    assert decode(encode(found)) == found
    assert encode(decode(encode(found))) == encode(found)


def example(rows=1000):
    generator = np.random.default_rng(0)
    return {
        "id": np.array([f"r{row}" for row in range(rows)], dtype=object),
        "at": np.datetime64("2026-01-01", "us") + np.arange(rows).astype("timedelta64[us]"),
        "image": generator.integers(0, 256, (rows, 4, 4), dtype=np.uint8),
        "speed": generator.uniform(-1, 0.1, rows).astype(np.float32),
        "height": generator.lognormal(size=rows),
        "vector": generator.uniform(-2, 2, (rows, 3)),
        "flag": np.ones(rows, bool),
        "carrier": np.full(rows, "AA", dtype=object),
        "income": np.full(rows, 123456.0),
        "kind": np.arange(rows) % 3,
    }, generator.dirichlet(np.ones(3), size=rows)


def column_of(profile, name):
    return next(column for column in profile.columns if column.name == name)


def test_mean_and_deviation_hold_to_the_resolution_that_is_promised():
    rows, probabilities = example()
    found = describe(SCHEMA, rows, probabilities)
    (speed,) = column_of(found, "speed").series
    assert speed.mean == pytest.approx(rows["speed"].astype(float).mean(), abs=1.1 / STEPS)
    assert speed.std == pytest.approx(rows["speed"].astype(float).std(), abs=1.1 / STEPS)
    means, deviations, _ = column_of(found, "image").series
    assert means.mean == pytest.approx(rows["image"].mean(), abs=256 / STEPS)
    assert deviations.mean == pytest.approx(rows["image"].std(axis=(1, 2)).mean(), abs=256 / STEPS)
    (height,) = column_of(found, "height").series
    assert height.scale == "symlog"
    assert height.mean == pytest.approx(np.log10(1 + rows["height"]).mean(), abs=24 / STEPS)
    assert math.isnan(count_numbers("x", np.empty(0), 0, 1).mean)


def test_bounds_belong_to_the_outer_bins_and_what_lies_beyond_is_counted_apart():
    found = count_numbers("x", np.array([-5.0, -0.1, 0.0, 0.5, 1.0, 1.1, 1e300]), 0.0, 1.0, bins=4)
    assert (found.under, found.over, found.counts) == (2, 2, (1, 0, 1, 1))
    at_the_bound = count_numbers("x", np.array([0.1], dtype=np.float32), 0.0, 0.1)  # 0.1000000015 as float64
    assert (at_the_bound.over, at_the_bound.counts[-1]) == (0, 1)


def test_each_small_integer_has_its_own_bin():
    assert count_numbers("x", np.arange(5), 0, 4, bins=5).counts == (1, 1, 1, 1, 1)
    assert describe(SCHEMA, *example()).columns[6].series[0].counts[-1] == 1000


def test_strings_spread_over_all_bins():
    rows, probabilities = example()
    rows["carrier"] = rows["id"]
    (carriers,) = column_of(describe(SCHEMA, rows, probabilities), "carrier").series
    assert (carriers.scale, carriers.rows, min(carriers.counts) > 0) == ("hash", 1000, True)


def test_nulls_and_numbers_that_are_not_finite_are_counted_apart():
    rows, probabilities = example(6)
    rows["speed"][:3] = [np.nan, np.inf, np.nan]
    rows["vector"][0] = np.nan
    rows["vector"][1, 2] = np.nan
    probabilities[4] = np.nan
    found = describe(SCHEMA, rows, probabilities, {"kind": np.arange(6) < 2})
    assert (column_of(found, "speed").nulls, column_of(found, "speed").nonfinite) == (2, 1)
    assert (column_of(found, "vector").nulls, column_of(found, "vector").nonfinite) == (1, 1)
    assert (found.unlabelled, found.unpredicted) == (2, 1)


def test_a_profile_keeps_nothing_of_a_personal_column():
    rows, probabilities = example()
    written = encode(describe(SCHEMA, rows, probabilities)).decode()
    assert column_of(decode(written.encode()), "income").series == ()
    assert "123456" not in written
    assert '"r1"' not in written
    hidden = Schema(
        columns=tuple(
            replace(column, personal="personal") if column.role == "time" else column for column in SCHEMA.columns
        )
    )
    assert describe(hidden, rows, probabilities).start == ""


def test_a_column_takes_at_most_four_kilobytes_for_a_billion_rows():
    found = describe(SCHEMA, *example())
    for _ in range(20):
        found = merge(found, found)
    assert found.rows > 10**9
    for column in found.columns:
        assert len(msgspec.json.encode(column)) <= 4096
    assert len(encode(found)) <= 4096 * len(found.columns)
    assert decode(encode(found)) == found


def test_a_window_without_labels_can_be_described():
    rows, probabilities = example(10)
    found = describe(SCHEMA, {column.name: rows[column.name] for column in SCHEMA.features}, probabilities)
    assert (found.unlabelled, found.labels, found.start) == (10, (0, 0, 0), "")
    assert column_of(found, "kind").nulls == 10
    assert merge(found, describe(SCHEMA, rows, probabilities)).unlabelled == 10


def test_what_does_not_belong_together_is_refused():
    rows, probabilities = example(10)
    with pytest.raises(DatasetError, match="lack the feature 'image'"):
        describe(SCHEMA, {name: values for name, values in rows.items() if name != "image"}, probabilities)
    with pytest.raises(DatasetError, match="has 10 rows, the probabilities 9"):
        describe(SCHEMA, rows, probabilities[:9])
    found = describe(SCHEMA, rows, probabilities)
    with pytest.raises(DatasetError, match="to be the same"):
        merge(found, describe(SCHEMA, rows, probabilities @ np.eye(3, 4)))
    with pytest.raises(DatasetError, match="other edges"):
        merge(found, replace(found, confidence=count_numbers("confidence", np.empty(0), 0, 2, 20)))
    for data in (b"{}", b"\xff", encode(found)[:-5], encode(found).replace(b'"rows":10', b'"rows":"10"')):
        with pytest.raises(DatasetError, match="no profile"):
            decode(data)
    assert isinstance(decode(encode(found)), Profile)
