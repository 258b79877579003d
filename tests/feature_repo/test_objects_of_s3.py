"""Features in S3: fetched whole through the project's own store, and again when they have changed."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from faults.proxy import FaultProxy
from feast import FeatureStore
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.repo_config import RepoConfig
from feasts import ASOF, definitions, driver, trips_rows
from join_cases import NOON, hours, labels

from noria.errors import ObjectMissingError, StoreError, UsageError
from noria.stores.copies import fetch_objects

pytestmark = pytest.mark.xdist_group("feast")

ROWS = trips_rows([(1, hours(-1), hours(-1), 10, 1.0), (2, hours(-1), hours(-1), 20, 2.0)])
ASKED = labels((2, NOON, "b"), (1, NOON, "a"))


def upload(address: str, rows: pd.DataFrame, **options: str) -> None:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    sink = io.BytesIO()
    rows.to_parquet(sink, index=False)
    boto3.session.Session().client("s3", **options).put_object(Bucket=bucket, Key=key, Body=sink.getvalue())


@pytest.fixture
def distant(s3_address: str, tmp_path: Path) -> tuple[FeatureStore, str, Path]:
    """A feature store whose view `trips` lies in S3, its address there, and the cache."""
    address = f"{s3_address}/history"
    upload(f"{address}/day=1/part.parquet", ROWS)
    cache = tmp_path / "cache"
    store = FeatureStore(
        config=RepoConfig(
            project="distant",
            provider="local",
            registry=str(tmp_path / "registry.db"),
            offline_store={"type": ASOF, "cache": str(cache)},
            online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
            entity_key_serialization_version=3,
            repo_path=tmp_path,
        )
    )
    view = next(each for each in definitions(tmp_path) if each.name == "trips")
    view.batch_source.file_options.uri = address
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.apply([driver, view])
    return store, address, cache


def asked(store: FeatureStore) -> list[int]:
    return list(store.get_historical_features(entity_df=ASKED, features=["trips:trips"]).to_df()["trips"])


def test_objects_are_fetched_once_and_again_when_they_change(distant: tuple[FeatureStore, str, Path]) -> None:
    store, address, cache = distant
    assert asked(store) == [20, 10]
    copies = {path: path.stat().st_mtime_ns for path in cache.rglob("*.parquet")}
    assert asked(store) == [20, 10]
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.parquet")} == copies
    upload(f"{address}/day=1/part.parquet", ROWS.assign(trips=[11, 21]))
    assert asked(store) == [21, 11]


def test_rows_that_are_written_become_an_object_of_their_own(distant: tuple[FeatureStore, str, Path]) -> None:
    store, address, cache = distant
    newer = trips_rows([(1, hours(-0.5), hours(-0.5), 12, 1.2)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.write_to_offline_store("trips", newer)
    assert asked(store) == [20, 12]
    assert len(fetch_objects(address, cache)) == 2


def test_an_answer_is_kept_in_s3(distant: tuple[FeatureStore, str, Path], s3_address: str, tmp_path: Path) -> None:
    store, _, _ = distant
    job = store.get_historical_features(entity_df=ASKED, features=["trips:trips"])
    storage = SavedDatasetFileStorage(path=f"{s3_address}/kept/answer.parquet")
    job.persist(storage)
    (copy,) = fetch_objects(f"{s3_address}/kept/answer.parquet", tmp_path / "other")
    assert list(pd.read_parquet(copy)["trips"]) == [20, 10]
    with pytest.raises(StoreError, match="already"):
        job.persist(storage)


def test_a_copy_that_breaks_off_leaves_nothing(fault_proxy: FaultProxy, s3_address: str, tmp_path: Path) -> None:
    upload(f"{s3_address}/whole.parquet", ROWS)
    fault_proxy.inject("truncated", times=float("inf"), method="GET", part="whole.parquet")
    with pytest.raises(StoreError, match="cannot be read"):
        fetch_objects(f"{s3_address}/whole.parquet", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    fault_proxy.heal()
    (copy,) = fetch_objects(f"{s3_address}/whole.parquet", tmp_path)
    assert len(pd.read_parquet(copy)) == 2


def test_an_object_that_changes_while_it_is_fetched_is_fetched_again(
    fault_proxy: FaultProxy, s3_server: Any, s3_address: str, tmp_path: Path
) -> None:
    upload(f"{s3_address}/whole.parquet", ROWS)
    before = len(fault_proxy.requests)

    def change(count: int) -> None:
        if count == before + 2:  # after its ETag was asked for, before its bytes are
            upload(f"{s3_address}/whole.parquet", ROWS.head(1), endpoint_url=s3_server.endpoint)

    fault_proxy.on_request = change
    (copy,) = fetch_objects(f"{s3_address}/whole.parquet", tmp_path)
    assert len(pd.read_parquet(copy)) == 1
    assert [method for method, _ in fault_proxy.requests[before:]] == ["HEAD", "GET", "HEAD", "GET", "HEAD"]


def test_nothing_there_is_named(s3_address: str, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError, match="check the path"):
        fetch_objects(f"{s3_address}/nowhere", tmp_path)


def test_an_endpoint_of_a_source_is_refused(tmp_path: Path) -> None:
    from feast import FileSource

    from feature_repo.sources import Reader

    source = FileSource(name="far", path="s3://bucket/x", s3_endpoint_override="http://elsewhere")
    with pytest.raises(UsageError, match="set one of them"):
        Reader(repository=None, cache=tmp_path).files(source)
