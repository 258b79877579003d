"""Our offline store: what it promises beyond the contract that all stores are held to."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from as_of import answers, rows_of
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feasts import Repository, fares_rows, open_repository, rates_rows, trips_rows, weather_rows
from join_cases import CASES, EARLY, NOON, hours, labels, trips

from feature_repo.labels import Labels
from noria.errors import SourceError, StoreError, UsageError

pytestmark = pytest.mark.xdist_group("feast")

ROWS = trips_rows([(1, hours(-1), hours(-1), 10, 1.0), (2, hours(-1), hours(-1), 20, 2.0)])
ASKED = labels((2, NOON, "b"), (1, NOON, "a"))


def retrieve(repository: Repository, asked: Any, features: list[str], **options: Any) -> Any:
    return repository.store.get_historical_features(entity_df=asked, features=features, **options)


def test_columns_index_and_types_of_the_labels_are_kept(asof: Repository) -> None:
    asof.write("trips", ROWS)
    asked = ASKED.assign(
        kind=pd.Categorical(["x", "y"]), count=pd.array([1, None], dtype="Int64"), when=[hours(3), hours(4)]
    ).set_index(pd.Index(["second", "first"]))
    before = asked.copy(deep=True)
    got = retrieve(asof, asked, ["trips:trips"]).to_df()
    assert list(got.index) == ["second", "first"]
    assert list(got.columns) == [*asked.columns, "trips"]
    assert dict(got.dtypes)["kind"] == "category"
    assert dict(got.dtypes)["count"] == "Int64"
    pd.testing.assert_frame_equal(asked, before)


def test_an_answer_in_arrow_is_the_same_as_in_pandas(asof: Repository) -> None:
    asof.write("trips", ROWS)
    job = retrieve(asof, ASKED, ["trips:trips", "trips:rating"])
    assert job.to_arrow().column("rating").to_pylist() == [2.0, 1.0]
    assert list(job.to_df()["rating"]) == [2.0, 1.0]
    assert job.metadata.keys == ["driver", "label"]
    assert job.metadata.min_event_timestamp == NOON


def test_views_on_demand_are_computed_row_for_row(asof: Repository) -> None:
    asof.write("trips", ROWS)
    got = retrieve(asof, ASKED, ["trips:trips", "doubled:double"]).to_df()
    assert list(got["double"]) == [4.0, 2.0]


def test_times_given_as_text_are_read_as_utc(asof: Repository) -> None:
    asof.write("trips", ROWS)
    asked = labels((1, "2026-03-01T12:00:00", "a"), (2, "2026-03-01T12:00:00+03:00", "b"))
    assert list(retrieve(asof, asked, ["trips:trips"]).to_df()["trips"].fillna(0)) == [10, 0]


def test_times_without_a_zone_are_utc_where_feast_does_not_say_so_first() -> None:
    taken = Labels.from_frame(labels((1, NOON.tz_localize(None), 0)))  # as with coerce_tz_aware: false
    assert taken.table["event_timestamp"].to_pylist() == [NOON]


def test_a_label_without_a_time_or_with_a_numeric_key_that_is_missing_gets_no_features(asof: Repository) -> None:
    asof.write("trips", ROWS)
    asked = labels((1, pd.NaT, "a"), (None, NOON, "b"), (2, NOON, "c"))
    assert list(retrieve(asof, asked, ["trips:trips"]).to_df()["trips"].fillna(0)) == [0, 0, 20]


def test_files_in_nanoseconds_are_compared_to_the_nanosecond(asof: Repository) -> None:
    late = NOON.as_unit("ns") + pd.Timedelta(1, "ns")
    rows = ROWS.astype({"event_timestamp": "datetime64[ns, UTC]", "created": "datetime64[ns, UTC]"})
    rows.loc[0, "event_timestamp"] = late
    rows.to_parquet(asof.folder / "trips.parquet", index=False)
    asked = labels((1, NOON, 0), (1, late, 1), (1, late + pd.Timedelta(2, "h"), 2), (1, late + pd.Timedelta(7200, "s")
                   + pd.Timedelta(1, "ns"), 3))  # fmt: skip
    for held_back in (False, True):
        got = retrieve(asof, asked, ["trips:trips"], filter_by_created_timestamp=held_back).to_df()
        assert list(got["trips"].fillna(0)) == [0, 10, 10, 0]


def test_a_label_a_nanosecond_past_the_ttl_gets_nothing_from_a_file_in_microseconds(asof: Repository) -> None:
    asof.write("trips", trips_rows([(1, hours(-2), hours(-2), 10, 1.0)]))
    past = NOON.as_unit("ns") + pd.Timedelta(1, "ns")
    got = retrieve(asof, labels((1, NOON.as_unit("ns"), 0), (1, past, 1)), ["trips:trips"]).to_df()
    assert list(got["trips"].fillna(0)) == [10, 0]


def test_without_labels_each_key_and_time_in_the_dates_is_answered(asof: Repository) -> None:
    asof.write("trips", trips_rows([
        (1, hours(-1), hours(-1), 10, 1.0), (1, hours(-1), hours(2), 11, 1.1), (2, hours(0), hours(0), 20, 2.0),
        (2, hours(-9), hours(0), 21, 2.1), (2, hours(1), hours(0), 22, 2.2),
    ]))  # fmt: skip
    job = asof.store.get_historical_features(features=["trips:trips"], start_date=hours(-2), end_date=hours(0))
    assert rows_of(job.to_df(), ["driver", "trips"]) == [(1.0, 11.0), (2.0, 20.0)]
    assert list(job.to_df()["event_timestamp"]) == [hours(-1), hours(0)]


def test_without_labels_views_of_different_keys_are_refused(asof: Repository) -> None:
    with pytest.raises(UsageError, match="different join keys"):
        asof.store.get_historical_features(features=["trips:trips", "fares:fare"], start_date=hours(-2))


@pytest.mark.parametrize(
    ("asked", "features", "message"),
    [
        ("SELECT * FROM labels", ["trips:trips"], "run the query yourself"),
        (ASKED.drop(columns="driver"), ["trips:trips"], "lacks driver"),
        (ASKED.drop(columns="event_timestamp"), ["trips:trips"], "no column event_timestamp"),
        (ASKED.assign(event_timestamp="soon"), ["trips:trips"], "no time"),
        (ASKED.assign(rating=1.0), ["trips:rating"], "would stand twice"),
        (ASKED.assign(driver="one"), ["trips:rating"], "expected one type"),
    ],
    ids=["sql", "key", "no-time", "bad-time", "name", "type"],
)
def test_what_cannot_be_joined_is_refused_with_the_next_step(
    asof: Repository, asked: Any, features: list[str], message: str
) -> None:
    asof.write("trips", ROWS)
    with pytest.raises(UsageError, match=message):
        retrieve(asof, asked, features).to_df()


def test_missing_files_and_columns_are_named(asof: Repository) -> None:
    ROWS.drop(columns="created").to_parquet(asof.folder / "trips.parquet", index=False)
    with pytest.raises(SourceError, match="feature view trips lack created"):
        retrieve(asof, ASKED, ["trips:trips"]).to_df()
    (asof.folder / "trips.parquet").unlink()
    with pytest.raises(SourceError, match="no Parquet file at"):
        retrieve(asof, ASKED, ["trips:trips"]).to_df()


def test_a_file_that_is_replaced_is_read_anew(asof: Repository) -> None:
    for value in (10, 11, 12):
        asof.write("trips", ROWS.assign(trips=value))
        assert set(retrieve(asof, ASKED, ["trips:trips"]).to_df()["trips"]) == {value}


def test_jobs_of_several_threads_do_not_meet(asof: Repository) -> None:
    asof.write("trips", ROWS)
    asked = {driver: labels(*[(driver, NOON, number) for number in range(500)]) for driver in (1, 2)}
    jobs = [(driver, retrieve(asof, asked[driver], ["trips:trips"])) for driver in (1, 2) * 4]
    got: list[tuple[int, set[int]]] = []
    threads = [
        threading.Thread(
            target=lambda driver=driver, job=job: got.append((driver, set(job.to_arrow()["trips"].to_pylist())))
        )
        for driver, job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [(1, {10})] * 4 + [(2, {20})] * 4


def test_an_answer_is_kept_whole_and_not_replaced_unasked(asof: Repository, tmp_path: Path) -> None:
    asof.write("trips", ROWS)
    job = retrieve(asof, ASKED, ["trips:trips"])
    file = SavedDatasetFileStorage(path=str(tmp_path / "kept" / "answer.parquet"))
    job.persist(file)
    assert pq.read_table(tmp_path / "kept" / "answer.parquet")["trips"].to_pylist() == [20, 10]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(file)
    job.persist(file, allow_overwrite=True)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["answer.parquet"]


def test_a_saved_dataset_is_read_back(asof: Repository, tmp_path: Path) -> None:
    asof.write("trips", ROWS)
    job = retrieve(asof, ASKED, ["trips:trips"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Feast calls saved datasets experimental
        saved = asof.store.create_saved_dataset(
            from_=job, name="saved", storage=SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet"))
        )
    assert rows_of(saved.to_df(), ["driver", "trips"]) == [(2.0, 20.0), (1.0, 10.0)]


def test_rows_that_are_written_come_after_those_that_were_there(asof: Repository) -> None:
    asof.write("trips", ROWS)
    newer = ROWS.assign(trips=[11, 21])[["event_timestamp", "driver", "created", "rating", "trips"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asof.store.write_to_offline_store("trips", newer, reorder_columns=True)
    assert list(retrieve(asof, ASKED, ["trips:trips"]).to_df()["trips"]) == [21, 11]
    assert len(pd.read_parquet(asof.folder / "trips.parquet")) == 4
    assert not list(asof.folder.glob(".staging-*"))


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Repository]:
    """Repositories whose DuckDB has as much memory as is said, and a place of its own to spill to."""

    def make(limit: str) -> Repository:
        folder = tmp_path_factory.mktemp("narrow")
        return open_repository(
            "asof", folder / "repository", memory_limit=limit, threads=1, temp_directory=str(folder / "spilt")
        )

    return make


def many_rows(count: int) -> pd.DataFrame:
    random = np.random.default_rng(7)
    times = pd.Series(NOON.value // 1_000 + random.integers(0, 10**9, count)).astype("datetime64[us]")
    times = times.dt.tz_localize("UTC")
    return pd.DataFrame({
        "driver": random.integers(0, 100, count), "event_timestamp": times, "created": times,
        "trips": np.arange(count), "rating": random.normal(size=count),
    })  # fmt: skip


def test_a_join_of_more_than_its_memory_holds_is_spilt_and_right(narrow: Callable[[str], Repository]) -> None:
    rows = many_rows(1_000_000)
    asked = many_rows(200).drop(columns=["created", "trips", "rating"])
    repository = narrow("16MB")
    path = repository.folder / "trips.parquet"
    rows.to_parquet(path, index=False, row_group_size=50_000)
    assert path.stat().st_size > 20_000_000
    got = retrieve(repository, asked, ["trips:trips", "trips:rating"]).to_df()
    few = rows.sort_values("event_timestamp")
    expected = pd.merge_asof(
        asked.reset_index().sort_values("event_timestamp"), few, on="event_timestamp", by="driver",
        tolerance=pd.Timedelta("2h"),
    ).sort_values("index")  # fmt: skip
    assert list(got["trips"].fillna(-1)) == list(expected["trips"].fillna(-1))


def test_too_little_memory_says_which_setting_to_raise(narrow: Callable[[str], Repository]) -> None:
    repository = narrow("1MB")
    repository.write("trips", many_rows(200_000))
    with pytest.raises(StoreError, match=r"offline_store\.memory_limit"):
        retrieve(repository, labels((1, hours(1), 0)), ["trips:trips"]).to_df()


def test_a_folder_of_files_is_one_history_in_the_order_of_their_names(asof: Repository) -> None:
    place = asof.folder / "trips.parquet"
    place.unlink()
    place.mkdir()
    try:
        for name, value in (("b", 11), ("a", 10)):
            ROWS.assign(trips=value).to_parquet(place / f"{name}.parquet", index=False)
        assert set(retrieve(asof, ASKED, ["trips:trips"]).to_df()["trips"]) == {11}
    finally:
        for file in place.iterdir():
            file.unlink()
        place.rmdir()


def test_all_views_at_once_answer_as_each_alone(asof: Repository) -> None:
    case = CASES["views with different keys and ttl"]
    for name, rows in case.files.items():
        asof.write(name, rows)
    whole = retrieve(asof, case.labels, case.ask).to_df()
    for reference in case.ask:
        alone = retrieve(asof, case.labels, [reference]).to_df()
        name = reference.partition(":")[2]
        pd.testing.assert_series_equal(whole[name], alone[name])


def test_the_brute_force_itself_takes_the_newest_row_in_time() -> None:
    rows = trips_rows([(1, hours(-1), EARLY, 10, 1.0), (1, hours(-0.5), EARLY, 11, 1.1), (1, hours(1), EARLY, 12, 1.2)])
    assert answers(labels((1, NOON, 0)), [trips(rows, "trips")])[0][-1] == 11.0
    assert fares_rows([]).empty
    assert weather_rows([]).empty
    assert rates_rows([]).empty
