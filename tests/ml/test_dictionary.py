import msgspec
import numpy as np
import pytest

from noria.errors import DatasetError
from noria.ml.dictionary import ColumnFacts, dictionary
from noria.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="at", type="timestamp", role="time"),
        Column(name="image", type="uint8", role="feature", shape=(2, 2), minimum=0, maximum=255, unit="grey"),
        Column(name="speed", type="float64", role="feature", maximum_null_share=0.5),
        Column(name="income", type="float64", role="feature", personal="sensitive"),
        Column(name="kind", type="int64", role="label"),
    )
)
ROWS = {
    "id": np.array(["a", "b", "c", "d"], dtype=object),
    "at": np.array(["2026-01-02", "2026-01-01", "NaT", "2026-01-03"], dtype="datetime64[us]"),
    "image": np.arange(16, dtype=np.uint8).reshape(4, 2, 2),
    "speed": np.array([1.5, np.nan, np.inf, -2.0]),
    "income": np.array([10.0, 20.0, 30.0, np.nan]),
    "kind": np.array([0, 1, 1, 0]),
}


def facts(nulls=None, rows=ROWS):
    return {line.name: line for line in dictionary(SCHEMA, rows, nulls)}


def test_every_column_is_described_as_declared_and_as_seen():
    found = facts()
    assert list(found) == [column.name for column in SCHEMA.columns]
    assert (found["image"].observed_minimum, found["image"].observed_maximum, found["image"].unit) == (
        0.0,
        15.0,
        "grey",
    )
    assert (found["image"].minimum, found["image"].maximum, found["image"].distinct) == (0, 255, None)
    assert (found["speed"].null_share, found["speed"].observed_maximum, found["speed"].distinct) == (0.25, 1.5, 3)
    assert found["at"].observed_minimum == "2026-01-01T00:00:00.000000"
    assert (found["id"].observed_minimum, found["id"].distinct) == (None, 4)


def test_a_personal_column_shows_no_value():
    assert (facts()["income"].observed_minimum, facts()["income"].observed_maximum) == (None, None)
    assert facts()["income"].null_share == 0.25


def test_stated_nulls_are_left_out_of_what_was_seen():
    found = facts({"kind": np.array([False, True, True, False])})["kind"]
    assert (found.null_share, found.observed_maximum, found.distinct) == (0.5, 0.0, 1)


def test_it_can_be_written_and_read_and_no_rows_are_no_trouble():
    lines = dictionary(SCHEMA, {name: values[:0] for name, values in ROWS.items()})
    assert {line.null_share for line in lines} == {0.0}
    for some in (lines, dictionary(SCHEMA, ROWS)):
        assert msgspec.json.decode(msgspec.json.encode(some), type=tuple[ColumnFacts, ...]) == some


def test_a_column_that_is_missing_is_named():
    with pytest.raises(DatasetError, match="the rows lack image, kind"):
        dictionary(SCHEMA, {name: ROWS[name] for name in ("id", "at", "speed", "income")})
