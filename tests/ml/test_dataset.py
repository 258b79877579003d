"""Dataset: what is written is read back, and whatever was changed is refused."""

from datetime import UTC, datetime

import numpy as np
import pytest

from noria.errors import DatasetError
from noria.ml.dataset import open_dataset, table_of, utc, write_dataset
from noria.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="picture", type="uint8", role="feature", shape=(2, 3)),
        Column(name="weight", type="float32", role="feature", maximum_null_share=1.0),
        Column(name="count", type="int64", role="feature", maximum_null_share=1.0),
        Column(name="ready", type="bool", role="feature"),
        Column(name="label", type="int64", role="label"),
    )
)


def make_rows(count, seed=0):
    random = np.random.default_rng(seed)
    return {
        "id": np.array([f"row-{place}" for place in range(count)], object),
        "time": np.datetime64("2024-03-01T00:00:00", "us") + np.arange(count) * np.timedelta64(1, "h"),
        "picture": random.integers(0, 256, (count, 2, 3), dtype=np.uint8),
        "weight": random.normal(size=count).astype(np.float32),
        "count": random.integers(-5, 5, count),
        "ready": random.integers(0, 2, count).astype(bool),
        "label": random.integers(0, 3, count),
    }


def write(folder, rows):
    return write_dataset(folder, "toy", SCHEMA, [table_of(SCHEMA, rows)])


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = make_rows(20_000)
    dataset = write(tmp_path, rows)
    found = dataset.load()
    assert dataset.rows == 20_000
    assert list(found) == [column.name for column in SCHEMA.columns]
    for name, values in rows.items():
        assert found[name].dtype == SCHEMA[name].dtype
        np.testing.assert_array_equal(found[name], values)


def test_chosen_columns_alone_are_read(tmp_path):
    assert list(write(tmp_path, make_rows(5)).load(["label", "picture"])) == ["label", "picture"]


def test_equal_rows_have_equal_digests_and_a_changed_value_another(tmp_path):
    first, same = write(tmp_path / "a", make_rows(50)), write(tmp_path / "b", make_rows(50))
    changed = make_rows(50)
    changed["picture"][49, 1, 2] ^= 1
    assert first.digest == same.digest
    assert write(tmp_path / "c", changed).digest != first.digest


def test_time_range_and_rows_are_told(tmp_path):
    facts = write(tmp_path, make_rows(25)).facts
    assert (facts.start, facts.end) == (datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC))


@pytest.mark.parametrize("name", ["part-00000.parquet", "dataset.json"])
def test_any_changed_byte_is_refused(tmp_path, name):
    dataset = write(tmp_path, make_rows(10))
    data = bytearray((tmp_path / name).read_bytes())
    for place in range(0, len(data), max(1, len(data) // 50)):
        data[place] ^= 1
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DatasetError):
            open_dataset(tmp_path, expected=dataset.digest)
        data[place] ^= 1


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path, make_rows(10))
    (tmp_path / "part-00000.parquet").unlink()
    with pytest.raises(DatasetError, match=r"part-00000.parquet cannot be read"):
        open_dataset(tmp_path)


def test_a_folder_without_dataset_json_is_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match="is no dataset"):
        open_dataset(tmp_path)


def test_no_rows_are_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match="no row"):
        write_dataset(tmp_path, "toy", SCHEMA, [])


def test_a_table_that_breaks_the_schema_is_refused_and_leaves_no_dataset(tmp_path):
    table = table_of(SCHEMA, make_rows(3)).drop_columns(["ready"])
    with pytest.raises(DatasetError, match="its schema says"):
        write_dataset(tmp_path, "toy", SCHEMA, [table])
    assert not (tmp_path / "dataset.json").exists()


def test_missing_values_are_read_and_told(tmp_path):
    import pyarrow as pa

    table = table_of(SCHEMA, make_rows(4))
    for name, values in (("weight", [1.0, None, 2.0, None]), ("count", [None, 7, 8, 9])):
        kind = table.schema.field(name).type
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, kind))
    dataset = write_dataset(tmp_path, "toy", SCHEMA, [table])
    found, nulls = dataset.load(), dataset.nulls()
    np.testing.assert_array_equal(np.isnan(found["weight"]), [False, True, False, True])
    np.testing.assert_array_equal(found["count"], [0, 7, 8, 9])
    assert sorted(nulls) == ["count", "weight"]
    np.testing.assert_array_equal(nulls["count"], [True, False, False, False])


def test_a_moment_is_read_in_utc():
    assert utc(np.datetime64("2013-03-10T07:30:00.000001", "us")) == datetime(2013, 3, 10, 7, 30, 0, 1, tzinfo=UTC)
